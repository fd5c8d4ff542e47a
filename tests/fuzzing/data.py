"""Data: clips, questions in CSV and JSON, training data, and files under results."""

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from lorascope.benchmarks import jsonl
from lorascope.benchmarks.audio import read_clip
from lorascope.benchmarks.items import to_table
from lorascope.benchmarks.sakura import items as sakura
from lorascope.benchmarks.squad import items as squad
from lorascope.benchmarks.table import items as table
from lorascope.benchmarks.table import sources as table_sources
from lorascope.benchmarks.table.files import SUFFIXES
from lorascope.benchmarks.table.settings import TableDataset
from lorascope.errors import UserError
from lorascope.models.finetuning.checkpoints import last_complete, mark_complete
from lorascope.storage.adapters import check_adapter, write_list
from lorascope.storage.features import read_features, write_features
from lorascope.storage.journal import Journal
from lorascope.storage.records import (
    read_document,
    read_json,
    read_table,
    write_document,
    write_json,
    write_table,
)
from tests.fuzzing.mutations import as_json, as_text, damaged_often, damaged_text, mutated
from tests.fuzzing.runner import Kind
from tests.support.lab import write_track

DIGEST = "0123456789ab"
SAKURA = {
    "tracks": ["animal"],
    "hops": ["single", "multi"],
    "items_per_category": None,
    "audio": {},
    "control": "none",
}
SQUAD = {
    "split": "dev",
    "category": "squad",
    "one_per_paragraph": True,
    "items": None,
    "prompt": "{context} {question}",
}
ROWS = [
    {"id": n, "q": "Who?", "o": {"text": ["a cat", "dog"], "label": ["0", "1"]}, "a": f"{n % 2}"}
    | {"kind": "x" * n, "t": ["a", "b"], "n": n / 2}
    for n in (1, 2, 3)
]
_OPTIONS = {"options": "o.text", "letters": "o.label", "question": "{q} {options}"}
TABLES = [
    TableDataset(benchmark="table", source="rows", **keys).model_dump()
    for keys in (
        {"question": "q", "answer": "t"},
        {"question": "q", "answer": "n", "category": {"column": "kind"}, "few_shot": {"count": 1}},
        {"question": "{n}: {q}", "answer": "a", "options": ["q", "kind"], "answer_by": "number"},
        {"answer": "a", **_OPTIONS, "items": 1, "few_shot": {"count": 1, "as": "turns"}},
        {"text": "{q}{kind}", "id": "id"},
        {"text": "q"},
    )
]


# ------------------------------------------------------------------------------------- clips

FORMATS = [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("ogg", "VORBIS"),
           ("aiff", "PCM_24"), ("mp3", "MPEG_LAYER_III"), ("au", "PCM_16"), ("w64", "PCM_16"),
           ("rf64", "PCM_16"), ("caf", "PCM_16")]  # fmt: skip


def write_clips(folder: Path) -> None:
    """Write a short clip in every format."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 2))
    for suffix, subtype in FORMATS:
        file = folder / f"clip.{suffix}"
        soundfile.write(file, noise, 16000, subtype=subtype, format=suffix.upper())


def hear_odd_clip(random: Random, given: Path) -> None:
    """Read a clip that was damaged, at times in the numbers of its header."""
    source = random.choice(sorted(given.iterdir()))
    data = source.read_bytes()
    if source.suffix == ".wav" and random.random() < 0.4:
        at = random.choice([4, 16, 20, 22, 24, 28, 32, 34, 40])  # fields of the header
        number = random.choice([0, 1, 2, 16, 255, 44_099, 15_999_991, 2**31 - 1, 2**32 - 1])
        data = data[:at] + number.to_bytes(4, "little") + data[at + 4 :]
    elif source.suffix == ".flac" and random.random() < 0.4:
        at = random.randrange(4, 42)
        data = (
            data[:at] + random.choice([b"\xff", b"\0"]) * random.choice([1, 3, 5]) + data[at + 5 :]
        )
    else:
        data = damaged_often(data, random)
    path = Path(f"clip{source.suffix}")
    path.write_bytes(data)
    wave = read_clip(path)
    assert wave.dtype == np.float32
    assert len(wave) and np.isfinite(wave).all()


AUDIO = Kind("audio", write_clips, hear_odd_clip)

# --------------------------------------------------------------------------------- questions


def write_questions(folder: Path) -> None:
    """Write questions of every benchmark, and training data."""
    write_track(folder / "sakura", "Animal", ["cat", "dog"])
    qas = [
        {"id": str(n), "question": "Who?", "answers": [{"text": "A cat", "answer_start": 0}] * 2}
        for n in range(3)
    ]
    paragraph = {"context": "A cat.", "qas": qas}
    (folder / "squad.json").write_text(
        json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]})
    )
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"prompt": "a", "response": "b"}, {"messages": turns}] * 2
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def read_odd_questions(random: Random, given: Path) -> None:
    """Read odd questions of one of the layouts."""
    random.choice([_sakura_csv, _sakura_json, _squad, _jsonl, _own_table, _own_table])(
        random, given
    )


def _sakura_csv(random: Random, given: Path) -> None:
    metadata = _sakura_copy(given)
    text = metadata.read_text()
    if random.random() < 0.5:
        metadata.write_bytes(damaged_often(text.encode(), random))
    else:
        metadata.write_text(damaged_text(text, random), errors="surrogatepass")
    _build_sakura()


def _sakura_json(random: Random, given: Path) -> None:
    metadata = _sakura_copy(given)
    rows = {row.pop("file"): row for row in csv.DictReader(io.StringIO(metadata.read_text()))}
    metadata.unlink()
    _write_json(metadata.with_suffix(".json"), rows, random)
    _build_sakura()


def _sakura_copy(given: Path) -> Path:
    shutil.copytree(given / "sakura", "sakura")
    return Path("sakura/data/Animal/metadata.csv")


def _build_sakura() -> None:
    root = Path("sakura")
    sakura.count_items(root, SAKURA, None)
    _keep(sakura.build_items(root, SAKURA, None)[0])


def _squad(random: Random, given: Path) -> None:
    path = Path("squad.json")
    _write_json(path, json.loads((given / path).read_text()), random)
    squad.count_items(path, SQUAD, None)
    _keep(squad.build_items(path, SQUAD, None)[0])


def _jsonl(random: Random, given: Path) -> None:
    path = Path("rows.jsonl")
    rows = [json.loads(line) for line in (given / path).read_text().splitlines()]
    text = "\n".join(as_json(mutated(row, random)) for row in rows)
    path.write_bytes(
        damaged_often(text.encode(), random) if random.random() < 0.3 else text.encode()
    )
    assert jsonl.read({"limit": None}, path)


def _rows_in(form: str, rows: list[dict[str, Any]], random: Random) -> bytes:
    """Return rows as a file of a form, made odd where the form can hold it."""
    if form in (".csv", ".tsv"):
        table = [list(rows[0]), *([as_json(v) for v in row.values()] for row in rows)]
        text = io.StringIO()
        csv.writer(text, delimiter="," if form == ".csv" else "\t").writerows(table)
        return damaged_text(text.getvalue(), random).encode(errors="surrogatepass")
    if form == ".parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        return buffer.getvalue()
    odd = [mutated(row, random) if random.random() < 0.5 else row for row in rows]
    if form == ".json":
        return as_json(odd).encode(errors="surrogatepass")
    return "\n".join(as_json(row) for row in odd).encode(errors="surrogatepass")


def _own_table(random: Random, given: Path) -> None:
    form = random.choice(SUFFIXES)
    path, keys = Path(f"rows{form}"), random.choice(TABLES)
    data = _rows_in(form, ROWS, random)
    chance = 0.9 if form == ".parquet" else 0.3
    path.write_bytes(damaged_often(data, random) if random.random() < chance else data)
    table_sources.source_files(path, keys, 2)
    counted = table_sources.count_items(path, keys, 2)
    items, _ = table.build_items(path, keys, 2)
    assert counted == Counter(item.category for item in items)
    _keep(items)


def _write_json(path: Path, value: Any, random: Random) -> None:
    text = as_json(mutated(value, random, random.choice([1, 2])))
    if random.random() < 0.4:
        text = damaged_text(text.replace("}", "}\n"), random)
    data = text.encode(errors="surrogatepass")
    path.write_bytes(damaged_often(data, random) if random.random() < 0.2 else data)


def _keep(items: list[Any]) -> None:
    """Write items as the dataset stage does: what cannot be written must have been refused."""
    write_table("items.parquet", to_table(items), "items", DIGEST)


QUESTIONS = Kind("questions", write_questions, read_odd_questions)

# ----------------------------------------------------------------------------------- results


def write_results(folder: Path) -> None:
    """Write a file of each kind that stages leave."""
    table = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [[1.0], [], [2.0, 3.0]]})
    write_table(folder / "table.parquet", table, "items", DIGEST)
    write_features(folder / "f.safetensors", {"clip": np.ones((3, 4), np.float32)}, DIGEST)
    write_json(folder / "marker.json", {"commit": "c", "n": [1, 2]})
    (folder / "answers").mkdir()
    Journal(folder / "answers", DIGEST, "0-of-1").append(
        [{"item_id": str(n), "response": "x"} for n in range(5)]
    )
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1/weights.bin").write_bytes(bytes(99))
    mark_complete(folder / "checkpoint-1", DIGEST)
    (folder / "adapter").mkdir()
    (folder / "adapter/adapter_model.safetensors").write_bytes(bytes(99))
    write_list(folder / "adapter", DIGEST, ["adapter_model.safetensors"])
    write_document(folder / "note.json", "note", DIGEST, {"commit": "c", "n": [1, 2]})


def read_odd_results(random: Random, given: Path) -> None:
    """Read a file under results that was damaged: it is what was written, or it is moved aside."""
    kinds = [_table, _features, _json, _document, _journal, _checkpoint, _adapter]
    random.choice(kinds)(random, given)


def _checked(path: Path, random: Random, given: Path, read: Callable[[Path], Any]) -> None:
    original = read(given / path)
    path.write_bytes(damaged_often((given / path).read_bytes(), random))
    try:
        found = read(path)
    except UserError:
        assert not path.exists(), "a later stage would read it again"
        raise
    assert found == original, "was read as if it were whole"


def _table(random: Random, given: Path) -> None:
    read: Callable[[Path], Any] = lambda path: read_table(path, "items", DIGEST).to_pydict()  # noqa: E731
    _checked(Path("table.parquet"), random, given, read)


def _features(random: Random, given: Path) -> None:
    def read(path: Path) -> Any:
        return {name: array.tolist() for name, array in read_features(path, DIGEST).items()}

    _checked(Path("f.safetensors"), random, given, read)


def _json(random: Random, given: Path) -> None:
    Path("marker.json").write_text(as_text({"commit": "c"}, random), errors="surrogatepass")
    read_json(Path("marker.json"))


def _document(random: Random, given: Path) -> None:
    read: Callable[[Path], Any] = lambda path: read_document(path, "note", DIGEST)  # noqa: E731
    _checked(Path("note.json"), random, given, read)


def _adapter(random: Random, given: Path) -> None:
    shutil.copytree(given / "adapter", "adapter")
    path = random.choice(sorted(Path("adapter").iterdir()))
    whole = check_adapter(given / "adapter", DIGEST)
    path.write_bytes(damaged_often(path.read_bytes(), random))
    try:
        found = check_adapter(Path("adapter"), DIGEST)
    except UserError:
        assert not Path("adapter").exists(), "a later stage would read it again"
        raise
    assert found == whole, "was read as if it were whole"


def _journal(random: Random, given: Path) -> None:
    Path("answers").mkdir()
    (source,) = (given / "answers").glob("*.jsonl")
    Path("answers", source.name).write_bytes(damaged_often(source.read_bytes(), random))
    whole = Journal(given / "answers", DIGEST, "0-of-1").read()
    found = Journal(Path("answers"), DIGEST, "0-of-1").read()
    assert found.items() <= whole.items()


def _checkpoint(random: Random, given: Path) -> None:
    shutil.copytree(given / "checkpoint-1", "checkpoint-1")
    path = random.choice(sorted(Path("checkpoint-1").iterdir()))
    before = path.read_bytes()
    path.write_bytes(damaged_often(before, random))
    changed = path.read_bytes() != before and path.suffix == ".bin"
    found = last_complete(Path.cwd(), DIGEST)
    assert not (changed and found), "resumed from a damaged checkpoint"


RESULTS = Kind("results", write_results, read_odd_results)

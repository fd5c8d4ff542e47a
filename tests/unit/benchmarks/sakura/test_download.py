"""SAKURA's download, from a real HTTP server on loopback that answers as the hub does."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from lorascope.benchmarks.sakura.items import COLUMNS, HOPS, build_items
from tests.support.hub import COMMIT, FIXTURES, NEWER, leftovers, parquet, refused, without

hub, machine = FIXTURES
DOWNLOAD = "lorascope.benchmarks.sakura.download:download_sakura"


def clip_bytes(frequency):
    buffer = io.BytesIO()
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(1600) / 16000)
    soundfile.write(buffer, wave, 16000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def row(number, **changes):
    label = ("cat", "dog")[number % 2]
    return {
        "file": f"{label}{number}.wav",
        "audio": {"bytes": clip_bytes(200 + 10 * number), "path": f"{label}{number}.wav"},
        "attribute_label": label,
        "single_instruction": "Which, “precisely”?\n(a) cat (b) dog",
        "single_answer": f" ({'ab'[number % 2]}) {label}",
        "multi_instruction": "What does it say? (a) 喵 (b) woof",
        "multi_answer": ("(a) 喵", "(b) woof")[number % 2],
    } | changes


ROWS = [row(number) for number in range(5)]


def publish(hub, track, files):
    unwanted = {"README.md": b"#", "data/train-00000-of-00001.parquet": b"not this one"}
    hub.repositories["dataset", f"lab/{track}QA"] = unwanted | files


@pytest.fixture
def published(hub):
    halves = {
        "data/test-00000-of-00002.parquet": parquet(ROWS[:3]),
        "data/test-00001-of-00002.parquet": parquet(ROWS[3:]),
    }
    publish(hub, "Animal", halves)
    publish(hub, "Gender", {"test.parquet": parquet(ROWS[:2])})
    return hub


def test_sakura_is_unpacked_into_its_published_layout(published, machine, tmp_path):
    root = tmp_path / "sakura"
    # as Snakemake does for a job's outputs
    (root / "data" / "Animal" / "audio").mkdir(parents=True)
    tracks = ["animal", "gender"]
    commits = machine.call(DOWNLOAD, "lab", "main", tracks, root)
    assert commits == dict.fromkeys(tracks, COMMIT)
    with (root / "data/Animal/metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{key: entry[key] for key in ("file", *COLUMNS)} for entry in ROWS]
    clips = {path.name: path.read_bytes() for path in (root / "data/Animal/audio").iterdir()}
    assert clips == {entry["file"]: entry["audio"]["bytes"] for entry in ROWS}
    source = json.loads((root / "data/Animal/source.json").read_text())
    assert source == {"repository": "lab/AnimalQA", "revision": "main", "commit": COMMIT}
    assert not leftovers(tmp_path)
    assert not [path for _, path in published.requests if "train" in path or "README" in path]

    audio = {"type": "source", "position": "original"}
    dataset = {"tracks": tracks, "hops": HOPS, "items_per_category": None, "control": "none"}
    items, _ = build_items(root, dataset | {"audio": audio}, None)
    assert len(items) == 14
    assert {item.clip_seconds for item in items} == {0.1}


def test_tracks_that_are_there_are_kept_and_others_added(published, machine, tmp_path):
    root = tmp_path / "sakura"
    machine.call(DOWNLOAD, "lab", "main", ["animal"], root)
    before = (root / "data/Animal/metadata.csv").stat().st_mtime_ns
    published.requests.clear()
    published.commit = NEWER
    commits = machine.call(DOWNLOAD, "lab", "main", ["animal", "gender"], root)
    assert commits == {"animal": COMMIT, "gender": NEWER}
    assert (root / "data/Animal/metadata.csv").stat().st_mtime_ns == before
    assert not [path for _, path in published.requests if "AnimalQA" in path]


def test_a_folder_with_something_else_is_left_alone(published, machine, tmp_path):
    folder = tmp_path / "sakura/data/Animal"
    machine.call(DOWNLOAD, "lab", "main", ["animal"], tmp_path / "sakura")
    words = [str(folder), "lab/AnimalQA at revision v2", "remove"]
    machine.refuses(DOWNLOAD, "lab", "v2", ["animal"], tmp_path / "sakura", words=words)
    (folder / "source.json").unlink()
    words = [str(folder), "remove"]
    machine.refuses(DOWNLOAD, "lab", "main", ["animal"], tmp_path / "sakura", words=words)
    assert len(list((folder / "audio").iterdir())) == 5


def test_a_data_set_that_breaks_off_leaves_nothing(published, machine, tmp_path):
    root = tmp_path / "sakura"
    published.breaking.add("data/test-00001-of-00002.parquet")
    words = ["lab/AnimalQA at revision main", "broke off"]
    machine.refuses(DOWNLOAD, "lab", "main", ["gender", "animal"], root, words=words)
    assert [path.name for path in (root / "data").iterdir()] == ["Gender"]
    published.breaking.clear()
    published.broken.clear()
    machine.call(DOWNLOAD, "lab", "main", ["gender", "animal"], root)
    assert len(list((root / "data/Animal/audio").iterdir())) == 5


def test_a_data_set_of_another_layout_leaves_nothing(hub, machine, tmp_path):
    cases = [
        (b"PAR1 is not enough", ["not a readable Parquet file"]),
        (parquet(ROWS)[:-500], ["not a readable Parquet file"]),
        (parquet([without(ROWS[0], "multi_answer")]), ["no column multi_answer"]),
        (parquet([*ROWS, ROWS[0]]), ["cat0.wav", "twice"]),
        (parquet([*ROWS, row(6, file="../../x.wav")]), ["'../../x.wav'", "plain file name"]),
        (parquet([*ROWS, row(6, file="..")]), ["'..'", "plain file name"]),
        (parquet([*ROWS, row(6, audio={"bytes": None, "path": "x"})]), ["cat6.wav", "no audio"]),
    ]
    calls = []
    for number, (content, _) in enumerate(cases):
        files = {"data/test-00000-of-00001.parquet": content}
        hub.repositories["dataset", f"lab{number}/AnimalQA"] = files
        root = tmp_path / f"a{number}"
        calls.append((DOWNLOAD, (f"lab{number}", "main", ["animal"], root)))
    for outcome, (_, words) in zip(machine.calls(*calls), cases, strict=True):
        refused(outcome, words)
    assert not [path for path in tmp_path.glob("a*/**/*") if path.is_file()]
    assert not list(tmp_path.rglob("x.wav"))
    assert not leftovers(tmp_path)


def test_a_data_set_without_a_test_split(hub, machine, tmp_path):
    publish(hub, "Animal", {})
    words = ["lab/AnimalQA at revision main", "test*.parquet"]
    machine.refuses(DOWNLOAD, "lab", "main", ["animal"], tmp_path / "a", words=words)

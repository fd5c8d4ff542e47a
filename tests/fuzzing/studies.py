"""Studies: as values, as files, and with odd things where their files should lie."""

import json
import os
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from lorascope.inspecting.overview import plan_lines
from lorascope.inspecting.status import status_lines
from lorascope.planning.plan import Plan, load_plan
from lorascope.study.loading import load
from lorascope.study.parsing import read_study
from tests.fuzzing.mutations import as_json, as_text, damaged_often, mutated, odd
from tests.fuzzing.runner import Kind
from tests.support.basics import ROOT
from tests.support.lab import write_track
from tests.support.tiny_text_files import CHAT_TEMPLATE, edit_json, write_adapter, write_model

LOCAL: dict[str, Any] = {
    "study": "local",
    "models": {
        "text": {"family": "hf_text", "model": "files/model", "chat_template": True},
        "audio": {"family": "hf_audio", "model": "files/whisper"},
        "heard": {
            "family": "salmonn",
            "llm": "files/model",
            "whisper": "files/whisper",
            "beats": "files/beats.pt",
            "checkpoint": "files/salmonn.pth",
        },
    },
    "adapters": {
        "ready": {"model": "text", "source": "files/adapter"},
        "own": {
            "model": "text",
            "train": {"data": {"format": "jsonl", "source": "files/rows.jsonl"}},
        },
        "rows": {
            "model": "text",
            "train": {"data": {"format": "table", "source": "files/own/own.csv",
                               "question": "q", "answer": "right"}},
        },
    },
    "datasets": {
        "squad": {"benchmark": "squad", "source": "files/squad"},
        "zoo": {"benchmark": "sakura", "source": "files/sakura", "tracks": ["animal"],
                "audio": {"type": "zero-padded", "position": "late", "target_len": 20}},
        "own": {"benchmark": "table", "source": "files/own", "files": "*.csv",
                "question": "{q} {options}", "options": ["A", "B"], "letters": ["x", "y"],
                "answer": "right", "category": {"column": "kind"}, "items": 2,
                "few_shot": {"source": "files/own/shots.jsonl", "count": 1}},
        "noises": {"benchmark": "table", "source": "files/own/own.csv", "clip": "clip",
                   "clips": "files/sakura/data/Animal", "answer": "right", "category": "noises",
                   "audio": {"type": "noised", "position": "early", "target_len": 20}},
    },
    "experiments": [
        {"id": "T-{lora_scaling}", "model": "text", "dataset": "squad", "adapter": "ready",
         "grid": {"lora_scaling": [0, 1]}},
        {"id": "R", "model": "text", "dataset": "squad", "adapter": "rows"},
        {"id": "O", "model": "text", "dataset": "squad", "adapter": "own",
         "scorer": {"name": "file", "file": "files/mine.py"}},
        {"id": "L", "model": "audio", "dataset": "zoo"},
        {"id": "H", "model": "heard", "dataset": "zoo", "runs": 2,
         "generation": {"do_sample": True}},
        {"id": "P", "model": "text", "dataset": "own"},
        {"id": "N", "model": "heard", "dataset": "noises", "scorer": "official"},
        {"id": "I-{lora_scaling}", "dataset": "squad", "adapter": "there", "lora_scaling": 2,
         "predictions": {"source": "files/{adapter}", "format": "jsonl", "item": "id"}},
    ],
    "baseline": ["T-0", "H", "P", "N"],
    "retain": {"of": "T-0", "metric": "squad-f1"},
    "shards": 2,
}  # fmt: skip
SQUAD = """{"data": [{"title": "a", "paragraphs": [{"context": "A cat.", "qas": [
{"id": "1", "question": "What?", "answers": [{"text": "A cat", "answer_start": 0}]}]}]}]}"""
OWN = """q,A,B,right,kind,clip
What?,cat,dog,cat,pets,audio/cat0.wav
Who?,dog,cow,dog,farm,audio/dog1.wav
Why?,cow,cat,cow,farm,audio/dog1.wav
"""
CACHES = ("results/.sources.json", "results/.code.json")


def write_files(folder: Path) -> None:
    """Write the files of the local study."""
    files = folder / "files"
    write_model(files / "model")
    write_adapter(files / "adapter", files / "model")
    (files / "whisper").mkdir()
    for name in ("config.json", "preprocessor_config.json", "processor_config.json"):
        content = {"model_type": "whisper", "chunk_length": 30, "feature_extractor": {"n": 1}}
        (files / "whisper" / name).write_text(json.dumps(content))
    (files / "model/chat_template.jinja").write_text(CHAT_TEMPLATE)
    edit_json(files / "model/generation_config.json", eos_token_id=[1, 2])  # <|eot|>, too
    for name in ("beats.pt", "salmonn.pth"):
        (files / name).write_bytes(b"x")
    (files / "squad").mkdir()
    (files / "squad/dev-v1.1.json").write_text(SQUAD)
    (files / "mine.py").write_text("import beside\ndef score_item(response, item):\n    return 1\n")
    (files / "beside.py").write_text("x = 1\n")
    (files / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (files / "there").mkdir()
    (files / "there/said.jsonl").write_text('{"id": "1", "response": "A cat"}\n')
    (files / "own").mkdir()
    (files / "own/own.csv").write_text(OWN)
    row = {"q": "?", "A": "cat", "B": "dog", "right": "dog"}
    (files / "own/shots.jsonl").write_text(json.dumps(row))
    write_track(files / "sakura", "Animal", ["cat", "dog"])


def _bases() -> list[dict[str, Any]]:
    shipped = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]
    return [LOCAL, *(read_study(path) for path in shipped)]


def plan_odd_study(random: Random, given: Path) -> None:
    """Plan a study that was changed as a value, or as a file."""
    Path("files").symlink_to(given / "files")
    study = mutated(random.choice(_BASES), random, random.choice([1, 1, 2, 4]))
    if random.random() < 0.5:
        file = Path("study.yaml")
        file.write_text(as_text(study, random), encoding="utf-8", errors="surrogatepass")
        load_twice(file)
        study = read_study(file)
    elif not isinstance(study, dict):
        return
    _look_at(load_plan(study, "study.yaml"))


def load_twice(file: Path) -> None:
    """Read a file as the profile does, which ends in the same error as the package."""
    try:
        load(file)
    except ValueError:
        return


def _look_at(plan: Plan) -> None:
    """Ask a plan for all that it can tell, and whether it wrote more than its caches."""
    for line in (*plan_lines(plan, ()), *status_lines(plan, [*plan.experiments.values()])):
        assert isinstance(line, str)
    for job in [*plan.jobs.values()][:: max(1, len(plan.jobs) // 20)]:
        assert job.told().json and job.message()
    written = {str(path) for path in Path("results").rglob("*") if path.is_file()}
    assert written <= {*CACHES}, written


_BASES = _bases()
STUDY = Kind("study", write_files, plan_odd_study)

# ------------------------------------------------------------------------------------- files


def plan_odd_files(random: Random, given: Path) -> None:
    """Plan the local study over files that were exchanged for others, or damaged."""
    _link_tree(given / "files", Path("files"))
    _remember_oddly(random)
    for _ in range(random.choice([1, 1, 2])):
        paths = sorted(path for path in Path("files").rglob("*"))
        _exchange(random.choice(paths), random)
    plan = load_plan(deepcopy(LOCAL), "study.yaml")
    tuple(plan_lines(plan, ()))
    tuple(status_lines(plan, [*plan.experiments.values()]))


def _link_tree(source: Path, folder: Path) -> None:
    for path in source.rglob("*"):
        copy = folder / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not copy.exists():
            copy.symlink_to(path)


def _exchange(path: Path, random: Random) -> None:
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir() and not path.is_symlink():
        path = path / random.choice(["extra.bin", "config.json", "metadata.csv"])
    path.unlink(missing_ok=True)
    match random.randrange(8):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.symlink_to(random.choice(["/proc", "/sys", "/dev/zero", "/proc/kmsg", "/nowhere"]))
        case 4:
            path.write_text(as_text(odd(random), random), errors="surrogatepass")
        case 5:
            pass
        case _ if path.suffix == ".json" and random.random() < 0.7:
            value = mutated(json.loads(content or b"{}"), random, random.choice([1, 3]))
            path.write_text(as_json(value), errors="surrogatepass")
        case _:
            path.write_bytes(damaged_often(content, random))


def _remember_oddly(random: Random) -> None:
    """Leave what an earlier run may have left, damaged."""
    names = [*CACHES, "results/experiments/H/000000000000/fingerprint.json"]
    for name in random.sample(names, random.randrange(3)):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"files/model/config.json": [[1, 2, 3, 4], "0" * 64], "seed": {"a": [1]}}
        path.write_text(as_text(mutated(kept, random), random), errors="surrogatepass")


FILES = Kind("files", write_files, plan_odd_files)

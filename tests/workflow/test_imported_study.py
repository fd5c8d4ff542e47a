"""Predictions made elsewhere beside those made here: exported, imported, run by Snakemake."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from lorascope.inspecting.export import export_lines
from lorascope.inspecting.overview import plan_lines
from tests.support.lab import Lab, copy_repository, write_track
from tests.support.reports import rows_of
from tests.support.stagehand import Bench
from tests.support.tables import write_rows
from tests.support.tiny_text_files import write_model

ROWS = [
    {"question": f"Which is number {n}?", "choices": ["cats", "dogs", "birds"], "answer": n % 3}
    for n in range(6)
]
PLAIN = {"model": "llama", "dataset": "quiz", "generation": {"max_new_tokens": 4}}
STUDY = {
    "study": "both",
    "models": {"llama": {"family": "hf_text", "model": "llama"}},
    "datasets": {
        "quiz": {
            "benchmark": "table",
            "source": "quiz.jsonl",
            "question": "{question}\n{options}\nAnswer:",
            "options": "choices",
            "letters": ["A", "B", "C"],
            "answer": "answer",
        }
    },
    "experiments": [
        {"id": "SAID", **PLAIN},
        {"id": "CHOSEN", **PLAIN, "dataset": "chosen", "mode": "choose"},
    ],
    "baseline": ["SAID", "CHOSEN"],
}
STUDY["datasets"]["chosen"] = STUDY["datasets"]["quiz"] | {"category": "chosen"}
COLUMNS = [
    "item_id",
    "response",
    "finish_reason",
    "loglikelihoods",
    "continuation_tokens",
    "greedy",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    write_model(folder / "llama")
    write_rows(folder / "quiz.jsonl", ROWS)
    return folder


def rows(path: Path, columns: list[str]) -> list[dict]:
    return pq.read_table(path, columns=columns).to_pylist()


def test_what_was_exported_reads_back_equal_and_stands_beside_its_origin(start):
    bench: Bench = start()
    bench.finish()
    told = SimpleNamespace(id=[], format="jsonl", out=Path("out"), force=False)
    assert any("as jsonl" in line for line in export_lines(bench.plan, told))
    bench.study["experiments"] += [
        {"id": f"{one['id']}-BACK", "dataset": one["dataset"], "model": "llama"}
        | {"mode": one.get("mode"), "lora_scaling": 0}
        | {"predictions": {"source": f"out/{one['id']}.jsonl", "format": "jsonl"}}
        for one in STUDY["experiments"]
    ]
    lines = [*plan_lines(bench.plan, [])]
    assert "experiments: 4, done 2, to do 2" in lines
    assert "items to answer: 0" in lines
    folder, plan = bench.finish(), bench.plan
    scored = ["item_id", "category", "status", "choice", "credit", "weight", "margin", "reason"]
    for name in ("SAID", "CHOSEN"):
        here, back = plan.experiments[name], plan.experiments[f"{name}-BACK"]
        assert rows(back.predictions, COLUMNS) == rows(here.predictions, COLUMNS)
        scores = [plan.scores[one.id].path for one in (here, back)]
        assert rows(scores[0], scored) == rows(scores[1], scored)
    compared = rows_of((folder / "comparison.csv").read_text())
    flips = {r["experiment"]: (r["gained"], r["lost"]) for r in compared}
    assert flips["SAID-BACK"] == flips["CHOSEN-BACK"] == ("0", "0")
    series = {row["id"]: row["series"] for row in _manifest(folder)["rows"]}
    assert series["SAID"]["predictions"] == "made here"
    assert series["SAID-BACK"]["predictions"] == "imported"


def _manifest(folder: Path) -> dict:
    return json.loads(next(folder.glob("manifest-*.json")).read_text())


def test_snakemake_imports_published_results(tmp_path):
    copy_repository(tmp_path)
    write_track(tmp_path / "data-sets", "Animal", ["cat", "dog"])
    question = "Which one is heard? (a) cat (b) dog"
    results = {
        f"{animal}{n}.wav": {"instruction": question, "response": f"A {animal}.", "label": animal}
        for animal in ("cat", "dog")
        for n in (0, 1)
    }
    results["dog1.wav"]["response"] = "A cat."
    whole = {"attribute": "Animal", "type": "single", "results": results}
    (tmp_path / "there.json").write_text(json.dumps(whole))
    zoo = {"benchmark": "sakura", "source": "data-sets", "tracks": ["animal"], "hops": ["single"]}
    entry = {"id": "PUB", "dataset": "zoo", "predictions": {"source": "there.json"}}
    entry["predictions"]["format"] = "sakura"
    lab = Lab(
        tmp_path,
        {"study": "s", "datasets": {"zoo": zoo}, "experiments": [entry], "baseline": "PUB"},
    )
    done = lab.snakemake("--until", "importing")
    assert done.returncode == 0, done.stdout
    assert [(job.rule, job.message) for job in lab.ran] == [
        ("dataset", "dataset zoo: read the questions and check the clips"),
        ("importing", "PUB: imported from there.json (sakura): new"),
    ]
    (path,) = lab.results("experiments/PUB/*/imported.parquet")
    assert [row["response"] for row in rows(path, ["response"])] == [
        *("A cat.", "A cat.", "A dog.", "A cat."),
    ]

"""Studies of a user's own rows, of at most 25 lines, from a file or the hub to the report."""

import csv
import json
from copy import deepcopy
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from lorascope.errors import UserError
from lorascope.planning.plan import load_plan
from tests.support.hub import FIXTURES, parquet
from tests.support.hub_study import HubStudy
from tests.support.lab import write_clip
from tests.support.small_study import STUDY as SMALL
from tests.support.stagehand import Bench, link_all
from tests.support.tables import write_rows
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import write_adapter, write_model

hub, machine = FIXTURES
ROWS = [
    {"question": f"Which is number {n}?" + "?" * (n % 3), "choices": ["cats", "dogs", "birds"]}
    | {"answer": "ABC"[n % 3], "subject": ["zoo", "farm"][n % 2]}
    for n in range(8)
]
STUDY = """\
study: own
models:
  llama: {family: hf_text, model: llama}
adapters:
  mine: {model: llama, source: adapter}
datasets:
  quiz:
    benchmark: table
    source: data/quiz.jsonl
    question: "{question}\\n{options}\\nAnswer:"
    options: choices
    letters: [A, B, C]
    answer: answer
    category: {column: subject}
    few_shot: {count: 1}
experiments:
  - id: LoRA-{lora_scaling}
    model: llama
    adapter: mine
    dataset: quiz
    generation: {max_new_tokens: 4}
    grid: {lora_scaling: [0.5, 1]}
  - {id: BASE, model: llama, dataset: quiz, generation: {max_new_tokens: 4}}
baseline: BASE
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_adapter(folder / "adapter", write_model(folder / "llama"))
    return folder


@pytest.fixture
def start(linked, capsys):
    """Return a function that starts a study in a new folder with model, adapter and rows."""
    write_rows(linked / "data/quiz.jsonl", ROWS)

    def started(text: str = STUDY, **keys) -> Bench:
        study = yaml.safe_load(text)
        study["datasets"]["quiz"] |= keys
        return Bench(study, capsys)

    return started


def accuracies(folder: Path) -> dict[tuple[str, str], str]:
    text = (folder / "accuracy.csv").read_text(encoding="utf-8").splitlines()
    return {(r["experiment"], r["category"]): r["accuracy"] for r in csv.DictReader(text)}


def test_rows_with_options_go_from_file_to_report(start):
    assert len(STUDY.splitlines()) <= 25
    bench = start()
    found = accuracies(bench.finish())
    assert {*found} >= {
        (name, category) for name in ("BASE", "LoRA-0.5", "LoRA-1") for category in ("zoo", "farm")
    }
    [planned] = bench.plan.datasets.values()
    items = pq.read_table(planned.items).to_pylist()
    assert len(items) == 7
    assert planned.counts(None) == {
        kind: sum(item["category"] == kind for item in items) for kind in ("zoo", "farm")
    }
    for answered in bench.plan.experiments.values():
        ids = pq.read_table(answered.predictions)["item_id"].to_pylist()
        assert sorted(ids) == sorted(item["item_id"] for item in items)


def test_a_changed_row_an_example_or_a_mapping_makes_the_items_anew(start, tmp_path):
    dev = {"few_shot": {"source": "dev.csv", "count": 1}, "options": ["a", "b"], "letters": None}
    rows = [
        {"question": f"{n}?", "a": "x", "b": "y", "answer": "x", "subject": "s"} for n in (1, 2)
    ]
    write_rows(tmp_path / "data/quiz.jsonl", rows)
    write_rows(tmp_path / "dev.csv", rows[:1])

    def digest(**keys) -> str:
        return start(**dev | keys).plan.datasets["quiz"].digest

    first = digest()
    assert digest(options=["b", "a"]) != first
    assert digest(few_shot={"source": "dev.csv", "count": 1, "seed": 1}) != first
    assert digest() == first
    write_rows(tmp_path / "dev.csv", [rows[0] | {"question": "other"}])
    second = digest()
    assert second != first
    write_rows(tmp_path / "data/quiz.jsonl", rows[:1])
    assert digest() not in (first, second)


def test_a_bad_table_is_refused_by_the_plan_and_bad_rows_before_anything_is_inferred(start):
    with pytest.raises(UserError, match=r"data/quiz\.jsonl: no column 'correct', which answer nam"):
        assert start(answer="correct").plan
    write_rows(Path("data/quiz.jsonl"), [*ROWS, ROWS[0] | {"answer": "D"}])
    bench = start()
    [job] = [job for job in bench.plan.left() if job.stage.name == "dataset"]
    code, told = bench.run(job)
    assert code == 1
    assert "data/quiz.jsonl: line 9: column answer: 'D' is not among the options" in told
    write_rows(Path("data/quiz.jsonl"), [])
    with pytest.raises(UserError, match="holds no rows"):
        assert start().plan


def test_what_is_not_here_is_planned_as_absent(start):
    Path("data/quiz.jsonl").unlink()
    plan = start().plan
    assert plan.datasets["quiz"].counts(None) is None
    assert {absent.source for absent in plan.context.absent.values()} >= {"data/quiz.jsonl"}


def test_conditions_of_the_same_rows_share_a_category_and_other_rows_do_not(start):
    study = yaml.safe_load(STUDY)
    other = {**study["datasets"]["quiz"], "items": 3}
    study["datasets"]["fewer"] = other
    study["experiments"].append({"id": "X", "model": "llama", "dataset": "fewer"})
    with pytest.raises(UserError, match="give the dataset of one a category of its own"):
        load_plan(study, "study.yaml")


def test_rows_of_the_hub_go_from_download_to_report(files, hub, tmp_path, capsys):
    keys = {"source": {"hub": "lab/quiz"}, "files": "data/test-*.parquet"}
    keys["few_shot"] = {"files": "data/dev-*.jsonl", "count": 2}
    study = yaml.safe_load(STUDY)
    study["datasets"]["quiz"] |= keys
    at_hub = HubStudy(tmp_path / "lab", study, hub=hub)
    link_all(files, at_hub.folder)
    hub.repositories["dataset", "lab/quiz"] = {
        "data/test-00000-of-00002.parquet": parquet(ROWS[:5]),
        "data/test-00001-of-00002.parquet": parquet(ROWS[5:]),
        "data/dev-0.jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
    }
    bench = Bench(study, capsys)
    assert bench.plan.datasets["quiz"].counts(None) is None
    at_hub.fetch()
    assert bench.plan.datasets["quiz"].counts(None) == {"zoo": 4, "farm": 4}
    found = accuracies(bench.finish())
    assert ("BASE", "zoo") in found


def test_rows_about_clips_go_from_files_to_features_and_answers(tmp_path, monkeypatch, capsys):
    """The clips lie neither beside the rows nor below them."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    write_salmonn(Path("models"))
    rows = [{"wav": f"{n}.wav", "animal": ["cat", "dog"][n % 2]} for n in range(4)]
    for number, row in enumerate(rows):
        write_clip(Path("sounds", row["wav"]), 0.3, 200 + 50 * number)
    write_rows(Path("data/heard.csv"), [row | {"A": "cat", "B": "dog"} for row in rows])
    study = deepcopy(SMALL)
    study["datasets"]["zoo"] = {
        "benchmark": "table",
        "source": "data/heard.csv",
        "clip": "wav",
        "clips": "sounds",
        "question": "Which animal is it? {options}",
        "options": ["A", "B"],
        "answer": "animal",
    }
    bench = Bench(study, capsys)
    found = accuracies(bench.finish())
    assert {*found} >= {("SF-0", "table"), ("SF-1", "table")}
    data = {key: study["datasets"]["zoo"][key] for key in ("source", "clip", "clips")}
    data |= {"format": "table", "answer": "animal", "question": "Which animal is it?"}
    bench.study["adapters"] = {"own": {"model": "tiny", "train": {"data": data}}}
    bench.study["experiments"][0]["adapter"] = "own"
    [training] = [job for job in bench.plan.left() if job.stage.name == "finetune"]
    assert (training.told().root, training.told().clips) == ("data/heard.csv", "sounds")
    # A changed clip is seen, though it lies elsewhere.
    write_clip(Path("sounds/0.wav"), 0.3, 900)
    assert "encode" in bench.left()

"""A study of tasks of lm-evaluation-harness, from the hub to the report."""

import json

import pyarrow.parquet as pq
import pytest

from lorascope.benchmarks.items import from_table
from lorascope.benchmarks.lm_eval import looking
from lorascope.errors import UserError
from lorascope.inspecting.overview import item_counts
from lorascope.storage.records import read_table
from tests.support.hub import COMMIT, FIXTURES, NEWER, parquet
from tests.support.hub_study import LLAMA, HubStudy
from tests.support.lm_eval_tasks import (
    environment,
    gsm8k,
    in_this_process,
    write_task,
)

hub, _ = FIXTURES
__all__ = ["environment"]
CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train-*}
  - {split: test, path: main/test-*}
- config_name: other
  data_files:
  - {split: test, path: other/test-*}
---
"""
SHORT = {"until": ["\n\n"], "do_sample": False, "max_gen_toks": 6}


def repository(first: int) -> dict[str, bytes]:
    """Return a data set of two configurations, with questions from a number on."""
    return {
        "README.md": CARD,
        "main/train-00000-of-00001.parquet": parquet([gsm8k(i) for i in range(4)]),
        "main/test-00000-of-00001.parquet": parquet([gsm8k(first + i) for i in range(5)]),
        "other/test-00000-of-00001.parquet": parquet([gsm8k(0)]),
    }


@pytest.fixture
def whole(hub, tmp_path, monkeypatch) -> HubStudy:
    monkeypatch.chdir(tmp_path)
    made = HubStudy(tmp_path / "lab", study_of("tiny_sums"), hub=hub)
    hub.repositories["dataset", "lab/sums"] = repository(10)
    from_hub = {"dataset_path": "lab/sums", "dataset_name": "main", "dataset_kwargs": None}
    write_task(made.folder, "sums", of="gsm8k", generation_kwargs=SHORT, **from_hub)
    write_task(made.folder, "local", of="gsm8k", generation_kwargs=SHORT)
    return made


@pytest.fixture
def study(whole, monkeypatch) -> HubStudy:
    """Return the study, whose plans ask the harness in this process, which is quicker."""
    monkeypatch.setattr(looking, "_ask", in_this_process)
    return whole


def study_of(task: str, **keys) -> dict[str, object]:
    dataset = {"benchmark": "lm_eval", "task": task, "include_path": "tasks", "num_fewshot": 1}
    return {
        "study": "sums",
        "models": {"llama": {"family": "hf_text", "model": str(LLAMA)}},
        "datasets": {"sums": {**dataset, **keys}},
        "experiments": [
            {"id": "S-{seed}", "model": "llama", "dataset": "sums", "grid": {"seed": [0]}}
        ],
        "baseline": "S-0",
        "limit": 3,
    }


def items(study):
    planned = study.planned().datasets["sums"]
    return from_table(read_table(planned.items, "items", planned.digest))


def test_tasks_come_from_the_hub_once_and_are_run_without_it(whole, hub):
    study = whole
    [download] = study.planned().of_stage("download")
    assert download.out.name == "datasets--lab--sums@main--repository.json"
    study.fetch()
    assert json.loads(download.out.read_text())["commit"] == COMMIT
    hub.requests.clear()
    assert item_counts(study.planned()) == {"sums": None}
    assert study.answer() == {}
    assert hub.requests == []
    assert item_counts(study.planned()) == {"sums": 3}
    made = items(study)
    assert [item.item_id for item in made] == ["tiny_sums/0", "tiny_sums/1", "tiny_sums/2"]
    assert "How much is 10 and 11?" in made[0].question
    scores = pq.read_table(study.planned().scores["S-0"].path)
    named = {f"tiny_sums-exact_match-{f}" for f in ("strict-match", "flexible-extract")}
    assert {*scores["category"].to_pylist()} == named
    page = (study.planned().report.folder / "accuracy.md").read_text()
    assert f"datasets/lab/sums@main/repository at commit {COMMIT}" in page


def test_a_data_set_that_moved_is_other_items(study, hub):
    study.fetch()
    assert study.run(until="dataset") == {}
    first = study.planned().datasets["sums"].digest
    [marker] = study.results("downloads/*.json")
    marker.unlink()
    hub.commit = NEWER
    hub.repositories["dataset", "lab/sums"] = repository(70)
    [folder] = study.results("downloads/datasets/lab/*")
    folder.rename("elsewhere")
    assert "moved from commit" in study.fetch()
    assert study.planned().datasets["sums"].digest != first
    assert study.run(until="dataset") == {}
    assert "How much is 70 and 71?" in items(study)[0].question


def test_a_commit_is_asked_for_where_the_study_names_one(study, hub):
    hub.commit = commit = "0123456789abcdef" * 2 + "01234567"
    study.study["datasets"]["sums"]["revisions"] = {"lab/sums": commit}
    [download] = study.planned().of_stage("download")
    assert download.out.name == f"datasets--lab--sums@{commit}--repository.json"
    assert "main" not in study.fetch()
    assert study.run(until="dataset") == {}


def test_downloaded_data_that_was_edited_is_refused(study):
    study.fetch()
    [file] = study.results("downloads/datasets/lab/*/files/main/test-*")
    file.write_bytes(parquet([gsm8k(i) for i in range(5)]))
    [said] = study.run(until="dataset").values()
    assert (
        "is not what was downloaded; remove results/downloads/datasets/lab/sums@main--rep" in said
    )


def test_local_data_is_in_the_fingerprint_by_its_content(study):
    study.study = study_of("tiny_local")
    first = study.planned().datasets["sums"].digest
    assert [*study.planned().of_stage("download")] == []
    assert study.run(until="dataset") == {}
    file = study.folder / "data/local-test.jsonl"
    file.write_text(file.read_text().replace("How much", "What"))
    assert study.planned().datasets["sums"].digest != first
    study.study = study_of("tiny_local", num_fewshot=2)
    assert study.planned().datasets["sums"].digest != first
    file.unlink()
    context = study.planned().context
    assert [absent.part for absent in context.absent.values()] == [file.relative_to(study.folder)]


def test_what_the_harness_refuses_names_file_and_dataset(study):
    write_task(study.folder, "code", of="gsm8k", unsafe_code=True)
    study.study = study_of("tiny_code")
    with pytest.raises(UserError) as caught:
        study.planned()
    assert str(caught.value) == (
        "study.yaml: datasets.sums: task: tiny_code is not run here: it runs the code that a "
        "model writes"
    )

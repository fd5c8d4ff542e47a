"""A branch on the hub moves: the commit that was fetched decides every number of a study."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from lorascope.storage.journal import Journal
from tests.support.hub import COMMIT, FIXTURES, NEWER
from tests.support.hub_study import HubStudy, llama_files, text_study
from tests.support.small_study import AtWork

hub, _ = FIXTURES


@pytest.fixture
def study(hub, tmp_path, monkeypatch) -> HubStudy:
    monkeypatch.chdir(tmp_path)
    return HubStudy(tmp_path / "lab", text_study(1), hub=hub)


def page(study: HubStudy) -> str:
    return (study.planned().report.folder / "accuracy.md").read_text()


def test_a_branch_that_moves_between_two_jobs_moves_no_number(study):
    study.fetch()
    assert study.answer() == {}
    assert study.exact() == {"T-1": 100}
    study.move()
    study.study = text_study(1, 2)
    assert study.fetch() == ""  # it is here
    assert study.answer() == {}
    assert study.exact() == {"T-1": 100, "T-2": 100}
    assert f"lab/llama@main at commit {COMMIT}" in page(study)
    assert f"datasets/lab/squad@main at commit {COMMIT}" in page(study)
    assert NEWER not in page(study)
    [manifest] = study.results("reports/moving/manifest-*.json")
    said = json.loads(manifest.read_text())
    expected = {"lab/llama@main": COMMIT, "datasets/lab/squad@main": COMMIT}
    assert said["sources"] == {source: [commit] for source, commit in expected.items()}
    assert [environment["sources"] for environment in said["ran"]] == [expected]


def test_a_source_that_is_fetched_anew_plans_anew_what_was_made_of_it(study):
    """Nothing of the earlier commit is in the new report; it stays, and is found again."""
    study.fetch()
    assert study.answer() == {}
    study.marker().unlink()
    study.publish(NEWER, llama_files(spoilt=True))
    study.study = text_study(1, 2)
    assert "moved from commit" in study.fetch()
    assert study.answer() == {}
    assert study.exact() == {"T-1": 0, "T-2": 0}
    assert f"lab/llama@main at commit {NEWER}" in page(study)
    study.marker().unlink()
    study.publish(COMMIT, llama_files())
    study.study = text_study(1)
    study.fetch()
    assert {job.stage.name for job in study.planned().left()} == {"page", "report"}
    assert study.answer() == {}
    assert study.exact() == {"T-1": 100}


def test_a_source_that_moves_after_planning_is_refused_by_the_jobs_of_that_plan(study):
    study.fetch()
    planned = [job for job in study.planned().left() if job.stage.name == "infer"]
    assert study.run(until="dataset") == {}
    study.marker().unlink()
    study.publish(NEWER, llama_files(spoilt=True))
    study.fetch()
    [job] = planned
    failed = AtWork(job, study.cached)
    assert failed.finished() == 1
    assert "moved to another commit since this run was planned; run snakemake" in failed.output()


def test_a_result_of_another_commit_than_the_markers_is_moved_aside_and_made_again(study):
    """Who removes all that is known of downloads leaves results whose digest is the planned one."""
    study.fetch()
    assert study.answer() == {}
    study.study = text_study(1, 2)
    shutil.rmtree("results/downloads")
    study.publish(NEWER, llama_files(spoilt=True))
    study.fetch()
    # The items first, then, since they are there, the report: a run for each.
    first, second = (" ".join(study.answer().values()) for _ in range(2))
    for said, folder in ((first, "results/datasets/squad"), (second, "results/experiments/T-1")):
        assert f"{folder}/" in said
        assert f"at commit {COMMIT}, and results/downloads/" in said
        assert f"says {NEWER}; moved aside to" in said
    assert study.answer() == {}
    assert study.exact() == {"T-1": 0, "T-2": 0}
    assert study.planned().left() == []


@pytest.mark.thorough
def test_an_answer_of_another_commit_in_a_journal_is_asked_for_again(study):
    study.fetch()
    assert study.answer() == {}
    [planned] = study.planned().experiments.values()
    rows = pq.read_table(planned.predictions).to_pylist()
    runtime = pq.read_table(planned.runtime).to_pylist()
    shutil.rmtree(planned.folder)
    (planned.folder / "answers").mkdir(parents=True)
    journal = Journal(planned.folder / "answers", planned.digest, "0-of-1")
    for row, ran in zip(rows, runtime, strict=True):
        environment = json.loads(ran["environment"])
        environment["sources"]["lab/llama@main"] = NEWER
        spoilt = {**row, **ran, "response": "never said", "environment": environment}
        journal.append([spoilt])
    assert study.answer() == {}
    assert study.exact() == {"T-1": 100}

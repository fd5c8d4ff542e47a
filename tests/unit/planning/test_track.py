"""The study's key ``tracking``: what it plans, what it refuses, and that it changes no digest."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import UserError
from lorascope.planning import track
from lorascope.planning.plan import Plan, load_plan
from tests.support.tiny_text_files import write_model
from tests.support.trainings import ROWS, write_rows

STUDY: dict[str, Any] = {
    "study": "zoo",
    "models": {"llama": {"family": "hf_text", "model": "model"}},
    "adapters": {
        "tuned": {"model": "llama", "train": {"data": {"format": "jsonl", "source": "rows.jsonl"}}}
    },
    "datasets": {"squad": {"benchmark": "squad", "source": "nowhere.json"}},
    "experiments": [
        {"id": "BASE", "model": "llama", "dataset": "squad"},
        {"id": "TUNED", "model": "llama", "adapter": "tuned", "dataset": "squad"},
    ],
    "baseline": "BASE",
}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(Path("model"))
    write_rows(Path("rows.jsonl"), ROWS)


def plan(*trackers: str) -> Plan:
    return load_plan(deepcopy(STUDY) | {"tracking": [*trackers]}, "study.yaml")


def test_tracking_is_in_no_digest_and_adds_a_job_a_tracker(monkeypatch):
    monkeypatch.setattr(track, "find_spec", lambda name: True)
    plain, tracked = plan(), plan("wandb", "mlflow", "wandb")
    assert plain.jobs.keys() < tracked.jobs.keys()
    report = tracked.report.digest
    sent = [f"results/tracking/{name}/zoo/tables-{report}.json" for name in ("wandb", "mlflow")]
    assert {*map(str, tracked.jobs.keys() - plain.jobs.keys())} == {*sent}
    assert set(tracked.targets()) - set(plain.targets()) == {*map(Path, sent)}
    told = json.loads(next(tracked.of_stage("finetune")).told().json)
    assert (told["tracking"], told["study"]) == (["wandb", "mlflow"], "zoo")


def test_one_that_is_not_installed_is_refused_with_the_command(monkeypatch):
    monkeypatch.setattr(track, "find_spec", lambda name: name != "trackio")
    with pytest.raises(
        UserError,
        match=r"^study\.yaml: tracking: trackio is not installed; pip install trackio, or leave",
    ):
        plan("mlflow", "trackio")


def test_one_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(UserError, match=r"study\.yaml: tracking.*comet.*tensorboard.*wandb"):
        plan("comet")

"""Trackers beside trainings: what tensorboard holds, and that nothing depends on a tracker."""

import os
import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("tensorboard")

from lorascope.models.finetuning.outputs import WEIGHTS
from lorascope.stages import finetune
from lorascope.storage.records import read_table
from tests.support.trainings import Killed, command, kill_after, train, write_job

DIGEST = "0123456789ab"
SHORT = {"epochs": 2, "save_steps": 2}


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the adapter of the training that nothing tracks."""
    folder = tmp_path_factory.mktemp("untracked")
    return (train(write_job(folder, **SHORT), folder / "out") / WEIGHTS).read_bytes()


def run(job: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the stage as its rule does."""
    monkeypatch.setattr(sys, "argv", ["finetune", *command(job, out)])
    assert finetune.main() == 0
    return out


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return tag -> steps and values that event files in ``folder`` hold."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    tags = found.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in tags}


def logged(out: Path, column: str) -> list[tuple[int, float]]:
    table = read_table(out / "training.parquet", "training", DIGEST).to_pydict()
    return list(zip(table["step"], np.float32(table[column]).tolist(), strict=True))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_the_events_are_the_log_and_the_adapter_is_the_same(tmp_path, monkeypatch, untracked):
    job = write_job(tmp_path, tracking=["tensorboard"], **SHORT)
    out = run(job, tmp_path / "out", monkeypatch)
    events = scalars(tmp_path / f"results/tracking/tensorboard/tracked/trainings/tuned-{DIGEST}")
    assert len(events["train/loss"]) == 6
    for name in ("loss", "learning_rate", "grad_norm", "tokens"):
        assert events[f"train/{name}"] == logged(out, name)
    assert (out / WEIGHTS).read_bytes() == untracked


def test_a_training_that_goes_on_has_each_step_once(tmp_path, monkeypatch):
    job = write_job(tmp_path, tracking=["tensorboard"], **SHORT)
    with monkeypatch.context() as killing:
        kill_after(killing, 5)
        with pytest.raises(Killed):
            run(job, tmp_path / "out", killing)
    out = run(job, tmp_path / "out", monkeypatch)
    events = scalars(tmp_path / f"results/tracking/tensorboard/tracked/trainings/tuned-{DIGEST}")
    assert events["train/loss"] == logged(out, "loss")


def test_a_tracker_that_fails_is_warned_of_and_the_training_goes_on(
    tmp_path, monkeypatch, untracked
):
    """A client that draws random numbers, and whose server then refuses the key it was given."""
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    seen = []

    class Refused(TrainerCallback):
        _wandb = ModuleType("wandb")
        _wandb.run = None

        def on_train_begin(self, *_, **__):
            seen.append((random.random(), np.random.rand(), os.environ["WANDB_PROJECT"]))

        def on_log(self, *_, **__):
            seen.append("log")
            raise ConnectionError("401 for key secret-123\nand more")

    monkeypatch.setenv("WANDB_API_KEY", "secret-123")
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "wandb", Refused)
    out = run(write_job(tmp_path, tracking=["wandb"], **SHORT), tmp_path / "out", monkeypatch)
    assert (out / WEIGHTS).read_bytes() == untracked
    assert (len(seen), seen[0][2], seen[1]) == (2, "tracked", "log")
    text = (tmp_path / "out.log").read_text()
    assert f"tuned-{DIGEST}: no longer tracked by wandb (401 for key ***); the training" in text
    assert "secret-123" not in text

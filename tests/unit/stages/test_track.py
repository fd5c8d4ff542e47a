"""The tables of a report as trackers hold them; each that is not installed is skipped."""

import csv
import json
import os
import re
import sqlite3
import struct
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lorascope.planning.report import MANIFEST
from lorascope.planning.track import TrackJob, tracker_folder
from lorascope.stages import track
from lorascope.storage.records import file_sha256, write_document

ACCURACY = """\
experiment,base,run_num,category,correct,incorrect,total,accuracy,accuracy_delta
1.0,1.0,0,animal-single,1,2,3,33.333333333333336,0.0
1.0,1.0,0,NA,3,0,3,100.0,
S-4,S-4,0,animal-single,2,1,3,66.66666666666667,33.3333
S-4,S-4,0,"odd, (one)",0,3,3,0.0,-12.5
"""


def needs(tracker: str) -> pytest.MarkDecorator:
    """Skip without a tracker; some read their variables when they are imported, so none is yet."""
    return pytest.mark.skipif(not find_spec(tracker), reason=f"{tracker} is not installed")


@pytest.fixture(autouse=True)
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a report's files by hand; move there, to a folder with a blank in its name."""
    folder = tmp_path / "a b"
    (folder / "report").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    Path("report/accuracy.csv").write_text(ACCURACY)
    Path("report/accuracy.md").write_text("# The study\n")
    import matplotlib.image

    matplotlib.image.imsave("report/accuracy.png", np.full((4, 5, 3), 0.5))
    files = {path.name: file_sha256(path) for path in Path("report").iterdir()}
    write_document(Path("report/manifest.json"), MANIFEST, "abc", {"files": files})
    return folder / "report"


def run(tracker: str, monkeypatch: pytest.MonkeyPatch, folder: str | None = None) -> dict:
    """Run the stage; it always ends well. Return what it wrote."""
    names = ("accuracy.md", "accuracy.csv", "accuracy.png")
    job = TrackJob(
        fingerprint={"stage": "track", "tracker": tracker, "report": "abc"},
        digest="d",
        tracker=tracker,
        study="zoo/limit-2",
        folder=folder or tracker_folder(tracker),
        manifest="report/manifest.json",
        files=[f"report/{name}" for name in names],
    )
    Path("job.json").write_text(job.json)
    options = ["--job", "job.json", "--out", f"{tracker}/sent.json", "--log", "track.log"]
    monkeypatch.setattr(sys, "argv", ["track", *options])
    assert track.main() == 0, Path("track.log").read_text()
    return json.loads(Path(tracker, "sent.json").read_text())


def expected() -> dict[str, float]:
    rows = csv.DictReader(ACCURACY.splitlines())
    values = {}
    for row in rows:
        name = f"{row['category']}/{row['experiment']}"
        values[name] = float(row["accuracy"])
        if row["accuracy_delta"]:
            values[f"{name}/delta"] = float(row["accuracy_delta"])
    assert len(values) == 7
    return values


def test_tensorboard_has_the_values_of_the_table_once(monkeypatch):
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError
    )
    for _ in range(2):
        sent = run("tensorboard", monkeypatch)
    assert sent["problem"] is None
    found = accumulators.EventAccumulator(sent["where"]).Reload()
    values = {tag: [e.value for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert values == {name: [np.float32(value)] for name, value in expected().items()}
    (image,) = found.Images("accuracy")
    assert (image.width, image.height) == (5, 4)
    assert Path(sent["where"]).is_relative_to("results/tracking/tensorboard/zoo/limit-2")


def records(file: Path) -> Iterator[bytes]:
    """Yield the records of a file as wandb writes it offline: blocks of LevelDB's log."""
    data, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # the rest of a block is empty
            place += 32768 - place % 32768
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part of one
            yield whole
            whole = b""


@needs("wandb")
def test_wandb_offline_has_the_values_of_the_table(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    sent = run("wandb", monkeypatch)
    assert sent["problem"] is None
    from wandb.proto import wandb_internal_pb2

    (file,) = Path("results/tracking/wandb").rglob("*.wandb")
    values = {}
    for data in records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for update in record.summary.update:
            values["/".join([update.key, *update.nested_key]).strip("/")] = update.value_json
    assert {name: json.loads(values[name]) for name in expected()} == expected()


@needs("mlflow")
def test_mlflow_in_a_file_has_the_values_of_the_table(monkeypatch):
    sent = run("mlflow", monkeypatch)
    assert sent["problem"] is None
    import mlflow

    (found,) = mlflow.search_runs(experiment_names=["zoo-limit-2"], output_format="list")
    names = {re.sub("[,()]", "_", name): value for name, value in expected().items()}
    assert found.data.metrics == names
    kept = {file.path for file in mlflow.MlflowClient().list_artifacts(found.info.run_id)}
    assert kept == {"accuracy.csv", "accuracy.md", "accuracy.png"}
    assert not Path("mlruns").exists()


@needs("trackio")
def test_trackio_has_the_values_of_the_table(monkeypatch):
    sent = run("trackio", monkeypatch)
    assert sent["problem"] is None
    (file,) = Path("results/tracking/trackio").glob("zoo-limit-2*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT run_name, metrics FROM metrics").fetchall()
    assert {name for name, _ in rows} == {"tables-abc"}
    values = {k: v for _, text in rows for k, v in json.loads(text).items()}
    assert {name: values[name] for name in expected()} == expected()


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow", "trackio"])
def test_a_tracker_that_fails_is_warned_of_without_its_key(tracker, monkeypatch):
    def refuse(*_: object) -> str:
        raise ConnectionError("no route to https://me:hidden-1@host with hidden-2\n  at line 3")

    monkeypatch.setenv("WANDB_API_KEY", "hidden-2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hidden-1@host")
    monkeypatch.setitem(track.trackers.SENDERS, tracker, refuse)
    sent = run(tracker, monkeypatch)
    text = Path("track.log").read_text() + json.dumps(sent)
    assert f"{tracker}: the tables were not sent (no route to https://***@host with ***)" in text
    assert f"remove {tracker}/sent.json and run snakemake" in text
    assert "hidden" not in text
    assert sent["where"] is None


def test_a_place_that_cannot_be_written_is_warned_of(monkeypatch):
    pytest.importorskip("tensorboard")
    Path("taken").write_text("")
    assert "taken" in run("tensorboard", monkeypatch, folder="taken")["problem"]


def test_a_table_that_is_not_the_reports_is_not_sent(monkeypatch):
    Path("report/accuracy.csv").write_text(ACCURACY.replace("66.", "99."))
    with pytest.raises(AssertionError, match="not as the report wrote it"):
        run("tensorboard", monkeypatch)
    assert not Path("report/accuracy.csv").exists()

"""The gate reads verdicts and ends the study on those that its stop_on names."""

import json
import sys
from pathlib import Path

import pytest

from lorascope.planning.gate import GateJob
from lorascope.planning.report import MANIFEST
from lorascope.stages import gate
from lorascope.storage.records import file_sha256, read_document, write_document

HEADER = "experiment,of,metric,at_least,confidence,base,score,retention,lower,upper,verdict\n"
ROWS = (
    "KEPT,BASE,squad-em,0.9,0.95,60,60,1.0,0.97,1.02,pass\n"
    "LOST,BASE,squad-em,0.9,0.95,60,30,0.5,0.45,0.55,fail\n"
    "UNSURE,BASE,squad-em,0.9,0.95,60,54,0.9,0.85,0.95,undecided\n"
    "LOST,BASE,squad-f1,0.9,0.95,60,30,0.4,0.35,0.45,fail\n"
)


def entry(stop_on: str, metric: str = "squad-em") -> dict:
    return {
        "of": "BASE",
        "metric": metric,
        "at_least": 0.9,
        "confidence": 0.95,
        "stop_on": stop_on,
    }


@pytest.fixture
def stage(tmp_path, monkeypatch, capsys):
    """Run the gate for the entries of ``retain``; return its exit code, message and output."""
    table, job, out = tmp_path / "retention.csv", tmp_path / "job.json", tmp_path / "out.json"
    manifest = tmp_path / "manifest.json"
    table.write_text(HEADER + ROWS)
    write_document(manifest, MANIFEST, "d", {"files": {table.name: file_sha256(table)}})

    def start(*retain: dict) -> tuple[int, str, Path]:
        fingerprint = {"stage": "gate", "retain": retain}
        job.write_text(GateJob(fingerprint, "d", str(table), str(manifest)).json)
        arguments = ["--job", str(job), "--out", str(out), "--log", str(tmp_path / "log")]
        monkeypatch.setattr(sys, "argv", ["gate", *arguments])
        return gate.main(), capsys.readouterr().err, out

    return start


def test_a_failed_experiment_is_named_and_nothing_is_written(stage):
    code, text, out = stage(entry("fail"))
    assert code == 1
    assert "LOST: fail, keeps 0.5 of BASE in squad-em (bounds 0.45 to 0.55, asked 0.9)" in text
    assert "UNSURE" not in text
    assert "KEPT" not in text
    assert "squad-f1" not in text
    assert "Traceback" not in text
    assert not out.exists()


def test_an_undecided_experiment_stops_a_study_that_says_so(stage):
    code, text, _ = stage(entry("undecided"))
    assert code == 1
    assert "LOST: fail" in text
    assert "UNSURE: undecided" in text


def test_entries_that_never_stop_pass_and_their_verdicts_are_kept(stage):
    code, _, out = stage(entry("never"), entry("fail", "squad-x"))
    assert code == 0
    verdicts = json.loads(out.read_text())["verdicts"]
    assert [row["verdict"] for row in verdicts] == ["pass", "fail", "undecided", "fail"]


def test_each_entry_stops_on_its_own_metric(stage):
    _, text, _ = stage(entry("never"), entry("fail", "squad-f1"))
    assert "LOST: fail, keeps 0.4 of BASE in squad-f1" in text
    assert "squad-em" not in text


def test_a_missing_table_is_named(stage, tmp_path):
    (tmp_path / "retention.csv").unlink()
    code, text, _ = stage(entry("fail"))
    assert code == 1
    assert "retention.csv: No such file or directory" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["retention.csv", "manifest.json"])
@pytest.mark.parametrize("damage", ["empty", "edited", "another's"])
def test_a_table_that_its_report_did_not_write_decides_nothing(stage, tmp_path, name, damage):
    path = tmp_path / name
    if damage == "another's" and name == "manifest.json":
        content = read_document(path, MANIFEST, "d")
        write_document(path, MANIFEST, "e", content)
    else:
        text = path.read_text().replace("0.5", "0.95").replace("files", "filez")
        path.write_text("" if damage == "empty" else text)
    code, text, out = stage(entry("fail"))
    assert code == 1
    assert f"{name}: " in text and "moved aside" in text
    assert "LOST" not in text
    assert not out.exists() and not path.exists()

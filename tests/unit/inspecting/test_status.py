import fcntl
import json
from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.inspecting.status import failure, stopped_lines
from lorascope.planning.infer import PlannedExperiment
from lorascope.planning.plan import Plan
from lorascope.planning.reasons import FINGERPRINT
from lorascope.storage.journal import Journal
from lorascope.storage.records import write_json, write_table
from tests.support.studies import STUDY, make, run, write

STATUS = ("status", "--configfile", "study.yaml")
PLAN = ("plan", "--configfile", "study.yaml")
AT = "2026-01-01 00:00:00,000"


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return write(STUDY)


def answer(journal: Journal, batches: list[float]) -> None:
    """Write batches of four answers, finished at these times."""
    for batch, finished in enumerate(batches):
        names = [f"{journal.writer}/{batch}/{row}" for row in range(4)]
        journal.append([{"item_id": name, "finished": finished} for name in names])


def write_log(path: str, *lines: str) -> Path:
    file = Path("results/logs") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_a_running_experiment_tells_rate_and_time_left(plan, capsys):
    planned = plan.experiments["SF-0"]
    folder, digest = planned.folder / "answers", planned.digest
    journals = [Journal(folder, digest, f"{shard}-of-2") for shard in range(2)]
    with journals[0].held(), journals[1].held():
        answer(journals[0], [1000, 1002, 1004])
        answer(journals[1], [1000, 1004])
        line = run(capsys, *STATUS)[0]
    assert "infer running (20 of 4000 items, 3 a second, 0:22:07 left, 2 at work)" in line
    line = run(capsys, *STATUS)[0]
    assert "infer missing (20 of 4000 items answered), score missing (new)" in line


def test_a_running_encode_job(plan, capsys):
    features = plan.experiments["SF-0"].features
    make(features.dataset.items, features.folder / "parts/0-of-1.lock")
    with (features.folder / "parts/0-of-1.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "dataset done, encode running, infer missing" in run(capsys, *STATUS)[0]


def test_a_failed_job_is_named_with_its_last_line(plan, capsys):
    digest = plan.experiments["SF-1"].digest
    write_log(f"infer/SF-1/{digest}/0-of-2.log", f"{AT} INFO x", f"{AT} ERROR w.pth: not found")
    write_log(f"infer/SF-1/{digest}/1-of-2.log", f"{AT} ERROR x", f"{AT} INFO begun again")
    lines = run(capsys, *STATUS)
    assert "infer failed" in lines[1]
    assert lines[4:] == [f"  results/logs/infer/SF-1/{digest}/0-of-2.log: w.pth: not found"]


def test_what_is_done_has_not_failed(plan, capsys):
    planned = plan.experiments["SF-1"]
    write_log(f"infer/SF-1/{planned.digest}/0-of-2.log", f"{AT} ERROR old")
    make(planned.predictions, planned.runtime, plan.scores["SF-1"].path)
    assert run(capsys, *STATUS)[1] == "SF-1  dataset done, encode done, infer done, score done"


def test_the_last_line_of_a_traceback_is_told(plan):
    lines = [f"{AT} ERROR infer failed", "Traceback (most recent call last):", "ValueError: no"]
    assert failure(write_log("a.log", *lines)) == "ValueError: no"
    assert failure(Path("absent.log")) is None
    assert failure(write_log("b.log")) is None


def measured(planned: PlannedExperiment, seconds: list[float], device: str, **other) -> None:
    environment = json.dumps({"device_name": device})
    table = pa.table({"seconds": seconds, "environment": [environment] * len(seconds)})
    folder = Path("results/experiments/earlier") / other.pop("folder", "000000000000")
    write_json(folder / FINGERPRINT, {**planned.fingerprint, **other})
    write_table(folder / "runtime.parquet", table, "runtime", "000000000000")


def expected(capsys) -> str:
    return next(line for line in run(capsys, *PLAN) if line.startswith("expected: "))


def test_a_plan_tells_gpu_hours_from_an_earlier_run_of_the_model(plan, capsys):
    assert expected(capsys) == "expected: tiny: not known before a first run"
    measured(plan.experiments["SF-0"], [0.2, 0.4], "NVIDIA A100", lora_scaling=7)
    assert expected(capsys) == (
        "expected: tiny: 0.67 GPU-hours at 0.3 s an item (measured on NVIDIA A100)"
    )


def test_a_run_with_the_same_generation_settings_is_preferred(plan, capsys):
    planned = plan.experiments["SF-0"]
    measured(planned, [0.9], "CPU")
    measured(planned, [0.1], "CPU", folder="000000000001", generation={"max_new_tokens": 1})
    assert "2 hours on the CPU at 0.9 s an item" in expected(capsys)


def test_another_model_or_a_damaged_sidecar_tells_nothing(plan, capsys):
    measured(plan.experiments["SF-0"], [0.9], "CPU", dtype="float16")
    assert "not known" in expected(capsys)
    measured(plan.experiments["SF-0"], [0.9], "CPU")
    sidecar = Path("results/experiments/earlier/000000000000/runtime.parquet")
    sidecar.write_bytes(sidecar.read_bytes()[:99])
    assert "not known" in expected(capsys)
    assert sidecar.exists()


# ------------------------------------------------------------------------- the end of a run

TOLD = """\
Error in rule infer:
    message: None
    output: results/x.parquet
    log: results/logs/infer/{first} (check log file(s) for error details)
    shell:
        python -m lorascope.stages.infer
Error in rule infer:
    log: results/logs/infer/{second} (check log file(s) for error details)
"""


def told(first: str, second: str) -> Path:
    path = Path(".snakemake/log/2026-01-01T000000.snakemake.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TOLD.format(first=first, second=second))
    return path


def test_the_end_of_a_failed_run_names_the_first_cause_and_make_status(plan):
    write_log("infer/a.log", f"{AT} INFO x", f"{AT} ERROR w.pth: not found")
    write_log("infer/b.log", f"{AT} ERROR other")
    lines = [*stopped_lines([str(Path("study.yaml").absolute())], [str(told("a.log", "b.log"))])]
    assert lines == [
        "the first job that failed: results/logs/infer/a.log: w.pth: not found",
        "1 more failed after it",
        "what is done, failed and missing: make status CONFIG=study.yaml "
        "(lorascope status --configfile study.yaml)",
    ]


def test_a_job_that_was_killed_is_named_too(plan):
    write_log("infer/a.log", f"{AT} INFO loading")
    line = next(iter(stopped_lines(["study.yaml"], [str(told("a.log", "a.log"))])))
    assert line.startswith(
        "the first job that failed: results/logs/infer/a.log: ended without a word"
    )
    assert line.endswith("was it killed, or out of memory?")


def test_a_run_that_ended_before_a_job_still_names_make_status(plan):
    assert [*stopped_lines(["study.yaml"], [])] == [
        "what is done, failed and missing: make status CONFIG=study.yaml "
        "(lorascope status --configfile study.yaml)"
    ]


def test_a_status_with_a_failure_names_the_log_of_the_last_run(plan, capsys):
    run_log = told("x", "y")
    assert str(run_log) not in "\n".join(run(capsys, *STATUS))
    digest = plan.experiments["SF-1"].digest
    write_log(f"infer/SF-1/{digest}/0-of-2.log", f"{AT} ERROR w.pth: not found")
    lines = run(capsys, *STATUS)
    assert lines[-2].endswith("0-of-2.log: w.pth: not found")
    assert lines[-1] == f"  the last run is told in {run_log}"


def test_a_study_of_two_files_is_looked_at_with_both():
    (line,) = stopped_lines(["study.yaml", "local.yaml"], [])
    command = "lorascope status --configfile study.yaml --configfile local.yaml"
    assert line == f"what is done, failed and missing: {command}"

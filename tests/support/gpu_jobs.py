"""Processes that lease GPUs, by names alone: there need not be any."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lorascope.identity.code import PACKAGE
from lorascope.running import devices

# A job appends to its record while it holds its GPUs: first their names, then the time, again and
# again. So the last line of a job that was killed tells until when it held them at least. With 0
# GPUs it is the child of a job and goes on with its record.
JOB = """
import json, logging, os, subprocess, sys, time
record, count, seconds, child = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
file = open(record, "a", buffering=1)
if count:
    from lorascope.running import devices
    devices.POLL_SECONDS = 0.02
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    names = devices.lease(count).names
    print(json.dumps([names, os.environ["CUDA_VISIBLE_DEVICES"]]), file=file)
    print(time.monotonic(), file=file)
if child == "exec":
    same = [sys.executable, "-c", sys.orig_argv[2], record, "0", str(seconds), ""]
    subprocess.Popen(same, close_fds=False)
if child == "exec" or child == "fork" and os.fork():
    os._exit(0)
end = time.monotonic() + seconds
while time.monotonic() < end:
    print(time.monotonic(), file=file)
    time.sleep(0.01)
print(time.monotonic(), "end", sep="\\n", file=file)
"""


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """A shared lock folder for the jobs of a test, and neither SLURM nor GPUs around it."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setenv("LORASCOPE_LOCKS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without a real nvidia-smi
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setattr(devices, "_held", None)
    return folder


def start(
    record: Path, count: int, seconds: float = 0.25, child: str = "", **environment: str
) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(record), str(count), str(seconds), child],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@contextmanager
def held(record: Path, count: int) -> Iterator[subprocess.Popen]:
    """Have another process hold GPUs, and kill it in the end."""
    job = start(record, count, seconds=60)
    try:
        until(lambda: begun(record))
        yield job
    finally:
        job.kill()
        job.communicate()


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def begun(record: Path) -> bool:
    return record.exists() and record.read_text().count("\n") >= 3


def ended(record: Path) -> bool:
    return record.exists() and record.read_text().endswith("end\n")


def holding(record: Path) -> tuple[float, float, list[str]]:
    """Return (from, until, GPUs) as a job recorded it."""
    head, *beats = record.read_text().splitlines()
    names, visible = json.loads(head)
    assert visible == ",".join(names)
    times = [float(beat) for beat in beats if beat != "end"]
    return times[0], times[-1], names


def overlaps(records: list[Path]) -> list[tuple]:
    """Return the pairs of jobs that held a GPU at the same time."""
    spans = [holding(record) for record in records]
    return [
        (one, other)
        for i, one in enumerate(spans)
        for other in spans[i + 1 :]
        if one[0] < other[1] and other[0] < one[1] and set(one[2]) & set(other[2])
    ]


def leased(tmp_path: Path, count: int, **environment: str) -> list[str]:
    """Return the GPUs that a process of its own leases."""
    record = tmp_path / f"record-{time.monotonic_ns()}"
    job = start(record, count, seconds=0, **environment)
    _, log = job.communicate(timeout=10)
    assert job.returncode == 0, log
    return holding(record)[2]

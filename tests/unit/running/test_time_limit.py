"""How much time a job has left is what SLURM says, in its environment or by squeue."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lorascope.running.time_limit import seconds_left

Tell = Callable[[str, str], None]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tell:
    """Return a function that puts this process into a job of SLURM whose squeue says something."""
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def told(job: str, said: str) -> None:
        squeue = tmp_path / "squeue"
        squeue.write_text(f"#!/bin/sh\n[ $2 = --job={job} ] && printf '{said}\\n'\n")
        squeue.chmod(0o755)
        monkeypatch.setenv("SLURM_JOB_ID", job)

    return told


def test_outside_of_slurm_there_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert seconds_left() is None


def test_the_environment_comes_first(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    tell("1", "1:00")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(time.time() + 100))
    assert seconds_left() == pytest.approx(100, abs=5)


@pytest.mark.parametrize(
    ("job", "said", "seconds"),
    [
        ("2", "0:05", 5),
        ("3", "12:34", 754),
        ("4", "2:00:01", 7201),
        ("5", "3-01:00:00", 262800),
        ("6", "UNLIMITED", math.inf),
        ("7", "INVALID", -math.inf),
        ("8", "", -math.inf),
    ],
)
def test_squeue_is_asked_otherwise(tell: Tell, job: str, said: str, seconds: float) -> None:
    tell(job, said)
    assert seconds_left() == pytest.approx(seconds, abs=5)


def test_without_squeue_the_limit_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    monkeypatch.setenv("PATH", "/nowhere")
    assert seconds_left() == -math.inf

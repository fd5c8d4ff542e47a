"""Jobs whose Snakemake is gone, and a Snakemake that is killed: the next run goes on from there."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import BIN, ENVIRONMENT
from tests.support.sabotage import (
    GO,
    answers,
    asked,
    assert_unbroken,
    count_questions,
    pause,
    start,
    wait_for,
)
from tests.support.small_study import BATCH, ITEMS, AtWork, Small


@pytest.fixture
def orphan(encoded: Small) -> AtWork:
    """Return a job that has answered one batch and is at work on the next."""
    job = start(encoded.planned(), "infer", "SF-0/", pause)
    wait_for(lambda: [file for file in answers("SF-0") if file.stat().st_size])
    return job


def successor(small: Small, stage: str = "infer", name: str = "SF-0/") -> AtWork:
    """Return a job that waits for the orphan."""
    job = start(small.planned(), stage, name, count_questions)
    said = "waiting for an earlier job that is still at work on "
    wait_for(lambda: job.stderr.exists() and said in job.output())
    return job


def test_a_successor_waits_for_an_orphan_and_reuses_its_answers(
    encoded: Small, orphan: AtWork
) -> None:
    waiting = successor(encoded)
    GO.touch()
    assert (orphan.process.join(), waiting.finished()) == (None, 0)
    assert asked() == ITEMS // 2
    assert_unbroken(encoded)


def test_a_successor_takes_over_when_the_orphan_dies(encoded: Small, orphan: AtWork) -> None:
    waiting = successor(encoded)
    orphan.process.kill()
    assert waiting.finished() == 0
    assert asked() <= ITEMS // 2 + BATCH
    assert_unbroken(encoded)


def test_a_run_with_more_shards_waits_for_orphans_too(encoded: Small, orphan: AtWork) -> None:
    encoded.study["shards"] = 3
    waiting = successor(encoded)
    GO.touch()
    assert (orphan.process.join(), waiting.finished()) == (None, 0)
    assert_unbroken(encoded)
    assert asked() == 2 * ITEMS


def test_an_orphan_that_encodes_is_waited_for(new: Small) -> None:
    new.run(until="dataset")
    orphan = start(new.planned(), "encode", "0-of-1", pause)
    wait_for(lambda: list(Path("results").glob("features/*/*/*/parts/[!.]*.safetensors")))
    waiting = successor(new, "encode", "0-of-1")
    GO.touch()
    assert (orphan.process.join(), waiting.finished()) == (None, 0)
    assert "6 clips, 0 of them encoded now" in waiting.output()
    assert_unbroken(new)


# ---------------------------------------------------------------------------- Snakemake itself


def launch(*arguments: str) -> subprocess.Popen:
    """Start Snakemake as the leader of a process group."""
    command = [BIN / "snakemake", *arguments, "--cores", "2", "--configfile", "study.yaml"]
    with Path("snakemake.txt").open("w") as output:
        return subprocess.Popen(
            command, env=ENVIRONMENT, stdout=output, stderr=output, start_new_session=True
        )


def snakemake(small: Small, *arguments: str) -> str:
    done = small.snakemake("--cores", "2", *arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def halted(encoded: Small) -> Iterator[subprocess.Popen]:
    """Return a Snakemake that is stopped with its jobs when they have begun to answer."""
    encoded.write("study.yaml")
    run = launch("SF-0")
    wait_for(lambda: answers("SF-0"))
    os.killpg(run.pid, signal.SIGSTOP)
    yield run
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def test_a_second_snakemake_is_refused_and_a_killed_one_unlocked_whose_jobs_live_on(
    encoded: Small, halted: subprocess.Popen
) -> None:
    second = encoded.snakemake("SF-0")
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    assert "--unlock" in second.stdout
    assert "Traceback" not in second.stdout
    halted.kill()
    assert halted.wait() == -signal.SIGKILL
    os.killpg(halted.pid, signal.SIGCONT)
    snakemake(encoded, "--unlock")
    snakemake(encoded, "SF-0")
    assert_unbroken(encoded)


def test_snakemake_at_a_time_limit(encoded: Small, halted: subprocess.Popen) -> None:
    """SIGTERM to all: nothing is left locked."""
    os.killpg(halted.pid, signal.SIGTERM)
    os.killpg(halted.pid, signal.SIGCONT)
    assert halted.wait(60) != 0
    assert "stopped by SIGTERM" in Path("snakemake.txt").read_text()
    snakemake(encoded, "SF-0")
    assert_unbroken(encoded)

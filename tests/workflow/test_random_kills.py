"""A study that is killed again and again, at random, ends as if it never had been."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import small_study
from tests.support.basics import thorough
from tests.support.cooperating import announced, kept
from tests.support.lab import BIN, ENVIRONMENT
from tests.support.sabotage import answering
from tests.support.small_study import ITEMS, AtWork, Small

SEED = 20261122
EXPERIMENTS = ("SF-0", "SF-1")
VICTIMS = ("job", "snakemake", "group")
COMMAND = [BIN / "snakemake", "--cores", "2", "--configfile", "study.yaml"]


def progress() -> int:
    """Return how much of the study is done, in answers and files."""
    done = sum(1 for _ in Path("results").glob("datasets/*/*/items.parquet"))
    done += sum(1 for _ in Path("results").glob("features/*/*/*/*.safetensors"))
    for name in EXPERIMENTS:
        folder = Path("results/experiments") / name
        if list(folder.glob("*/predictions.parquet")):
            done += ITEMS
        else:
            files = folder.glob("*/answers/*.jsonl")
            done += len({line for file in files for line in _lines(file)})
        done += sum(1 for _ in folder.glob("*/scores-*.parquet"))
    return done


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(errors="replace").splitlines() if line]
    except FileNotFoundError:
        return []


EVERYTHING = 2 + len(EXPERIMENTS) * (ITEMS + 1)


def jobs_of(session: int) -> list[int]:
    """Return the processes of the stages that a Snakemake of this session started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = os.getsid(int(folder.name)) == session
            if mine and b"lorascope.stages" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ProcessLookupError):
            continue  # ended in the meantime
    return found


def launch() -> subprocess.Popen:
    with Path("snakemake.txt").open("a") as output:
        return subprocess.Popen(
            COMMAND, env=ENVIRONMENT, stdout=output, stderr=output, start_new_session=True
        )


def kill(run: subprocess.Popen, victim: str, draw: random.Random) -> bool:
    """Kill one process or all; return whether there was one to kill."""
    if victim == "snakemake":
        run.kill()
    elif victim == "group":
        os.killpg(run.pid, signal.SIGKILL)
    elif jobs := jobs_of(run.pid):
        os.kill(draw.choice(jobs), signal.SIGKILL)  # the shell of a job, or its Python
    else:
        return False
    return True


def unlock() -> None:
    """Do what Snakemake asks for after it was killed."""
    done = subprocess.run(
        [*COMMAND, "--unlock"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kills", [7, *thorough(20)])
def test_a_study_killed_again_and_again_ends_as_if_it_never_had_been(
    kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = small_study.new(tmp_path)
    small.write("study.yaml")
    draw = random.Random(SEED)
    # Kills are due at amounts of work drawn over the whole study, each after a drawn delay.
    due = sorted(draw.uniform(0, 0.75 * EVERYTHING) for _ in range(kills))
    killed: list[str] = []
    groups = []
    run = launch()
    groups.append(run.pid)
    try:
        while len(killed) < kills:
            amount, victim, delay = due[len(killed)], draw.choice(VICTIMS), draw.uniform(0, 3)
            early = victim != "job" and draw.random() < 0.25  # before any job begins
            while run.poll() is None and (progress() < amount or not (early or jobs_of(run.pid))):
                time.sleep(0.02)
            time.sleep(delay)
            if run.poll() is None and kill(run, victim, draw):
                killed.append(victim)
                if victim != "job":
                    run.wait()
            if run.poll() is not None:
                if run.returncode == 0:  # on a fast machine: more of the study is to be done
                    shutil.rmtree("results/experiments/SF-0")
                    shutil.rmtree("results/reports")
                if run.returncode == -signal.SIGKILL:
                    unlock()
                run = launch()
                groups.append(run.pid)
        run.wait()
        if run.returncode == -signal.SIGKILL:
            unlock()
        done = small.snakemake("--cores", "2")  # orphans may still be at work
        assert done.returncode == 0, done.stdout
    finally:
        end(groups)
    assert set(killed) == set(VICTIMS)
    assert small.outcome() == small_study.reference()
    assert small.run() == {}, "nothing is left to do"


def slowed() -> None:
    """Take a moment for each answer, so that kills fall between answers."""

    def slow(decode):
        def slowly(self, asked, *rest):
            for answers in decode(self, asked, *rest):
                time.sleep(0.02)
                yield answers

        return slowly

    answering(slow)


def test_jobs_that_help_each_other_are_killed_thirty_times(encoded: Small) -> None:
    """Two at a time, each by a signal that it can or cannot handle, until all is answered."""
    draw, kills = random.Random(SEED), 0
    encoded.study["experiments"][0]["grid"] = {"lora_scaling": [0, 1, 2]}
    while kills < 30:
        with announced(encoded.planned(), slots=2) as jobs:
            at_work = [AtWork(job, slowed) for job in draw.sample(jobs, min(2, len(jobs)))]
            for job in at_work:
                time.sleep(draw.uniform(0, 0.6))
                if job.process.is_alive():
                    number = draw.choice([signal.SIGKILL, signal.SIGTERM])
                    os.kill(job.process.pid, number)
                    kills += 1
            for job in at_work:
                job.finished()
        if not [job for job in encoded.planned().left() if job.stage.name == "infer"]:
            shutil.rmtree("results/experiments")  # all is answered: once more
    with announced(encoded.planned(), slots=1) as jobs:
        for job in jobs:
            assert AtWork(job).finished() == 0
    lacking = [ids for ids in kept(encoded.planned()).values() if {*ids} and len({*ids}) != ITEMS]
    assert lacking == []
    encoded.study["experiments"][0]["grid"] = {"lora_scaling": [0, 1]}
    assert encoded.run() == {}
    assert encoded.outcome() == small_study.reference()


def end(groups: list[int]) -> None:
    """End what is left of the sessions that were started here."""
    for group in groups:
        for job in jobs_of(group):
            os.kill(job, signal.SIGKILL)

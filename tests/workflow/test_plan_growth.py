"""What planning costs grows with the number of experiments and no faster: calls, not time."""

import pstats
import subprocess
import sys
from typing import Any

import pytest

from tests.support.lab import BIN, ENVIRONMENT, Lab, copy_repository, write_track

FEW, MANY = 20, 40
CALLS, STATS = 3000, 12
"""Of a whole run, for an experiment that is done."""

pytestmark = pytest.mark.thorough  # a profiler may bring Python 3.11 down


def study(experiments: int) -> dict[str, Any]:
    model = {key: f"absent/{key}" for key in ("llm", "whisper", "beats", "checkpoint")}
    template = {"id": "S-{lora_scaling}", "model": "tiny", "dataset": "zoo"}
    scalings = [place / 4 for place in range(experiments)]
    return {
        "study": "sweep",
        "models": {"tiny": {"family": "salmonn", **model}},
        "datasets": {"zoo": {"benchmark": "sakura", "source": "sakura", "tracks": ["animal"]}},
        "experiments": [template | {"grid": {"lora_scaling": scalings}}],
        "baseline": "S-1",
    }


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("growth")
    copy_repository(folder)
    write_track(folder / "sakura", "Animal", ["cat", "dog"])
    return Lab(folder, study(MANY))


class Calls:
    """How often a run of Snakemake called what."""

    def __init__(self, lab: Lab, experiments: int, *arguments: str) -> None:
        lab.study = study(experiments)
        lab.write("study.yaml")
        command = [sys.executable, "-m", "cProfile", "-o", "profile", BIN / "snakemake"]
        done = subprocess.run(
            [*command, "--cores", "1", "--configfile", "study.yaml", *arguments],
            cwd=lab.folder,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.said = done.stdout
        assert done.returncode == 0, done.stdout
        self.counts = {
            where: calls
            for where, (_, calls, *_) in pstats.Stats(str(lab.folder / "profile")).stats.items()
        }

    def of(self, file: str, function: str) -> int:
        return sum(
            calls
            for (path, _, name), calls in self.counts.items()
            if (path.endswith(file) or path == file) and function in name
        )

    @property
    def rules(self) -> int:
        return self.of("snakemake/workflow.py", "add_rule")

    @property
    def jobs(self) -> int:
        return self.of("snakemake/jobs.py", "_expand_params")

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@pytest.fixture(scope="module")
def done(lab: Lab) -> tuple[Calls, Calls]:
    """Return what runs of a small and a larger study call that find everything done."""
    for experiments in (FEW, MANY):
        lab.study = study(experiments)
        lab.finish()
    return Calls(lab, FEW), Calls(lab, MANY)


def test_what_is_done_is_neither_a_job_nor_a_rule_nor_told(lab, done):
    few, many = done
    for run in done:
        assert "Nothing to be done" in run.said
    assert (few.jobs, few.rules) == (many.jobs, many.rules)
    assert not (lab.folder / "results/jobs").exists()
    assert many.of("~", "posix.fsync") == 0


def test_what_is_done_costs_few_calls_and_looks_at_few_files(done):
    few, many = done
    more = MANY - FEW
    assert (many.total - few.total) / more < CALLS
    assert (many.of("~", "posix.stat") - few.of("~", "posix.stat")) / more <= STATS


def test_an_experiment_that_is_not_named_is_no_rule(lab, done):
    """For every job, Snakemake copies a namespace that holds every rule."""
    named = Calls(lab, MANY, "-n", "S-7.25")
    assert named.rules == done[0].rules + len(["S-7", "S-7.25"])

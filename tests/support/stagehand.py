"""Stages called in the test's own process, as the rules call them but without Snakemake."""

import importlib
import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from lorascope.planning.plan import STAGES, Plan, load_plan
from lorascope.planning.stage import PlannedJob
from tests.support.jobs import arguments, remove_shards

QUIET: Any = SimpleNamespace(readouterr=lambda: SimpleNamespace(out="", err=""))
"""In place of `capsys`, for a study that is run for several tests."""


class Bench:
    """A study in the current folder."""

    def __init__(self, study: dict[str, Any], capsys: pytest.CaptureFixture) -> None:
        self.study, self.capsys = deepcopy(study), capsys

    @property
    def plan(self) -> Plan:
        """The plan of the study as things are now."""
        return load_plan(deepcopy(self.study), "study.yaml")

    def left(self) -> list[str]:
        """Return the stages of the jobs that are left, sorted."""
        return sorted(job.stage.name for job in self.plan.left())

    def run(self, job: PlannedJob) -> tuple[int, str]:
        """Run one job of a plan; return exit code and what it prints."""
        told = Path("job.json")
        told.write_text(job.told().json)
        module = importlib.import_module(f"lorascope.stages.{job.stage.name}")
        self.capsys.readouterr()
        before = sys.argv
        sys.argv = [job.stage.name, *arguments(job, told, Path("log"), job.gpus)]
        try:
            code = module.main()
        finally:
            sys.argv = before
        return code, self.capsys.readouterr().err

    def make(self, *stages: str) -> None:
        """Run what is left of these stages; it has to succeed."""
        for stage in stages:
            # What copies another one's files, or is made of them, comes after it.
            for job in sorted(self.plan.left(), key=lambda job: not _is_ready(job)):
                if job.stage.name == stage:
                    code, text = self.run(job)
                    assert code == 0, text
                    if stage == "merge":
                        remove_shards(job)

    def finish(self) -> Path:
        """Run everything that is left and return the folder of the report."""
        self.make(*STAGES)
        assert self.left() == []
        return self.plan.report.folder


def _is_ready(job: PlannedJob) -> bool:
    return all(path.exists() for path in job.inputs)


def answers(bench: Bench, column: str = "tokens") -> dict[str, list]:
    """Return experiment ID -> a column of its predictions, in the order of the items."""
    planned = bench.plan.experiments.values()
    return {p.experiment.id: pq.read_table(p.predictions)[column].to_pylist() for p in planned}


def link_all(files: Path, folder: Path) -> None:
    """Link what lies in ``files`` into ``folder``."""
    for path in files.iterdir():
        (folder / path.name).symlink_to(path)

"""Stages called in the test's own process, as the rules call them but without Snakemake."""

import importlib
import sys
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lorascope import jobs
from lorascope.plan import Made, Plan, load_plan
from lorascope.study import RULES
from lorascope.todo import jobs_left


class Bench:
    """A study in the current folder."""

    def __init__(self, study: dict[str, Any], capsys: pytest.CaptureFixture) -> None:
        self.study, self.capsys = deepcopy(study), capsys

    @property
    def plan(self) -> Plan:
        """The plan of the study as things are now."""
        return load_plan(deepcopy(self.study), "study.yaml")

    def left(self) -> list[str]:
        """Return the rules of the jobs that are left, sorted."""
        plan = self.plan
        return sorted(job.rule for job in jobs_left(plan, plan.targets()))

    def run(self, made: Made, plan: Plan) -> tuple[int, str]:
        """Run one job of the plan; return exit code and what it prints."""
        text, options = _command(plan, made)
        Path("job.json").write_text(text)
        # A report and a training name the file that they write last.
        out = made.outputs[-1] if made.rule in ("finetune", "report") else made.outputs[0]
        arguments = ["--job", "job.json", "--out", str(out), "--log", "log", *options]
        module = importlib.import_module(f"lorascope.stages.{made.rule}")
        self.capsys.readouterr()
        before, sys.argv = sys.argv, [made.rule, *arguments]
        try:
            code = module.main()
        finally:
            sys.argv = before
        return code, self.capsys.readouterr().err

    def make(self, *stages: str) -> None:
        """Run what is left of these stages; it has to succeed."""
        for stage in stages:
            plan = self.plan
            for made in jobs_left(plan, plan.targets()):
                if made.rule == stage:
                    code, text = self.run(made, plan)
                    assert code == 0, text
                    if stage == "merge":
                        _remove(made.inputs)

    def finish(self) -> Path:
        """Run everything that is left and return the folder of the report."""
        self.make(*RULES)
        assert self.left() == []
        return self.plan.report_folder


def answers(bench: Bench, column: str = "tokens") -> dict[str, list]:
    """Return experiment ID -> a column of its predictions, in the order of the items."""
    planned = bench.plan.experiments.values()
    return {p.experiment.id: pq.read_table(p.predictions)[column].to_pylist() for p in planned}


def link_all(files: Path, folder: Path) -> None:
    """Link what lies in ``files`` into ``folder``."""
    for path in files.iterdir():
        (folder / path.name).symlink_to(path)


def _remove(files: Iterable[Path]) -> None:
    """Remove shards, which are temporary."""
    for path in files:
        if path.parent.name == "shards":
            path.unlink()


def _command(plan: Plan, made: Made) -> tuple[str, list[str]]:
    """Return a job's description and the options that its stage takes besides."""
    out = made.outputs[0]
    folders = out.parts[2:-1]
    number, _, count = out.stem.partition("-of-")
    if made.rule == "dataset":
        return jobs.dataset_job(plan, plan.dataset(*folders)), []
    if made.rule == "encode":
        text = jobs.encode_job(plan, plan.features(*folders))
        return text, ["--chunk", number, "--chunks", count]
    if made.rule == "finetune":
        return jobs.finetune_job(plan, plan.adapter(*folders)), []
    if made.rule == "report":
        return jobs.report_job(plan), []
    if made.rule == "gate":
        return jobs.gate_job(plan), []
    planned = plan.experiment(*folders[:2])
    if made.rule == "infer":
        return jobs.infer_job(plan, planned), ["--shard", number, "--shards", count]
    if made.rule == "merge":
        return jobs.merge_job(plan, planned), ["--runtime", str(planned.runtime)]
    return jobs.score_job(plan, planned), []

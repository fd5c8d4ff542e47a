"""A run of which the jobs of the small study are told, as Snakemake tells them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lorascope.planning.asked import Run
from lorascope.planning.plan import Plan
from lorascope.planning.stage import PlannedJob


@contextmanager
def announced(plan: Plan, slots: int = 1, ids: str = "") -> Iterator[list[PlannedJob]]:
    """Let this process be the run that was asked for the infer jobs that are left.

    ``ids`` is the beginning of their experiments' IDs.
    """
    # AtWork leases no GPU.
    jobs = [replace(job, gpus=0) for job in plan.left() if job.stage.name == "infer"]
    jobs = sorted(jobs, key=lambda job: str(job.out))
    jobs = [job for job in jobs if str(job.wildcards["id"]).startswith(ids)]
    assert Run.announce(jobs, lambda job: slots) is None
    try:
        yield jobs
    finally:
        Run.end()


def counted(job: PlannedJob) -> dict[str, int]:
    """Return what a job counted, by its log."""
    lines = job.log.read_text().splitlines()
    return json.loads(lines[-1].partition(" DEBUG counted ")[2])


def loads() -> int:
    """Return how often a model was loaded to answer, by all logs."""
    words = [log.read_text() for log in Path("results/logs/infer").rglob("*.log")]
    found = [line for text in words for line in text.splitlines() if " DEBUG counted " in line]
    return sum(json.loads(line.partition(" counted ")[2]).get("model loads", 0) for line in found)


def kept(plan: Plan) -> dict[str, list[str]]:
    """Return experiment -> the items in its journals, as often as they are there."""
    return {
        name: [
            json.loads(line.partition(" ")[2])["answer"]["item_id"]
            for file in sorted((planned.folder / "answers").glob("*.jsonl"))
            for line in file.read_text().splitlines()
        ]
        for name, planned in plan.experiments.items()
    }

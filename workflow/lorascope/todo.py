"""What is left to do for a study: the very jobs that Snakemake would run."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lorascope.plan import Made, Plan, PlannedExperiment
from lorascope.reasons import reason


def jobs_left(plan: Plan, targets: Iterable[Path]) -> list[Made]:
    """Return the jobs that make ``targets``, those they need first.

    A job is needed if a file it makes is missing; its inputs matter only then.
    """
    left: dict[tuple[Path, ...], Made] = {}
    waiting = list(targets)
    while waiting:
        made = plan.made[waiting.pop()]
        if made.outputs in left or all(path.exists() for path in made.outputs):
            continue
        left[made.outputs] = made
        waiting += [path for path in made.inputs if path in plan.made]
    return list(left.values())


def by_rule(jobs: Iterable[Made]) -> Counter[str]:
    """Return the number of jobs of each rule."""
    return Counter(job.rule for job in jobs)


def why(plan: Plan, planned: PlannedExperiment) -> str:
    """Say why an experiment is not done ("" if it is)."""
    if not (planned.predictions.exists() and planned.runtime.exists()):
        twin = plan.twin(planned)
        return f"the same as {twin.parent.name}, copied from it" if twin else reason(planned)
    return "" if planned.scores.exists() else "to be scored"

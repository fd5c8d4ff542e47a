"""Local sources that are not there: what is to be said of them, and when a run may not start."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from lorascope.errors import UserError
from lorascope.planning.context import PlanContext
from lorascope.planning.download import needs
from lorascope.planning.stage import PlannedJob

HARMLESS = "plans files, by the fingerprints of what decides them"

REMEDY = "put it there (is it mounted?), or correct the path in the study"


def absent_sources(context: PlanContext) -> dict[str, str]:
    """Return each local source that is not there -> what of it lacks, and its key in the study.

    The study has to be planned already.
    """
    uses: dict[str, str] = {}
    for need in needs(context):
        if isinstance(need.source, str) and need.source in context.absent:
            uses.setdefault(need.source, f"{need.key} of {need.owner}")
    return {s: f"{_named(s, context.absent[s].part)} ({use})" for s, use in uses.items()}


def absent_lines(context: PlanContext, jobs: Iterable[PlannedJob]) -> Iterator[str]:
    """Yield a line for each absent source that the jobs need, then what is done without others."""
    needed, absent = _read(jobs), absent_sources(context)
    yield from (f"not here yet: {words}" for source, words in absent.items() if source in needed)
    if needed & absent.keys():
        yield "no run starts as long as a job needs what is not here"
    for source, words in absent.items():
        if last := context.absent[source].last:
            yield f"not here: {words}; results made with its last seen content {last} are used"


def refuse_absent(context: PlanContext, jobs: Iterable[PlannedJob]) -> None:
    """Raise UserError if one of the jobs, which are about to run, needs a source that is absent."""
    needed = _read(jobs)
    lacking = [words for source, words in absent_sources(context).items() if source in needed]
    if lacking:
        raise UserError(
            f"{context.study.file}: not here: {', '.join(lacking)}; {REMEDY}. Nothing was run."
        )


def _read(jobs: Iterable[PlannedJob]) -> set[str]:
    return {source for job in jobs for source in job.reads}


def _named(source: str, part: Path) -> str:
    return source if Path(source) == part else f"{part} of {source}"

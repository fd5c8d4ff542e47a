"""Local sources that are not there: what is to be said of them, and when a run may not start."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.planning.context import Absent, PlanContext
from lorascope.planning.download import needs
from lorascope.planning.stage import PlannedJob

HARMLESS = "plans files, by the fingerprints of what decides them"

REMEDY = "put it there (is it mounted?), or correct the path in the study"


def absent_sources(context: PlanContext) -> dict[str, str]:
    """Return each of the context's absent sources -> what of it lacks, and its key in the study.

    The study has to be planned already.
    """
    uses: dict[Any, str] = {}
    for need in needs(context):
        if isinstance(need.source, str):
            uses.setdefault(need.source, f"{need.key} of {need.owner}")
    return {
        name: f"{_named(absent)} ({uses[absent.source]})"
        for name, absent in context.absent.items()
        if absent.source in uses
    }


def absent_lines(context: PlanContext, jobs: Iterable[PlannedJob]) -> Iterator[str]:
    """Yield a line for each absent source that the jobs need, then what is done without others."""
    needed, absent = _read(jobs), absent_sources(context)
    lacking = dict.fromkeys(words for name, words in absent.items() if name in needed)
    yield from (f"not here yet: {words}" for words in lacking)
    if lacking:
        yield "no run starts as long as a job needs what is not here"
    for name, words in absent.items():
        if last := context.absent[name].last:
            yield f"not here: {words}; results made with its last seen content {last} are used"


def refuse_absent(context: PlanContext, jobs: Iterable[PlannedJob]) -> None:
    """Raise UserError if one of the jobs, which are about to run, needs a source that is absent."""
    needed = _read(jobs)
    lacking = [words for name, words in absent_sources(context).items() if name in needed]
    if lacking:
        raise UserError(
            f"{context.study.file}: not here: {', '.join(dict.fromkeys(lacking))}; {REMEDY}. "
            "Nothing was run."
        )


def _read(jobs: Iterable[PlannedJob]) -> set[str]:
    return {name for job in jobs for name in job.reads}


def _named(absent: Absent) -> str:
    whole = Path(absent.source) == absent.part
    return absent.source if whole else f"{absent.part} of {absent.source}"

"""The report of what is there, with the missing named: for studies of which something failed."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lorascope.errors import UserError
from lorascope.inspecting.status import failure, failures
from lorascope.planning.plan import Plan
from lorascope.planning.report import PARTIAL, partial_report
from lorascope.planning.stage import Job, job_file
from lorascope.storage.records import write_text

HARMLESS = "runs the stage that makes reports, on what that stage checks"

MOST_NAMED = 10
"""Experiments that are named on the terminal as missing; the report names all."""


class NothingToReport(UserError):
    """No experiment has scores yet."""


def report_lines(plan: Plan) -> Iterator[str]:
    """Make the report of the experiments that are done; yield where it is and what it lacks.

    It is the report of the study where nothing is missing, and otherwise one of its own beside
    that. UserError where no experiment has scores yet.
    """
    job = plan.find("report", {})
    if job.is_done:
        yield f"{plan.report.folder / 'accuracy.md'}: up to date"
        return
    missing = _missing(plan)
    if len(missing) == len(plan.experiments):
        raise NothingToReport(
            f"{plan.study.file}: no experiment has scores yet, so there is nothing to report; "
            + "; ".join(_named(missing))
        )
    if not missing and all(path.exists() for path in job.inputs):
        _make(job.out, job.told(), job.log)
        yield f"{plan.report.folder / 'accuracy.md'}: made"
        return
    manifest, told = partial_report(plan.context, missing)
    _make(manifest, told, job.log.with_name(f"{job.log.stem}-{PARTIAL}.log"))
    count = len(plan.experiments)
    yield f"{manifest.parent / 'accuracy.md'}: {count - len(missing)} of {count} experiments"
    yield from (f"  missing: {named}" for named in _named(missing))


def _named(missing: Mapping[str, str]) -> list[str]:
    """Return the first of the missing experiments with what they lack, and how many more."""
    more = len(missing) - MOST_NAMED
    named = [f"{identifier}: {why}" for identifier, why in missing.items()][:MOST_NAMED]
    return [*named, f"{more} more"] if more > 0 else named


def _missing(plan: Plan) -> dict[str, str]:
    """Return the experiments without scores -> why: the error that stopped them, or what is due."""
    lacking = [
        planned
        for planned in plan.experiments.values()
        if not (plan.scores[planned.id].path.exists() and planned.runtime.exists())
    ]
    errors = failures(plan, lacking)
    return {
        planned.id: "; ".join(f"{last} ({log})" for log, last in errors[planned.id].items())
        or plan.why(planned.id)
        or "its sidecar is missing"
        for planned in lacking
    }


def _make(manifest: Path, job: Job, log: Path) -> None:
    """Run the stage in a process of its own, as the workflow does; UserError where it fails."""
    told = job_file(job.json)
    write_text(told, job.json)
    command = [sys.executable, "-m", "lorascope.stages.report", "--job", told, "--out", manifest]
    ended = subprocess.run(
        [*map(str, command), "--log", str(log)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise UserError(f"{log}: {failure(log) or ended.stderr.strip()}")

"""The report of what is there, with the missing named: for studies of which something failed.

Each comes with its page, without which the report is whole.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lorascope.errors import UserError
from lorascope.inspecting.status import failure, failures
from lorascope.planning.page import partial_page
from lorascope.planning.plan import Plan
from lorascope.planning.report import PARTIAL, partial_report
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import Job, job_file
from lorascope.storage.records import write_text

HARMLESS = "runs the stages that make reports and pages, on what these stages check"

MOST_NAMED = 10
"""Experiments that are named on the terminal as missing; the report names all."""


class NothingToReport(UserError):
    """No experiment has scores yet."""


def report_lines(plan: Plan, retry: bool = True) -> Iterator[str]:
    """Make the report of the experiments that are done; yield where it is and what it lacks.

    It is the report of the study where nothing is missing, and otherwise one of its own beside
    that. Its page is made, too; without ``retry`` not where that ended in an error before.
    UserError where no experiment has scores yet, or the page cannot be made.
    """
    job = plan.find("report", {})
    if job.is_done:
        yield f"{plan.report.folder / 'accuracy.md'}: up to date"
        yield from _page_lines(plan, retry)
        return
    missing = _missing(plan)
    if len(missing) == len(plan.experiments):
        raise NothingToReport(
            f"{plan.study.file}: no experiment has scores yet, so there is nothing to report; "
            + "; ".join(_named(missing))
        )
    if not missing and all(path.exists() for path in job.inputs):
        _make(job, job.out, job.told(), job.log)
        yield f"{plan.report.folder / 'accuracy.md'}: made"
        yield from _page_lines(plan, retry)
        return
    manifest, told = partial_report(plan.context, missing)
    _make(job, manifest, told, _log_of_partial(job))
    count = len(plan.experiments)
    yield f"{manifest.parent / 'accuracy.md'}: {count - len(missing)} of {count} experiments"
    yield from (f"  missing: {named}" for named in _named(missing))
    page = plan.find("page", {})
    out, of_page = partial_page(plan.context, missing, manifest, told)
    _make(page, out, of_page, _log_of_partial(page))
    yield f"{out.with_name(plan.page.index.name)}: made"


def _page_lines(plan: Plan, retry: bool) -> Iterator[str]:
    """Make the page of the study's report; yield where it is."""
    job = plan.find("page", {})
    if job.is_done:
        yield f"{plan.page.index}: up to date"
    elif retry or not failure(job.log):
        _make(job, job.out, job.told(), job.log)
        yield f"{plan.page.index}: made"


def _log_of_partial(job: PlannedJob) -> Path:
    return job.log.with_name(f"{job.log.stem}-{PARTIAL}.log")


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
        if planned.id not in plan.dropped
        and not (
            plan.scores[planned.id].path.exists()
            and (planned.is_imported or planned.runtime.exists())
        )
    ]
    errors = failures(plan, lacking)
    return {
        planned.id: "; ".join(f"{last} ({log})" for log, last in errors[planned.id].items())
        or plan.why(planned.id)
        or "its sidecar is missing"
        for planned in lacking
    }


def _make(planned: PlannedJob, out: Path, job: Job, log: Path) -> None:
    """Run the stage in a process of its own, as the workflow does; UserError where it fails."""
    told = job_file(job.json)
    write_text(told, job.json)
    stage = f"lorascope.stages.{planned.stage.name}"
    command = [sys.executable, "-m", stage, "--job", told, "--out", out]
    ended = subprocess.run(
        [*map(str, command), "--log", str(log)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise UserError(f"{log}: {failure(log) or ended.stderr.strip()}")

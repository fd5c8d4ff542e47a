"""Planning of tracking: a study's tables are sent to the trackers that it names."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext
from lorascope.planning.report import plan_report
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Job

HARMLESS = "plans what is shown elsewhere; nothing that is made depends on it"

FOLDER = f"{RESULTS}/tracking/{{tracker}}"
"""What a tracker writes lies there, unless its own environment variable says where."""


@dataclass(frozen=True)
class TrackJob(Job):
    """``files`` are those of the report in ``manifest`` that are sent; ``folder`` is the tracker's.

    ``digest`` is the report's.
    """

    tracker: str
    study: str
    folder: str
    manifest: str
    files: list[str]


def check_trackers(context: PlanContext) -> None:
    """UserError for a tracker that is not installed."""
    for tracker in context.study.tracking:
        if not find_spec(tracker):
            raise UserError(
                f"{context.study.file}: tracking: {tracker} is not installed; "
                f"pip install {tracker}, or leave it out"
            )


def tracker_folder(tracker: str) -> str:
    """Return where a tracker writes by default."""
    return FOLDER.format(tracker=tracker)


def _told(context: PlanContext, tracker: str) -> TrackJob:
    report = plan_report(context)
    fingerprint = {"stage": STAGE.name, "tracker": tracker, "report": report.digest}
    return TrackJob(
        fingerprint=fingerprint,
        digest=digest(fingerprint),
        tracker=tracker,
        study=report.study,
        folder=tracker_folder(tracker),
        manifest=str(report.manifest),
        files=[str(report.folder / name) for name in report.names if Path(name).suffix != ".svg"],
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each tracker that the study names."""
    report = plan_report(context)
    for tracker in dict.fromkeys(context.study.tracking):
        yield STAGE.job(
            {"tracker": tracker, "study": report.study, "report_digest": report.digest},
            inputs=[report.manifest],
            told=partial(_told, context, tracker),
            message=partial("track {}: send its tables to {}".format, report.study, tracker),
        )


STAGE = Stage(
    name="track",
    outputs={"sent": f"{FOLDER}/{{study}}/tables-{{report_digest}}.json"},
    log=f"{RESULTS}/logs/track/{{tracker}}/{{study}}-{{report_digest}}.log",
    jobs=jobs,
    final=True,
)

"""Planning of the gate: a study may end in an error where too little was retained."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from lorascope.planning.context import PlanContext
from lorascope.planning.report import FOLDER, plan_report
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Job

HARMLESS = "plans files, by the fingerprints of what decides them"


@dataclass(frozen=True)
class GateJob(Job):
    """``retention`` is the table whose verdicts may stop the study, ``manifest`` its report's."""

    retention: str
    manifest: str


def _told(context: PlanContext) -> GateJob:
    report = plan_report(context)
    fingerprint = {"stage": STAGE.name, "retain": report.fingerprint["retain"]}
    return GateJob(fingerprint, report.digest, str(report.retention), str(report.manifest))


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield the one job of the gate, where the study wants the workflow to stop at all."""
    if all(gate.stop_on == "never" for gate in context.study.retain):
        return
    report = plan_report(context)
    yield STAGE.job(
        {"study": report.study, "report_digest": report.digest},
        inputs=[report.manifest],
        told=partial(_told, context),
        message=lambda: f"gate {report.study}: stop where too little was retained",
    )


STAGE = Stage(
    name="gate",
    outputs={"retained": f"{FOLDER}/retained-{{report_digest}}.json"},
    log=f"{RESULTS}/logs/gate/{{study}}-{{report_digest}}.log",
    jobs=jobs,
    final=True,
)

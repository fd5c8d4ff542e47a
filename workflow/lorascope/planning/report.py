"""Planning of the report: the scores of a study become its tables, charts and manifest."""

# A job that is told what to do has no use for the declarations of a study.
# ruff: noqa: PLC0415

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lorascope.identity.digests import canonical, digest
from lorascope.planning.audit import PlannedAudit, plan_audits
from lorascope.planning.context import PlanContext, once
from lorascope.planning.finetune import trained
from lorascope.planning.infer import PlannedExperiment, plan_experiments
from lorascope.planning.nulls import null_experiments, plan_nulls, unmatched_nulls
from lorascope.planning.results import RESULTS
from lorascope.planning.score import PlannedScores, plan_scores
from lorascope.planning.search import hidden, plan_searches, undecided
from lorascope.planning.stage import Late, PlannedJob, Stage
from lorascope.planning.told import Fingerprint, Job
from lorascope.study.judge_checks import BESIDE, judges_of
from lorascope.study.weights import adapter_label, chart_axes, varying

if TYPE_CHECKING:
    from lorascope.study.baseline import Reference
    from lorascope.study.experiments import Experiment, ExperimentSettings
    from lorascope.study.study import Study

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/reports/{{study}}"
TABLE = "table.tex"
FILES = (
    "accuracy.md",
    "accuracy.csv",
    TABLE,
    "accuracy.svg",
    "accuracy.png",
    "comparison.csv",
    "outcomes.csv",
)
PARTIAL = "partial"
"""Folder within a report's for the one of a study that is not done."""
RETENTION = "retention.csv"
LIKELIHOODS = "likelihoods.csv"
"""The table of margins and calibration, where options may be chosen by their likelihoods."""
AGREEMENT = "agreement.csv"
"""The table of how far rules and judges agree, where the study asks for it."""
MANIFEST = "manifest"
"""The kind of the document that is written last, and lists the other files by their hashes."""
CRATE = "ro-crate-metadata.json"
"""The provenance of a report, which a command writes beside its manifest."""
LOSS = ("loss.svg", "loss.png")
AUDITS = ("audits.csv", "audits.svg", "audits.png")
"""The modules of a study's adapters, as a table and a heat map."""
NULLS = ("nulls.csv", "null_draws.csv", "nulls.svg", "nulls.png")
"""What adapters do among their nulls, these one by one, and as a chart."""
MIXES = ("mixes.csv", "mixes.svg", "mixes.png")
"""Sums of adapters over the weights of their parts, as a table and a chart."""
PROFILES = ("profiles.csv", "profiles.svg", "profiles.png")
"""What scaling parts of the model does, as a table and a map, where some are scaled apart."""
CHOICES = ("choices.csv", "choices.svg", "choices.png")
"""What is chosen among experiments, as a table and a chart, where the study asks for it."""
SEARCH = "search.csv"
"""Who was dropped by searches, and by what score."""
DRIFT = ("drift.csv", "tradeoff.csv", "drift.svg", "drift.png")
"""How far adapters move their models, where that was read, and what is gained beside."""
NO_SERIES = {
    *("id", "dataset", "batch_size", "tokens_at_once", "lora_scaling", "runs", "scorer", "seed"),
    *("strength", "table", "mode", "loss", "drift", "predictions", "weights"),
}
"""Keys of an experiment that do not make two lines of one chart; `_series` adds the dataset."""


@dataclass(frozen=True)
class ReportRow:
    """An experiment of the report: its settings, and where its scores and their sidecar lie.

    ``series`` is what tells its line in a chart from others; ``digest`` is that of the scores,
    ``predictions`` that of the answers. Of one that was made elsewhere, ``runtime`` is None and
    ``imported`` the file of the answers.
    """

    id: str
    base: str
    run: int
    table: bool
    dataset: str
    settings: dict[str, Any]
    series: dict[str, Any]
    scores: str
    digest: str
    predictions: str
    runtime: str | None
    imported: str | None = None


@dataclass(frozen=True)
class ReportAdapter:
    """An adapter that the study trains, and where the log of its training lies."""

    name: str
    log: str
    digest: str


@dataclass(frozen=True)
class ReportAudit:
    """The audit of an adapter, by its name in the report: a document and its table of modules."""

    name: str
    audit: str
    modules: str
    digest: str


@dataclass(frozen=True)
class ReportJob(Job):
    """``files`` are the names of what to write beside the manifest.

    ``missing`` are the experiments that a partial report lacks -> why. ``nulls`` says which
    experiments are answered with null adapters, and what is set against them.
    """

    rows: list[ReportRow]
    adapters: list[ReportAdapter]
    files: list[str]
    missing: dict[str, str]
    audits: list[ReportAudit] = field(default_factory=list)
    nulls: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def json(self) -> str:
        """The content of the job's file."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the job with these values; UserError unless they are those of such a job."""
        job = super().from_json(values)
        rows = [ReportRow(**row) for row in values["rows"]]
        adapters = [ReportAdapter(**adapter) for adapter in values["adapters"]]
        audits = [ReportAudit(**audit) for audit in values["audits"]]
        told = (job.fingerprint, job.digest, rows, adapters, job.files, job.missing, audits)
        return cls(*told, job.nulls)


@dataclass(frozen=True, eq=False)
class PlannedReport:
    """The report of a study; the digest in its manifest's name says that it is up to date.

    ``study`` is its name; a smoke run's report has a folder of its own below that.
    """

    study: str
    fingerprint: Fingerprint
    digest: str
    names: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Folder of the report."""
        return Path(FOLDER.format(study=self.study))

    @property
    def manifest(self) -> Path:
        """The file that is written last."""
        return self.folder / f"manifest-{self.digest}.json"

    @property
    def retention(self) -> Path:
        """The table of what experiments keep of a score, where the study asks for one."""
        return self.folder / RETENTION

    @property
    def outputs(self) -> dict[str, Path]:
        """Every file of the report, by the names that the rule has for them."""
        files = {name.replace(".", "_"): self.folder / name for name in self.names}
        return {"manifest": self.manifest, **files}


@once
def plan_report(context: PlanContext) -> PlannedReport:
    """Return the report of the study, and all that decides it."""
    study = context.study
    fingerprint = {
        "stage": STAGE.name,
        "study": study.name,
        "description": study.description,
        "baseline": study.written_baseline,
        "compared": [_compared(reference) for reference in study.references],
        "retain": [gate.model_dump() for gate in study.retain],
        **({"choose": _choices(study)} if study.choose else {}),
        **({"search": _searches(context)} if study.search else {}),
        "report": study.report.model_dump(exclude={"page"}),
        "limit": study.limit,
        "experiments": {
            planned.id: {
                "scores": plan_scores(context, planned.id).digest,
                "table": planned.experiment.settings.table,
                "settings": _settings(planned.experiment),
            }
            for planned in plan_experiments(context)
        },
        "audits": {_audited(one): one.digest for one in plan_audits(context)},
        **({"nulls": nulls} if (nulls := _nulls(context)) else {}),
        **({"profiles": dict(study.profiles)} if study.profiles else {}),
        "code": context.code("lorascope.stages.report"),
    }
    names = (
        *FILES,
        *((RETENTION,) if study.retain else ()),
        *((LIKELIHOODS,) if any(map(may_choose, study.experiments.values())) else ()),
        *((AGREEMENT,) if any(map(_is_judged_twice, study.experiments.values())) else ()),
        *(LOSS if trained(context) else ()),
        *(AUDITS if plan_audits(context) else ()),
        *(NULLS if plan_nulls(context) else ()),
        *_mixes(study.experiments.values()),
        *(PROFILES if _has_profiles(study) else ()),
        *(CHOICES if study.choose else ()),
        *((SEARCH,) if study.search else ()),
        *(DRIFT if any(one.mode == "drift" for one in study.experiments.values()) else ()),
    )
    folder = study.name if study.limit is None else f"{study.name}/limit-{study.limit}"
    return PlannedReport(folder, fingerprint, digest(fingerprint), names)


def _searches(context: PlanContext) -> list[dict[str, Any]]:
    """Return the searches by what decides them."""
    return [
        {"digest": one.digest, "by": one.of.search.by, "rungs": one.rungs, "parts": one.shards}
        for one in plan_searches(context)
    ]


def _choices(study: "Study") -> list[dict[str, Any]]:
    """Return the choices with their candidates, as names and IDs of experiments."""
    if not study.choose:
        return []
    from lorascope.study.choices import candidates

    return [
        choice.model_dump(exclude={"among"})
        | {
            "candidates": [
                {"name": one.name, "experiments": list(one.experiments)}
                for one in candidates(choice.among, study.experiments.values(), study.file)
            ]
        }
        for choice in study.choose
    ]


def _audited(planned: PlannedAudit) -> str:
    """Return the name of an adapter in the report; a model's own has none in the study."""
    return f"{planned.name} (its own)" if planned.own else planned.name


def _nulls(context: PlanContext) -> dict[str, Any]:
    """Return which experiments have null adapters, and what is set against them, if any."""
    if not (names := null_experiments(context)):
        return {}
    return {
        "experiments": names,
        "compared": plan_nulls(context),
        "unmatched": unmatched_nulls(context),
    }


def _mixes(experiments: "Iterable[Experiment]") -> Iterator[str]:
    """Yield the files about sums of adapters, the chart where some of them have one."""
    found: dict[str, list[Mapping[str, float]]] = {}
    for one in experiments:
        if not one.is_imported and one.asked.weights:
            found.setdefault(_picture(one.asked), []).append(one.asked.weights)
    several = [weights for weights in found.values() if varying(weights)]
    if several:
        table, *chart = MIXES
        yield from [table, *(chart if any(map(chart_axes, several)) else ())]


def _picture(settings: "ExperimentSettings") -> str:
    """Return what sums that are drawn together have in common."""
    dumped = settings.model_dump()
    own = {k: v for k, v in _series(dumped).items() if k != "adapter"}
    return canonical([own, settings.adapter, dumped["lora_scaling"]])


def may_choose(experiment: "Experiment") -> bool:
    """Return whether a run chooses by likelihoods, or its items say so."""
    return experiment.mode in ("choose", None)


def _has_profiles(study: "Study") -> bool:
    """Return whether parts of the model have scalings of their own in some experiments."""
    return any(isinstance(study.scaling_of(one), Mapping) for one in study.experiments.values())


def _is_judged_twice(experiment: "Experiment") -> bool:
    """Return whether two judge some of the same responses: rules and a judge, or two judges."""
    return bool(judges_of(experiment)) and any(experiment.scoring.get(key) for key in BESIDE)


def _compared(reference: "Reference") -> dict[str, Any]:
    published = reference.published
    return {
        "of": list(reference.of),
        "model": reference.model,
        "experiments": list(reference.experiments),
        "published": published.model_dump() if published else None,
    }


def _row(planned: PlannedScores, has_imported: bool) -> ReportRow:
    """Return a row; ``has_imported`` is whether some of the study were made elsewhere."""
    answers, experiment = planned.experiment, planned.experiment.experiment
    settings = {**_settings(experiment), "model": experiment.model}
    series = _series(settings)
    if has_imported:
        series["predictions"] = "imported" if answers.is_imported else "made here"
    return ReportRow(
        id=experiment.id,
        base=experiment.base,
        run=experiment.run,
        table=experiment.settings.table,
        dataset=experiment.dataset,
        settings=settings,
        series=series,
        scores=str(planned.path),
        digest=planned.digest,
        predictions=answers.digest,
        runtime=None if answers.is_imported else str(answers.runtime),
        imported=str(answers.predictions) if answers.is_imported else None,
    )


def _settings(experiment: "Experiment") -> dict[str, Any]:
    """Return an experiment's settings; one without a strength has no such key."""
    absent = {"strength"} if experiment.settings.strength is None else None
    return experiment.settings.model_dump(exclude=absent)


def _series(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that make two lines of one chart; seeds and batch sizes do not."""
    first = {key: settings[key] for key in ("model", "adapter", "dataset")}
    first["adapter"] = adapter_label(settings)
    own = {k: v for k, v in settings.items() if k not in NO_SERIES and k != "generation"}
    last = {"generation": settings["generation"]} if "generation" in settings else {}
    return {**first, **own, **last}


def _told(context: PlanContext) -> ReportJob:
    planned = plan_report(context)
    has_imported = len(context.asked) < len(context.study.experiments)
    return ReportJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        rows=[_row(plan_scores(context, one.id), has_imported) for one in reported(context)],
        adapters=[
            ReportAdapter(adapter.name, str(adapter.files["training"]), adapter.digest)
            for adapter in trained(context)
        ],
        files=list(planned.names),
        missing={},
        audits=[
            ReportAudit(
                _audited(one), str(one.files["audit"]), str(one.files["modules"]), one.digest
            )
            for one in plan_audits(context)
        ],
        nulls=_nulls(context),
    )


def partial_report(context: PlanContext, missing: Mapping[str, str]) -> tuple[Path, ReportJob]:
    """Return the manifest and the job of a report without the ``missing`` experiments -> why."""
    whole = _told(context)
    fingerprint = {**whole.fingerprint, "missing": dict(missing)}
    job = replace(
        whole,
        fingerprint=fingerprint,
        digest=digest(fingerprint),
        rows=[row for row in whole.rows if row.id not in missing],
        adapters=[adapter for adapter in whole.adapters if Path(adapter.log).exists()],
        audits=[one for one in whole.audits if Path(one.audit).exists()],
        missing=dict(missing),
    )
    return plan_report(context).folder / PARTIAL / f"manifest-{job.digest}.json", job


def reported(context: PlanContext) -> list[PlannedExperiment]:
    """Return the experiments that the report is of: none that searches dropped, or may drop."""
    unseen = hidden(context)
    return [planned for planned in plan_experiments(context) if planned.id not in unseen]


def _inputs(context: PlanContext) -> list[Path]:
    """Return what the report is made from, as far as it is decided, and the next decisions."""
    files = [
        path
        for experiment in reported(context)
        for path in (
            plan_scores(context, experiment.id).path,
            experiment.predictions if experiment.is_imported else experiment.runtime,
        )
    ]
    return [
        *undecided(context),
        *files,
        *(adapter.files["training"] for adapter in trained(context)),
        *(path for audit in plan_audits(context) for path in audit.files.values()),
    ]


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield the one job of the report."""
    planned = plan_report(context)
    yield PlannedJob(
        stage=STAGE,
        wildcards={"study": planned.study},
        outputs=planned.outputs,
        inputs=Late(partial(_inputs, context)),
        told=partial(_told, context),
        message=lambda: f"report {planned.study}",
    )


STAGE = Stage(
    name="report",
    outputs={"manifest": f"{FOLDER}/manifest-{{report_digest}}.json"},
    log=f"{RESULTS}/logs/report/{{study}}.log",
    jobs=jobs,
    final=True,
)

"""Planning of the page: a report's items, answers and scores become a folder to browse."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lorascope.identity.code import PACKAGE
from lorascope.identity.digests import canonical, digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.encode import PlannedFeatures
from lorascope.planning.infer import PlannedExperiment, plan_experiments
from lorascope.planning.judge import plan_verdicts
from lorascope.planning.models import here
from lorascope.planning.report import FOLDER, plan_report, reported
from lorascope.planning.results import RESULTS
from lorascope.planning.score import plan_scores
from lorascope.planning.search import undecided
from lorascope.planning.stage import Late, PlannedJob, Stage
from lorascope.planning.told import Fingerprint, Job

if TYPE_CHECKING:
    from lorascope.planning.report import ReportJob
    from lorascope.study.declarations import Encoding

HARMLESS = "plans files, by the fingerprints of what decides them"

APP = PACKAGE / "reporting" / "page_app"
"""The page's own files: they come with the package and are copied beside its data."""
RATE = 16000
"""Hz at which clips are heard where a family does not say."""


@dataclass(frozen=True)
class Ears:
    """How some experiments hear the clips of a dataset: at ``rate`` Hz, the first ``seconds``.

    ``seconds`` is None without a limit, or where only the encoder knows it: ``runtime``, a sidecar
    of answers with the digest ``predicted``, has the seconds of each clip that were not heard.
    """

    rate: int
    seconds: float | None
    runtime: str
    predicted: str


@dataclass(frozen=True)
class PageDataset:
    """A dataset of the page: ``items`` have the digest ``made``, clips lie below ``root``.

    ``settings`` are those that decide its items; without ``ears`` it has no clips.
    """

    name: str
    items: str
    made: str
    root: str
    settings: dict[str, Any]
    ears: list[Ears]


@dataclass(frozen=True)
class PageExperiment:
    """An experiment of the page, and where what it answered and its scores lie.

    ``predicted``, ``scored`` and ``judged`` are digests; ``verdicts`` are a judge's, None where
    none was asked.
    """

    id: str
    dataset: str
    predictions: str
    predicted: str
    scores: str
    scored: str
    verdicts: str | None
    judged: str | None


@dataclass(frozen=True)
class PageJob(Job):
    """``manifest`` is the report's, with the digest ``reported``; ``app`` a folder of files."""

    manifest: str
    reported: str
    app: str
    datasets: list[PageDataset]
    experiments: list[PageExperiment]

    @cached_property
    def json(self) -> str:
        """The content of the job's file."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the job with these values; UserError unless they are those of such a job."""
        job = super().from_json(values)
        found = [
            {**one, "ears": [Ears(**ears) for ears in one["ears"]]} for one in values["datasets"]
        ]
        return replace(
            job,
            datasets=[PageDataset(**one) for one in found],
            experiments=[PageExperiment(**one) for one in values["experiments"]],
        )


@dataclass(frozen=True, eq=False)
class PlannedPage:
    """The page of a report; the digest in the name of its last file says that it is up to date."""

    study: str
    fingerprint: Fingerprint
    digest: str

    @property
    def folder(self) -> Path:
        """Folder of the report and its page."""
        return Path(FOLDER.format(study=self.study))

    @property
    def index(self) -> Path:
        """The file to open."""
        return self.folder / "index.html"

    @property
    def outputs(self) -> dict[str, Path]:
        """The files that say that the page is there. Snakemake removes outputs before a job.

        So its folder is none of them: the clips in it are used again.
        """
        listing = self.folder / f"page-{self.digest}.json"
        return {"page": listing, "index": self.index, "inner": self.folder / "page" / "index.html"}


@once
def plan_page(context: PlanContext) -> PlannedPage:
    """Return the page of the study's report, and all that decides it."""
    report = plan_report(context)
    fingerprint = {
        "stage": STAGE.name,
        "report": report.digest,
        "page": context.study.report.page.model_dump(),
        "features": {
            planned.id: planned.features.digest
            for planned in plan_experiments(context)
            if planned.features
        },
        "app": context.package_files(APP),
        "code": context.code("lorascope.stages.page"),
    }
    return PlannedPage(report.study, fingerprint, digest(fingerprint))


def _told(context: PlanContext) -> PageJob:
    planned, report = plan_page(context), plan_report(context)
    experiments = reported(context)
    return PageJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        manifest=str(report.manifest),
        reported=report.digest,
        app=str(APP),
        datasets=_datasets(context, experiments),
        experiments=[_experiment(context, one) for one in experiments],
    )


def _experiment(context: PlanContext, planned: PlannedExperiment) -> PageExperiment:
    scores, verdicts = plan_scores(context, planned.id), plan_verdicts(context, planned.id)
    return PageExperiment(
        id=planned.id,
        dataset=planned.dataset.name,
        predictions=str(planned.predictions),
        predicted=planned.digest,
        scores=str(scores.path),
        scored=scores.digest,
        verdicts=str(verdicts.path) if verdicts else None,
        judged=verdicts.digest if verdicts else None,
    )


def _datasets(context: PlanContext, experiments: Iterable[PlannedExperiment]) -> list[PageDataset]:
    """Return the datasets of experiments, in their order, each with all that hear it."""
    found: dict[str, PageDataset] = {}
    for planned in experiments:
        dataset = planned.dataset
        if dataset.name not in found:
            found[dataset.name] = PageDataset(
                name=dataset.name,
                items=str(dataset.items),
                made=dataset.digest,
                root=str(dataset.clip_root),
                settings=dataset.fingerprint["settings"],
                ears=[],
            )
        if planned.features:
            _add(found[dataset.name].ears, _ears(context, planned, planned.features))
    return list(found.values())


def _add(ears: list[Ears], one: Ears) -> None:
    """Add ears that are not among others; those of one digest hear alike."""
    if all((one.rate, one.seconds) != (other.rate, other.seconds) for other in ears):
        ears.append(one)


def _ears(context: PlanContext, planned: PlannedExperiment, features: PlannedFeatures) -> Ears:
    encoding = features.encoding
    files = here(context, features.model, encoding.sources)
    return Ears(
        rate=_rate(encoding, files),
        seconds=encoding.hears(files) if encoding.hears else None,
        runtime=str(planned.runtime),
        predicted=planned.digest,
    )


def _rate(encoding: "Encoding", files: Mapping[str, Path]) -> int:
    return encoding.sampling_rate(files) if encoding.sampling_rate else RATE


def partial_page(
    context: PlanContext, missing: Mapping[str, str], manifest: Path, report: "ReportJob"
) -> tuple[Path, PageJob]:
    """Return the last file and the job of the page of a partial report, which has a manifest."""
    whole = _told(context)
    fingerprint = {**whole.fingerprint, "report": report.digest}
    there = [one for one in reported(context) if one.id not in missing]
    job = replace(
        whole,
        fingerprint=fingerprint,
        digest=digest(fingerprint),
        manifest=str(manifest),
        reported=report.digest,
        datasets=_datasets(context, there),
        experiments=[one for one in whole.experiments if one.id not in missing],
    )
    return manifest.with_name(f"page-{job.digest}.json"), job


def _read_of(context: PlanContext, planned: PlannedExperiment) -> Iterator[Path]:
    """Yield the files of an experiment that the page is made from."""
    yield planned.dataset.items
    yield planned.predictions
    yield plan_scores(context, planned.id).path
    if planned.features:
        yield planned.runtime  # says what was heard
    if verdicts := plan_verdicts(context, planned.id):
        yield verdicts.path


def _inputs(context: PlanContext) -> list[Path]:
    files = [path for one in reported(context) for path in _read_of(context, one)]
    return [*dict.fromkeys([plan_report(context).manifest, *undecided(context), *files])]


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield the one job of the page."""
    planned = plan_page(context)
    yield PlannedJob(
        stage=STAGE,
        wildcards={"study": planned.study},
        outputs=planned.outputs,
        inputs=Late(partial(_inputs, context)),
        told=partial(_told, context),
        message=lambda: f"page {planned.study}: the items behind the table, {planned.index}",
    )


STAGE = Stage(
    name="page",
    outputs={"page": f"{FOLDER}/page-{{page_digest}}.json"},
    log=f"{RESULTS}/logs/page/{{study}}.log",
    jobs=jobs,
    final=True,
)

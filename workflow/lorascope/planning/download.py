"""Planning of downloads: what a study needs, and what of it comes from the hub."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.results import COMMIT, RESULTS, download_name
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Job
from lorascope.storage import downloads
from lorascope.study.judge_checks import used_judges
from lorascope.study.registry import BENCHMARKS, SCORERS, require_format

if TYPE_CHECKING:
    from lorascope.study.declarations import Look
    from lorascope.study.settings import HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

MARKER = str(downloads.marker("{download}"))
FETCH_MODEL = "lorascope.storage.hub:fetch_model"


@dataclass(frozen=True)
class DownloadJob(Job):
    """``fetch`` (source, root) fetches ``source``; ``root`` is where a data set lies then."""

    fetch: str
    source: dict[str, Any]
    root: str


@dataclass(frozen=True)
class Need:
    """A source that a study needs: whose it is and under which key, and how it is fetched.

    ``fetch`` is None where the hub has no such source.
    """

    owner: str
    key: str
    source: "str | HubSource"
    fetch: str | None
    is_data: bool


def needs(context: PlanContext) -> Iterator[Need]:
    """Yield every source that the study's experiments need."""
    study = context.study
    for name in context.models:
        for key, source in context.sources(name, context.family(name).all_sources).items():
            yield Need(name, key, source, FETCH_MODEL, is_data=False)
    for name in context.adapters:
        if own := study.adapters[name].source:
            yield Need(name, "source", own, FETCH_MODEL, is_data=False)
    for name in context.datasets:
        dataset = study.datasets[name]
        fetch = BENCHMARKS[dataset.benchmark].download
        yield Need(name, "source", dataset_source(dataset), fetch, is_data=True)
        look = look_at(context, name)
        for repository in look.repositories if look else ():
            yield Need(name, "task", repository, fetch, is_data=True)
    for name in context.adapters:
        if data := study.adapters[name].data:
            fetch = require_format(data.format, study.file).download
            yield Need(name, "source", dataset_source(data), fetch, is_data=True)
    for experiment in study.experiments.values():
        if experiment.is_imported:
            source = experiment.predictions["source"]
            yield Need(experiment.id, "predictions.source", source, None, is_data=True)
        for key in SCORERS[experiment.scorer].files:
            file = experiment.scoring[key]
            yield Need(experiment.id, f"scorer.{key}", file, None, is_data=False)
        if rules := experiment.rules:
            for key in SCORERS[rules.name].files:
                yield Need(
                    experiment.id, f"scorer.rules.{key}", rules.own[key], None, is_data=False
                )
    for name in used_judges(study):
        if file := study.judges[name].protocol_file:
            yield Need(f"judges.{name}", "prompt.file", file, None, is_data=False)


@once
def look_at(context: PlanContext, name: str) -> "Look | None":
    """Return what a look at a dataset's files tells, None where its keys tell all.

    UserError, naming file and key, for a dataset that cannot be.
    """
    settings = context.study.datasets[name]
    look = BENCHMARKS[settings.benchmark].look
    try:
        return look and look(settings.model_dump())
    except UserError as error:
        raise UserError(f"{context.study.file}: datasets.{name}: {error}") from error


def dataset_source(settings: Any) -> "str | HubSource":
    """Return the source of a dataset or of training data, which all of them have."""
    source: str | HubSource = settings.source
    return source


def as_told(sources: "Mapping[str, str | HubSource]") -> dict[str, Any]:
    """Return key -> source as a job is told it, in JSON's values."""
    return {k: s if isinstance(s, str) else s.model_dump() for k, s in sources.items()}


def data_root(source: "str | HubSource") -> Path:
    """Return the folder or file that holds a data set, downloaded or not."""
    if isinstance(source, str):
        return Path(source)
    revision = source.revision.replace("/", "--")
    layout = f"--{found}" if (found := getattr(source, "layout", None)) else ""
    return Path(RESULTS, "downloads", "datasets", f"{source.hub}@{revision}{layout}")


def marker(source: "str | HubSource", is_data: bool = False) -> Path | None:
    """Return the file that says that a source of the hub is on this machine (local: None)."""
    if isinstance(source, str):
        return None
    return downloads.marker(download_name(source.model_dump(), is_data))


def markers(sources: "Iterable[str | HubSource]", is_data: bool = False) -> list[Path]:
    """Return the distinct markers of those of the sources that come from the hub."""
    found = dict.fromkeys(marker(source, is_data) for source in sources)
    return [path for path in found if path]


def local(sources: "Iterable[str | HubSource]") -> list[str]:
    """Return the distinct ones of the sources that are the user's own files."""
    return list(dict.fromkeys(source for source in sources if isinstance(source, str)))


def not_pinned(context: PlanContext) -> Iterator[str]:
    """Yield a line for each repository that the study names by a branch or tag, and the remedy."""
    found = {
        f"{need.source.hub}@{need.source.revision}": need
        for need in needs(context)
        if not isinstance(need.source, str) and not COMMIT.fullmatch(need.source.revision)
    }
    for repository, need in found.items():
        assert not isinstance(need.source, str)
        commit = downloads.commit_of(download_name(need.source.model_dump(), need.is_data))
        known = f", here commit {downloads.text(commit)}" if commit else ""
        yield f"not pinned: {repository} ({need.key} of {need.owner}){known}"
    if found:
        yield "a branch moves: write a commit as revision, and the study is the same everywhere"


@once
def planned_downloads(context: PlanContext) -> dict[Path, DownloadJob]:
    """Return marker -> what each download of the study is told.

    UserError for a source that cannot be had from the hub, and for two kinds of data that claim one
    repository.
    """
    fingerprint = {"stage": STAGE.name}
    found: dict[Path, DownloadJob] = {}
    for need in needs(context):
        path = marker(need.source, need.is_data)
        if path is None or isinstance(need.source, str):
            continue
        where = f"{context.study.file}: {need.key} of {need.owner}"
        if need.fetch is None:
            raise UserError(f"{where}: cannot be fetched from the hub; download it, give its path")
        # The whole data set, whatever part a study uses: the marker stands for all of it.
        root = str(data_root(need.source)) if need.is_data else ""
        told = DownloadJob(
            fingerprint, digest(fingerprint), need.fetch, need.source.model_dump(), root
        )
        if found.setdefault(path, told).fetch != told.fetch:
            raise UserError(
                f"{where}: {need.source.hub} is another kind of data elsewhere; use one"
            )
    return found


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each download."""
    for path in planned_downloads(context):
        yield STAGE.job(
            {"download": path.stem},
            inputs=(),
            told=partial(_told, context, path),
            message=partial(_message, path),
        )


def _told(context: PlanContext, path: Path) -> DownloadJob:
    return planned_downloads(context)[path]


def _message(path: Path) -> str:
    return f"download {path.stem}"


STAGE = Stage(
    name="download",
    outputs={"marker": MARKER},
    log=f"{RESULTS}/logs/download/{{download}}.log",
    jobs=jobs,
)

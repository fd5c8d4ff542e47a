"""Planning of datasets: a benchmark's files become items."""

# Few plans look into a table.
# ruff: noqa: PLC0415

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, data_name, once, settings_of
from lorascope.planning.download import data_root, dataset_source, local, look_at, markers
from lorascope.planning.results import RESULTS, download_name, hub_identity
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Fingerprint, Job
from lorascope.study.registry import BENCHMARKS

if TYPE_CHECKING:
    from lorascope.study.declarations import Benchmark, Look
    from lorascope.study.settings import DatasetSettings, HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/datasets/{{dataset}}/{{digest}}"


@dataclass(frozen=True)
class DatasetJob(Job):
    """``build_items`` and ``source_files`` are the benchmark's; ``root`` is where its files lie.

    ``local`` says whether they are the user's own, which may change while a run goes on. ``told``
    is what these functions are given beside the settings of the fingerprint; ``repositories`` maps
    names in the fingerprint to where the files of what comes from the hub besides lie.
    """

    build_items: str
    source_files: str
    root: str
    local: bool
    told: dict[str, Any]
    repositories: dict[str, str]


@dataclass(frozen=True, eq=False)
class PlannedDataset:
    """A benchmark under its settings, such as an audio condition, and the file of its items.

    ``reads`` is what of the user's own data it is made from, ``look`` what its files told.
    """

    name: str
    settings: "DatasetSettings"
    fingerprint: Fingerprint
    digest: str
    reads: Sequence[str] = ()
    look: "Look | None" = None

    @property
    def benchmark(self) -> "Benchmark":
        """The benchmark's declaration."""
        return BENCHMARKS[self.settings.benchmark]

    @property
    def source(self) -> "str | HubSource":
        """Where the study takes it from."""
        return dataset_source(self.settings)

    @property
    def root(self) -> Path:
        """Where its files lie."""
        return data_root(self.source)

    @property
    def clip_root(self) -> Path:
        """The folder below which its items name their clips."""
        return self.benchmark.clips_of(self.root, self.settings.model_dump())

    @property
    def repositories(self) -> "dict[str, HubSource]":
        """What comes from the hub beside the source, by names."""
        return _repositories(self.look)

    @property
    def told(self) -> dict[str, Any]:
        """What is given to the benchmark's functions beside its settings."""
        if self.look is None:
            return {}
        folders = [str(data_root(source)) for source in self.look.repositories]
        return {**self.look.told, "folders": folders}

    @property
    def items(self) -> Path:
        """Path of the items, one row each."""
        path = STAGE.outputs["dataset"]
        return Path(path.format(dataset=self.name, digest=self.digest))

    def counts(self, limit: int | None) -> dict[str, int] | None:
        """Return category -> number of items, as published where the files are not here.

        Where only the items tell, they are counted; None where they are not made yet.
        """
        counts = self.benchmark.count_items(self.root, self.settings.model_dump(), limit)
        return self._made() if counts is None else dict(counts)

    def _made(self) -> dict[str, int] | None:
        if not self.items.exists():
            return None
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            categories = pq.read_table(self.items, columns=["category"])["category"]
        except (OSError, pa.ArrowException):
            return None  # damaged, as the stage that reads it will say
        return dict(Counter(categories.to_pylist()))

    def clips(self, limit: int | None) -> int:
        """Return the number of clips, counted in the same way (0 for text)."""
        count = self.benchmark.count_clips
        return count(self.root, self.settings.model_dump(), limit) if count else 0


@once
def plan_dataset(context: PlanContext, name: str) -> PlannedDataset:
    """Return what a dataset of the study makes, and all that decides it."""
    settings, look = context.study.datasets[name], look_at(context, name)
    benchmark = BENCHMARKS[settings.benchmark]
    values, limit = settings.model_dump(), context.study.limit
    own = settings_of(values, benchmark.item_settings)
    source, reads = _source(context, settings, look)
    fingerprint = {
        "stage": STAGE.name,
        "benchmark": settings.benchmark,
        "source": source,
        "settings": {**own, **look.decides} if look else own,
        "limit": limit,
        "code": context.code("lorascope.stages.dataset", benchmark.build_items),
    }
    if look:
        fingerprint["repositories"] = {
            key: hub_identity(one.model_dump(), is_data=True)
            for key, one in _repositories(look).items()
        }
    return PlannedDataset(name, settings, fingerprint, digest(fingerprint), reads, look)


def _source(
    context: PlanContext, settings: "DatasetSettings", look: "Look | None"
) -> tuple[Any, list[str]]:
    """Return the identity of a dataset's source, and what of the user's own data it is.

    Where a look tells what a dataset is made of, that may be nothing.
    """
    values, limit = settings.model_dump(), context.study.limit
    listed = resolve_name(BENCHMARKS[settings.benchmark].source_files)
    source, wanted = dataset_source(settings), [settings.benchmark, values, limit]
    given = {**values, **look.told} if look else values

    def files(root: Path) -> list[Path]:
        found: list[Path] = listed(root, given, limit)
        return found

    if look and not files(data_root(source)):
        return None, []
    return context.data(source, files, wanted), [data_name(s, wanted) for s in local([source])]


def _repositories(look: "Look | None") -> "dict[str, HubSource]":
    found = look.repositories if look else ()
    return {download_name(source.model_dump(), is_data=True): source for source in found}


def download_of(planned: PlannedDataset) -> list[Path]:
    """Return the markers of a dataset's downloads (none where its files are local)."""
    return markers([planned.source, *planned.repositories.values()], is_data=True)


def _told(planned: PlannedDataset) -> DatasetJob:
    return DatasetJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        build_items=planned.benchmark.build_items,
        source_files=planned.benchmark.source_files,
        root=str(planned.root),
        local=isinstance(planned.source, str),
        told=planned.told,
        repositories={key: str(data_root(one)) for key, one in planned.repositories.items()},
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each dataset that experiments use."""
    for name in context.datasets:
        planned = plan_dataset(context, name)
        yield STAGE.job(
            {"dataset": name, "digest": planned.digest},
            inputs=download_of(planned),
            reads=planned.reads,
            told=partial(_told, planned),
            message=partial(_message, planned),
        )


def _message(planned: PlannedDataset) -> str:
    return f"dataset {planned.name}: read the questions and check the clips"


STAGE = Stage(
    name="dataset",
    outputs={"dataset": f"{FOLDER}/items.parquet"},
    log=f"{RESULTS}/logs/dataset/{{dataset}}/{{digest}}.log",
    kept=FOLDER,
    jobs=jobs,
)

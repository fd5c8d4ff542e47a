"""Planning of datasets: a benchmark's files become items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from lorascope.identity.digests import digest
from lorascope.planning.context import RESULTS, PlanContext, data_name, once, settings_of
from lorascope.planning.download import data_root, dataset_source, local, markers
from lorascope.planning.stage import Fingerprint, Job, PlannedJob, Stage
from lorascope.study.registry import BENCHMARKS

if TYPE_CHECKING:
    from lorascope.study.declarations import Benchmark
    from lorascope.study.settings import DatasetSettings, HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/datasets/{{dataset}}/{{digest}}"


@dataclass(frozen=True)
class DatasetJob(Job):
    """``build_items`` and ``source_files`` are the benchmark's; ``root`` is where its files lie.

    ``local`` says whether they are the user's own, which may change while a run goes on.
    """

    build_items: str
    source_files: str
    root: str
    local: bool


@dataclass(frozen=True, eq=False)
class PlannedDataset:
    """A benchmark under its settings, such as an audio condition, and the file of its items.

    ``reads`` is what of the user's own data it is made from.
    """

    name: str
    settings: "DatasetSettings"
    fingerprint: Fingerprint
    digest: str
    reads: Sequence[str] = ()

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
    def items(self) -> Path:
        """Path of the items, one row each."""
        path = STAGE.outputs["dataset"]
        return Path(path.format(dataset=self.name, digest=self.digest))

    def counts(self, limit: int | None) -> dict[str, int] | None:
        """Return category -> number of items, as published where the files are not here.

        None where neither tells.
        """
        counts = self.benchmark.count_items(self.root, self.settings.model_dump(), limit)
        return None if counts is None else dict(counts)

    def clips(self, limit: int | None) -> int:
        """Return the number of clips, counted in the same way (0 for text)."""
        count = self.benchmark.count_clips
        return count(self.root, self.settings.model_dump(), limit) if count else 0


@once
def plan_dataset(context: PlanContext, name: str) -> PlannedDataset:
    """Return what a dataset of the study makes, and all that decides it."""
    settings = context.study.datasets[name]
    benchmark = BENCHMARKS[settings.benchmark]
    values, limit = settings.model_dump(), context.study.limit
    files, source = resolve_name(benchmark.source_files), dataset_source(settings)
    wanted = [settings.benchmark, values, limit]
    fingerprint = {
        "stage": STAGE.name,
        "benchmark": settings.benchmark,
        "source": context.data(source, lambda root: files(root, values, limit), wanted),
        "settings": settings_of(values, benchmark.item_settings),
        "limit": limit,
        "code": context.code("lorascope.stages.dataset", benchmark.build_items),
    }
    reads = [data_name(source, wanted) for source in local([source])]
    return PlannedDataset(name, settings, fingerprint, digest(fingerprint), reads)


def download_of(planned: PlannedDataset) -> list[Path]:
    """Return the marker of a dataset's download (none where its files are local)."""
    return markers([planned.source], is_data=True)


def _told(planned: PlannedDataset) -> DatasetJob:
    return DatasetJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        build_items=planned.benchmark.build_items,
        source_files=planned.benchmark.source_files,
        root=str(planned.root),
        local=isinstance(planned.source, str),
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each dataset that experiments use."""
    for name in context.used(lambda e: e.dataset):
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

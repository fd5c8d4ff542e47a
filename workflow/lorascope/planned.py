"""The files of a study: where each lies, by the digest of its recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.finetuning import FILES

if TYPE_CHECKING:
    from lorascope.study import Experiment

RESULTS = Path("results")
SOURCE_INDEX = RESULTS / ".sources.json"
REPORT_FILES = ("accuracy.md", "accuracy.csv", "accuracy.svg", "accuracy.png", "comparison.csv")
Recipe = dict[str, Any]


@dataclass(frozen=True, eq=False)
class PlannedDataset:
    """A benchmark under an audio condition and the file of its items."""

    name: str
    root: Path
    recipe: Recipe
    digest: str

    @cached_property
    def items(self) -> Path:
        """Path of the items, one row each."""
        return RESULTS / "datasets" / self.name / self.digest / "items.parquet"


@dataclass(frozen=True, eq=False)
class PlannedAdapter:
    """A LoRA adapter that the study trains, in peft's own files.

    ``home`` is the name it was first trained under, ``name`` the one that the study gives it.
    """

    name: str
    home: str
    model: str
    recipe: Recipe
    digest: str

    @cached_property
    def folder(self) -> Path:
        """Folder of the adapter's files, and of the checkpoints of an unfinished training."""
        return RESULTS / "adapters" / self.home / self.digest

    @cached_property
    def training(self) -> Path:
        """Path of the training log."""
        return self.folder / "training.parquet"

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """What the training makes, the weights last."""
        return tuple(self.folder / name for name in FILES)


@dataclass(frozen=True, eq=False)
class PlannedFeatures:
    """The clips of a dataset as one model hears them, in chunks of clips.

    ``bridge`` is the adapter, one that this study trains or the folder of another, that brings the
    bridge from encoders to language model along; None is the model's own.
    """

    model: str
    dataset: PlannedDataset
    bridge: PlannedAdapter | Path | None
    recipe: Recipe
    digest: str
    chunks: int

    @cached_property
    def folder(self) -> Path:
        """Folder of the chunks."""
        return RESULTS / "features" / self.model / self.dataset.name / self.digest

    def file(self, chunk: int | str, chunks: int | str) -> Path:
        """Return the path of one chunk."""
        return self.folder / f"{chunk}-of-{chunks}.safetensors"

    @cached_property
    def files(self) -> list[Path]:
        """Paths of all chunks."""
        return [self.file(chunk, self.chunks) for chunk in range(self.chunks)]


@dataclass(frozen=True, eq=False)
class PlannedExperiment:
    """An experiment with the digests and paths of its predictions and scores.

    ``features`` is None for a model of text; ``adapter`` unless this study trains it.
    """

    experiment: "Experiment"
    dataset: PlannedDataset
    features: PlannedFeatures | None
    adapter: PlannedAdapter | None
    recipe: Recipe
    digest: str
    score_recipe: Recipe
    score_digest: str

    @cached_property
    def folder(self) -> Path:
        """Folder of everything inferred under these settings."""
        return RESULTS / "experiments" / self.experiment.id / self.digest

    @cached_property
    def predictions(self) -> Path:
        """Path of the responses."""
        return self.folder / "predictions.parquet"

    @cached_property
    def runtime(self) -> Path:
        """Path of timings, host and versions."""
        return self.folder / "runtime.parquet"

    @cached_property
    def scores(self) -> Path:
        """Path of the scores."""
        return self.folder / f"scores-{self.score_digest}.parquet"

    def shard(self, shard: int | str, shards: int | str) -> Path:
        """Return the path of a temporary shard."""
        return self.folder / "shards" / f"{shard}-of-{shards}.parquet"


def dataset_root(source: str | Mapping[str, str]) -> Path:
    """Return the folder that holds data/<Track>/..., downloaded or not."""
    if isinstance(source, str):
        return Path(source)
    revision = source["revision"].replace("/", "--")
    return RESULTS / "downloads" / "datasets" / f"{source['hub']}@{revision}"


def download_marker(source: str | Mapping[str, Any]) -> Path | None:
    """Return the file that says that a source of the hub is on this machine (local: None)."""
    if isinstance(source, str):
        return None
    parts = [source["hub"], "@", source["revision"], source.get("file") or ""]
    name = "--".join("".join(parts[:3]).split("/")) + (f"--{parts[3]}" if parts[3] else "")
    return RESULTS / "downloads" / f"{name.replace('/', '--')}.json"

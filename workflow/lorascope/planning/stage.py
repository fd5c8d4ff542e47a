"""What the planning of every stage has in common: its files, its jobs, what a job is told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lorascope.planning.context import PlanContext
from lorascope.planning.told import Job

HARMLESS = "plans files, by the fingerprints of what decides them"


class Late(Sequence[Path]):
    """Files that are found anew each time: which they are is decided while a run is at work."""

    def __init__(self, find: Callable[[], list[Path]]) -> None:
        self._find = find

    def __len__(self) -> int:
        return len(self._find())

    def __getitem__(self, place: Any) -> Any:
        return self._find()[place]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._find())


@dataclass(frozen=True)
class Stage:
    """A stage as planning knows it; a rule and a module of ``lorascope.stages`` have its name.

    Paths are patterns with Snakemake's wildcards in braces. The first of ``outputs`` names a job.
    """

    name: str
    outputs: Mapping[str, str]
    log: str
    jobs: "Callable[[PlanContext], Iterator[PlannedJob]]"
    """Yields every job of the stage that a study plans."""
    kept: str | None = None
    """Pattern of the folder or file that stands for a digest of this stage; prune looks there."""
    loads_model: bool = False
    final: bool = False
    """Whether a study asks for these files for their own sake, not only for a later stage."""

    def job(self, wildcards: Mapping[str, object], **details: Any) -> "PlannedJob":
        """Return a job of this stage; ``details`` are the other fields of `PlannedJob`."""
        outputs = {n: Path(path.format(**wildcards)) for n, path in self.outputs.items()}
        return PlannedJob(stage=self, wildcards=wildcards, outputs=outputs, **details)


@dataclass(frozen=True, eq=False)
class PlannedJob:
    """A job of a stage: the files it makes and those it needs, what it is told and says.

    ``reads`` are the user's own files and folders among what it needs, data by `data_name`.
    ``lock`` is held while the job is at work, where it takes one. ``remote`` says that its model is
    behind a server, and not loaded by it.
    """

    stage: Stage
    wildcards: Mapping[str, object]
    outputs: Mapping[str, Path]
    inputs: Sequence[Path]
    told: Callable[[], Job]
    message: Callable[[], str]
    reads: Sequence[str] = ()
    gpus: int = 0
    lock: Path | None = None
    remote: bool = False

    @cached_property
    def log(self) -> Path:
        """The job's log."""
        return Path(self.stage.log.format(**self.wildcards))

    @property
    def out(self) -> Path:
        """The file that names the job."""
        return next(iter(self.outputs.values()))

    @property
    def loads_model(self) -> bool:
        """Whether it loads a model."""
        return self.stage.loads_model and not self.remote

    @property
    def is_done(self) -> bool:
        """Whether all of its files exist; a file that exists is valid, by what its path holds."""
        return all(path.exists() for path in self.outputs.values())

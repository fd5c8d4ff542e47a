"""Planning of merging: the shards of an experiment become its predictions and their sidecar."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lorascope.planning.context import RESULTS, PlanContext, once
from lorascope.planning.infer import (
    FOLDER,
    PREDICTIONS,
    RUNTIME,
    PlannedExperiment,
    plan_experiments,
)
from lorascope.planning.stage import Job, PlannedJob, Stage

HARMLESS = "plans files, by the fingerprints of what decides them"

OUTPUTS = {"predictions": PREDICTIONS, "runtime": RUNTIME}


@dataclass(frozen=True)
class MergeJob(Job):
    """``shards`` are merged in the order of ``items``, which lie in a file with digest ``dataset``.

    ``twin`` is the folder of another ID with the very same predictions, to be copied instead.
    """

    id: str
    dataset: str
    items: str
    shards: list[str]
    twin: str | None


def copied(folder: Path) -> dict[str, Path]:
    """Return the files of a twin's folder that a merge copies, by the names of its outputs."""
    return {name: folder / Path(path).name for name, path in OUTPUTS.items()}


def twin(context: PlanContext, planned: PlannedExperiment) -> Path | None:
    """Return a folder of another ID that holds the very same predictions, or will do so.

    So an experiment that was renamed, or that two names stand for, is not run twice.
    """
    for folder in _existing(context).get(planned.digest, ()):
        if folder != planned.folder and all(path.exists() for path in copied(folder).values()):
            return folder
    first = _first(context)[planned.digest]
    return None if first is planned else first.folder


@once
def _existing(context: PlanContext) -> dict[str, list[Path]]:
    """Return digest -> folders under results/experiments, whatever their ID."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(Path().glob(FOLDER.format(id="*", digest="*"))):
        found.setdefault(folder.name, []).append(folder)
    return found


@once
def _first(context: PlanContext) -> dict[str, PlannedExperiment]:
    """Return digest -> the first experiment of the study that has it."""
    return {planned.digest: planned for planned in reversed([*plan_experiments(context)])}


def _told(context: PlanContext, planned: PlannedExperiment) -> MergeJob:
    found = twin(context, planned)
    return MergeJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        id=planned.id,
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        shards=[str(path) for path in planned.shard_files()],
        twin=str(found) if found else None,
    )


def _inputs(context: PlanContext, planned: PlannedExperiment) -> list[Path]:
    """Return the shards of an experiment, or what its twin will make (nothing once it has)."""
    found = twin(context, planned)
    if found is None:
        return [planned.dataset.items, *planned.shard_files()]
    return [path for path in copied(found).values() if not path.exists()]


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each experiment."""
    for planned in plan_experiments(context):
        yield STAGE.job(
            {"id": planned.id, "digest": planned.digest},
            inputs=_inputs(context, planned),
            told=partial(_told, context, planned),
            message=partial(_message, planned),
        )


def _message(planned: PlannedExperiment) -> str:
    return f"{planned.id}: merge the shards"


STAGE = Stage(
    name="merge",
    outputs=OUTPUTS,
    log=f"{RESULTS}/logs/merge/{{id}}/{{digest}}.log",
    jobs=jobs,
    final=True,
)

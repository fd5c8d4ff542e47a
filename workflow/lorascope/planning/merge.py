"""Planning of merging: the shards of an experiment become its predictions and their sidecar."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lorascope.planning.context import PlanContext, once
from lorascope.planning.infer import PlannedExperiment, plan_experiments
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import FOLDER, MERGED, MergeJob, copied

HARMLESS = "plans files, by the fingerprints of what decides them"


def twin(context: PlanContext, planned: PlannedExperiment) -> Path | None:
    """Return a folder of another ID from which the very same predictions are copied, if any.

    So an experiment that was renamed, or that two names stand for, is not run twice.
    """
    source = _source(context, planned.digest)
    return None if source == planned.folder else source


@once
def _source(context: PlanContext, digest: str) -> Path:
    """Return the folder whose predictions all experiments of a digest have.

    One of the study's own is the source of the others and is never copied itself, so that where a
    run makes all of them again, the others wait for it. Only where none of them is answered is a
    folder copied that this study does not plan. Looked up once: while a run makes them, they go.
    """
    own = _same(context)[digest]
    for one in own:
        if one.is_answered:
            return one.folder
    for folder in _existing(context).get(digest, ()):
        if all(path.exists() for path in copied(folder).values()):
            return folder
    return own[0].folder


@once
def _same(context: PlanContext) -> dict[str, list[PlannedExperiment]]:
    """Return digest -> the experiments of the study that have it."""
    found: dict[str, list[PlannedExperiment]] = {}
    for planned in plan_experiments(context):
        found.setdefault(planned.digest, []).append(planned)
    return found


@once
def _existing(context: PlanContext) -> dict[str, list[Path]]:
    """Return digest -> folders under results/experiments, whatever their ID."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(Path().glob(FOLDER.format(id="*", digest="*"))):
        found.setdefault(folder.name, []).append(folder)
    return found


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
    """Return the shards of an experiment, or what its twin has made or will make.

    Nothing of a twin that no job of this study makes.
    """
    found = twin(context, planned)
    if found is None:
        return [planned.dataset.items, *planned.shard_files()]
    is_planned = any(found == one.folder for one in _same(context)[planned.digest])
    return list(copied(found).values()) if is_planned else []


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each experiment that a model of the study answers."""
    for planned in plan_experiments(context):
        if planned.is_imported:
            continue
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
    outputs=MERGED,
    log=f"{RESULTS}/logs/merge/{{id}}/{{digest}}.log",
    jobs=jobs,
    final=True,
)

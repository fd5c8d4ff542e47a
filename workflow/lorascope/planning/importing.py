"""Planning of imports: predictions that were made elsewhere become those of an experiment."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, data_name, once
from lorascope.planning.dataset import plan_dataset
from lorascope.planning.infer import PlannedExperiment, plan_experiments
from lorascope.planning.reasons import why_inferred
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import IMPORTED, Job
from lorascope.study.registry import PREDICTIONS

if TYPE_CHECKING:
    from lorascope.study.experiments import Experiment

HARMLESS = "plans files, by the fingerprints of what decides them"

MOST_FILES = 10_000


@dataclass(frozen=True)
class ImportJob(Job):
    """``read`` is the format's; ``files`` lie below ``source``, which may be the one file.

    ``items`` lie in a file with the digest ``dataset``.
    """

    id: str
    read: str
    source: str
    files: list[str]
    dataset: str
    items: str


def source_files(source: Path, pattern: str) -> list[Path]:
    """Return the files of predictions made elsewhere, those of a folder sorted by their paths.

    UserError for a folder that holds other files alone, or too many.
    """
    if not source.is_dir():
        return [source]
    found = sorted(path for path in source.rglob(pattern) if path.is_file())
    if len(found) > MOST_FILES:
        raise UserError(f"{source}: holds {len(found):,} files; name the folder of one experiment")
    if not found and any(source.iterdir()):
        raise UserError(f"{source}: holds no file that is called {pattern}, as the format's are")
    return found


@once
def plan_import(context: PlanContext, identifier: str) -> PlannedExperiment:
    """Return what an experiment that was made elsewhere makes here, and all that decides it.

    Its labels decide nothing: they are shown.
    """
    experiment = context.study.experiments[identifier]
    keys, form = experiment.predictions, PREDICTIONS[experiment.predictions["format"]]
    dataset = plan_dataset(context, experiment.dataset)
    strength = experiment.settings.strength
    try:
        files = source_files(Path(keys["source"]), form.files)
    except UserError as error:
        where = f"{context.study.file}: experiment {identifier}: predictions.source"
        raise UserError(f"{where}: {error}") from error
    fingerprint = {
        "stage": STAGE.name,
        "settings": {key: value for key, value in keys.items() if key != "source"},
        "predictions": context.data(keys["source"], lambda _: files, _wanted(experiment)),
        "mode": experiment.mode,
        "lora_scaling": experiment.settings.lora_scaling,
        **({} if strength is None else {"strength": strength}),
        "dataset": dataset.fingerprint,
        "code": context.code("lorascope.stages.importing", form.read),
    }
    return PlannedExperiment(experiment, dataset, None, None, 0, fingerprint, digest(fingerprint))


def _wanted(experiment: "Experiment") -> list[str]:
    return ["predictions", experiment.predictions["format"]]


def _told(planned: PlannedExperiment) -> ImportJob:
    keys = planned.experiment.predictions
    form = PREDICTIONS[keys["format"]]
    return ImportJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        id=planned.id,
        read=form.read,
        source=keys["source"],
        files=[str(path) for path in source_files(Path(keys["source"]), form.files)],
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each experiment that was made elsewhere."""
    for planned in plan_experiments(context):
        if planned.is_imported:
            source = planned.experiment.predictions["source"]
            yield STAGE.job(
                {"id": planned.id, "digest": planned.digest},
                inputs=[planned.dataset.items],
                reads=[data_name(source, _wanted(planned.experiment))],
                told=partial(_told, planned),
                message=partial(_message, planned),
            )


def why_imported(planned: PlannedExperiment) -> str:
    """Say in words where an experiment's predictions come from, and why they have to be read."""
    keys = planned.experiment.predictions
    why = why_inferred(planned.folder, planned.fingerprint)
    return f"imported from {keys['source']} ({keys['format']}): {why}"


def _message(planned: PlannedExperiment) -> str:
    return f"{planned.id}: {why_imported(planned)}"


STAGE = Stage(
    name="importing",
    outputs={"imported": IMPORTED},
    log=f"{RESULTS}/logs/importing/{{id}}/{{digest}}.log",
    jobs=jobs,
    final=True,
)

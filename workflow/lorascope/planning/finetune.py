"""Planning of trainings: a model and training data become a LoRA adapter."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, data_name, once
from lorascope.planning.download import as_told, data_root, dataset_source, local, markers
from lorascope.planning.made import PlannedAdapter, home_of
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import Job
from lorascope.study.registry import require_format

if TYPE_CHECKING:
    from lorascope.study.adapters import TrainSettings
    from lorascope.study.declarations import DataFormat, Training
    from lorascope.study.settings import DataSettings, HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"

FOLDER = f"{RESULTS}/adapters/{{adapter}}/{{digest}}"
OUTPUTS = {
    "weights": f"{FOLDER}/adapter_model.safetensors",
    "config": f"{FOLDER}/adapter_config.json",
    "training": f"{FOLDER}/training.parquet",
    "account": f"{FOLDER}/training.json",
    "groups": f"{FOLDER}/parameter_groups.json",
    "files": f"{FOLDER}/files.json",
}
NOT_IN_ADAPTER = ("gpus", "save_steps")
"""Keys of train that change no adapter: how many GPUs share a step, when it is saved."""


@dataclass(frozen=True)
class FinetuneJob(Job):
    """``prepare`` is the family's, ``read`` and ``source_files`` are those of the data's format.

    ``sources`` are the model's, as the study has them; ``root`` is where the data lies, ``clips``
    its clips, ``local`` whether it is the user's own. ``language_model`` is the key of what is
    adapted. ``tracking`` names the trackers that follow the training, under the ``study``'s name.
    """

    adapter: str
    prepare: str
    measure: str
    language_model: str
    sources: dict[str, Any]
    read: str
    source_files: str
    root: str
    clips: str
    local: bool
    save_steps: int
    tracking: list[str]
    study: str


@dataclass(frozen=True, eq=False)
class TrainedAdapter(PlannedAdapter):
    """A LoRA adapter that the study trains."""

    train: "TrainSettings"
    data: "DataSettings"
    training: "Training"
    outputs = OUTPUTS

    @property
    def data_format(self) -> "DataFormat":
        """The declaration of its data's format."""
        return require_format(self.data.format, self.name)

    @property
    def changes_encoding(self) -> bool:
        """Whether clips are heard otherwise with this adapter."""
        key = self.training.encoding_key
        return key is not None and bool(getattr(self.train, key))


def checkpoints(folder: Path) -> Path:
    """Return the folder of the checkpoints of a training that is not done yet."""
    return folder / "checkpoints"


def training_lock(folder: Path) -> Path:
    """Return the lock that a training holds."""
    return checkpoints(folder) / "training.lock"


@once
def plan_training(context: PlanContext, name: str) -> TrainedAdapter | None:
    """Return what a training of the study makes; None for an adapter that is not trained."""
    adapter = context.study.adapters[name]
    family = context.family(adapter.model)
    if adapter.train is None or adapter.data is None or family.training is None:
        return None
    model, data = context.study.models[adapter.model], adapter.data
    data_format, values = require_format(data.format, name), data.model_dump()
    files = resolve_name(data_format.source_files)
    # A training has no experiment: what only those set, as the Q-Former's window, has its default.
    own = family.experiment.model_fields if family.experiment else {}
    known = {key: field.default for key, field in own.items()} | model.model_dump()
    fingerprint = {
        "stage": STAGE.name,
        "family": model.family,
        "settings": {key: known[key] for key in family.all_settings},
        "sources": {k: context.source(s) for k, s in _sources(context, adapter.model).items()},
        "train": {k: v for k, v in adapter.train.model_dump().items() if k not in NOT_IN_ADAPTER},
        "data": {k: v for k, v in values.items() if k != "source"},
        "data_source": context.data(
            dataset_source(data), lambda root: files(root, values), _wanted(data)
        ),
        "code": context.code(
            "lorascope.stages.finetune",
            family.training.prepare,
            family.training.measure,
            data_format.read,
        ),
    }
    found = digest(fingerprint)
    home = home_of(context, name, found, OUTPUTS)
    return TrainedAdapter(
        name, home, adapter.model, fingerprint, found, adapter.train, data, family.training
    )


def _wanted(data: "DataSettings") -> list[Any]:
    return [data.format, data.model_dump()]


@once
def trained(context: PlanContext) -> list[TrainedAdapter]:
    """Return the adapters that experiments use, or are made of, and the study trains."""
    planned = (plan_training(context, name) for name in context.adapters)
    return [adapter for adapter in planned if adapter]


def message(planned: TrainedAdapter) -> str:
    """Say in words what a training is."""
    train = planned.train
    targets = ", ".join(train.target_modules)
    return f"{planned.name}: train LoRA of rank {train.rank} on {targets} of {planned.model}"


def _told(context: PlanContext, planned: TrainedAdapter) -> FinetuneJob:
    source = dataset_source(planned.data)
    root = data_root(source)
    return FinetuneJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        adapter=planned.name,
        prepare=planned.training.prepare,
        measure=planned.training.measure,
        language_model=planned.training.language_model,
        sources=as_told(_sources(context, planned.model)),
        read=planned.data_format.read,
        source_files=planned.data_format.source_files,
        root=str(root),
        clips=str(planned.data_format.clips_of(root, planned.data.model_dump())),
        local=isinstance(source, str),
        save_steps=planned.train.save_steps,
        tracking=[*dict.fromkeys(context.study.tracking)],
        study=context.study.name,
    )


def _sources(context: PlanContext, model: str) -> "dict[str, str | HubSource]":
    """Return key -> source of a model, all of which a training reads."""
    return context.sources(model, context.family(model).all_sources)


def _reads(context: PlanContext, planned: TrainedAdapter) -> list[str]:
    """Return what a training reads of the user's own files."""
    data = local([dataset_source(planned.data)])
    return [
        *local(_sources(context, planned.model).values()),
        *(data_name(source, _wanted(planned.data)) for source in data),
    ]


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each adapter that experiments use and the study trains."""
    # Two names of one training have one job, under the first.
    first: dict[str, TrainedAdapter] = {}
    for planned in trained(context):
        first.setdefault(planned.digest, planned)
    for planned in first.values():
        yield STAGE.job(
            {"adapter": planned.home, "digest": planned.digest},
            inputs=[
                *markers(_sources(context, planned.model).values()),
                *markers([dataset_source(planned.data)], is_data=True),
            ],
            reads=_reads(context, planned),
            told=partial(_told, context, planned),
            message=partial(message, planned),
            gpus=planned.train.gpus,
            lock=training_lock(planned.folder),
        )


STAGE = Stage(
    name="finetune",
    outputs=OUTPUTS,
    log=f"{RESULTS}/logs/finetune/{{adapter}}/{{digest}}.log",
    kept=FOLDER,
    jobs=jobs,
    loads_model=True,
)

"""Planning of inference: an experiment's questions become answers, shard by shard."""

# What was made elsewhere is planned by a module that stands on this one; what is searched among by
# one that imports the declarations of a study, which a job that is told what to do has no use for.
# ruff: noqa: PLC0415

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from lorascope.identity.digests import digest
from lorascope.planning.context import PlanContext, once
from lorascope.planning.dataset import PlannedDataset, plan_dataset
from lorascope.planning.derive import plan_adapter
from lorascope.planning.download import as_told, local, markers
from lorascope.planning.encode import PlannedFeatures, plan_features
from lorascope.planning.made import PlannedAdapter
from lorascope.planning.reasons import why_inferred
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob, Stage
from lorascope.planning.told import FOLDER, IMPORTED, PREDICTIONS, RUNTIME, Fingerprint, InferJob

if TYPE_CHECKING:
    from lorascope.study.experiments import Experiment, ExperimentSettings
    from lorascope.study.settings import HubSource

HARMLESS = "plans files, by the fingerprints of what decides them"


@dataclass(frozen=True, eq=False)
class PlannedExperiment:
    """An experiment with the digest and the paths of its answers.

    ``features`` is None for a model of text; ``adapter`` unless this study makes it; both, and
    ``shards`` is 0, where predictions were made elsewhere.
    """

    experiment: "Experiment"
    dataset: PlannedDataset
    features: PlannedFeatures | None
    adapter: PlannedAdapter | None
    shards: int
    fingerprint: Fingerprint
    digest: str

    @property
    def id(self) -> str:
        """The experiment's ID."""
        return self.experiment.id

    @cached_property
    def folder(self) -> Path:
        """Folder of everything inferred under these settings."""
        return Path(FOLDER.format(id=self.id, digest=self.digest))

    @cached_property
    def predictions(self) -> Path:
        """Path of the responses."""
        return self.folder / Path(IMPORTED if self.is_imported else PREDICTIONS).name

    @cached_property
    def runtime(self) -> Path:
        """Path of timings, host and versions."""
        return self.folder / Path(RUNTIME).name

    @property
    def is_imported(self) -> bool:
        """Whether its predictions were made elsewhere; there is no sidecar then."""
        return self.experiment.is_imported

    @property
    def is_answered(self) -> bool:
        """Whether every question is answered, and the answers merged or imported."""
        return self.predictions.exists() and (self.is_imported or self.runtime.exists())

    def shard_files(self) -> list[Path]:
        """Return the temporary shards."""
        shard = STAGE.outputs["shard"]
        wildcards = {"id": self.id, "digest": self.digest, "shards": self.shards}
        return [Path(shard.format(shard=k, **wildcards)) for k in range(self.shards)]


def plan_experiments(context: PlanContext) -> Iterator[PlannedExperiment]:
    """Yield what each experiment of the study makes."""
    for identifier in context.study.experiments:
        yield plan_experiment(context, identifier)


def plan_experiment(context: PlanContext, identifier: str) -> PlannedExperiment:
    """Return what an experiment makes, and all that decides it."""
    if context.study.experiments[identifier].is_imported:
        from lorascope.planning.importing import plan_import

        return plan_import(context, identifier)
    return _plan_asked(context, identifier)


@once
def _plan_asked(context: PlanContext, identifier: str) -> PlannedExperiment:
    """Return what an experiment makes that a model of the study answers."""
    experiment = context.study.experiments[identifier]
    settings, model = experiment.asked, context.study.models[experiment.model]
    family, dataset = context.family(experiment.model), plan_dataset(context, experiment.dataset)
    adapter = plan_adapter(context, experiment.adapter) if experiment.adapter else None
    features = plan_features(context, identifier)
    known = {**vars(settings), **vars(model)}
    fingerprint = {
        "stage": STAGE.name,
        "family": model.family,
        "settings": {key: known[key] for key in family.answer_settings},
        "sources": {k: context.source(s) for k, s in _sources(context, experiment).items()},
        "dtype": model.dtype,
        "adapter": adapter.fingerprint if adapter else None,
        "lora_scaling": context.study.scaling_of(experiment),
        # Absent, it is 1; a LoRA has none.
        **({"strength": settings.strength} if settings.strength not in (None, 1) else {}),
        **_way(settings),
        **({"features": features.fingerprint} if features else {"dataset": dataset.fingerprint}),
        "code": context.code("lorascope.stages.infer", family.answerer),
    }
    # In float32 a row's answer does not depend on its neighbours; in half precision it may.
    if model.dtype != "float32":
        fingerprint |= _room(settings)
    return PlannedExperiment(
        experiment,
        dataset,
        features,
        adapter,
        _shards(context).get(experiment.base, context.study.shards),
        fingerprint,
        digest(fingerprint),
    )


@once
def _shards(context: PlanContext) -> dict[str, int]:
    """Return ID, without runs -> the number of shards, of experiments that are searched among."""
    study = context.study
    if not study.search:
        return {}
    from lorascope.study.searches import entrants

    found = entrants(study)
    return {n: max(one.search.parts, study.shards) for one in found for n in one.experiments}


def _way(settings: "ExperimentSettings") -> Fingerprint:
    """Return what decides answers in an experiment's mode; None is each item's own."""
    found: Fingerprint = {"mode": settings.mode}
    if settings.mode in (None, "generate"):
        found |= {"generation": settings.generation.model_dump(), "seed": settings.seed}
    if settings.mode in (None, "loss", "drift"):
        found |= {"loss": settings.loss.model_dump()}
    if settings.mode == "drift":
        found |= {"drift": settings.drift.model_dump()}
    return found


def _room(settings: "ExperimentSettings") -> Fingerprint:
    """Return what decides who an item's neighbours are, beside the items and the code of lanes."""
    if settings.batch_size is not None:
        return {"batch_size": settings.batch_size}
    return {"tokens_at_once": settings.tokens_at_once}


def _sources(context: PlanContext, experiment: "Experiment") -> "dict[str, str | HubSource]":
    """Return key -> source of what answers depend on, a ready-made adapter among them."""
    found = context.sources(experiment.model, context.family(experiment.model).sources)
    if experiment.adapter and (source := context.study.adapters[experiment.adapter].source):
        found["adapter"] = source
    return found


def _told(context: PlanContext, planned: PlannedExperiment) -> InferJob:
    features, family = planned.features, context.family(planned.experiment.model)
    return InferJob(
        fingerprint=planned.fingerprint,
        digest=planned.digest,
        id=planned.id,
        folder=str(planned.folder),
        load=family.answerer,
        sources=as_told(_sources(context, planned.experiment)),
        dataset=planned.dataset.digest,
        items=str(planned.dataset.items),
        features=features.digest if features else None,
        chunks=[str(path) for path in features.files] if features else [],
        adapter=str(planned.adapter.folder) if planned.adapter else None,
        trained=planned.adapter.digest if planned.adapter else None,
        batch_size=planned.experiment.asked.batch_size,
        tokens_at_once=planned.experiment.asked.tokens_at_once,
        takes_questions=family.takes_questions,
    )


def jobs(context: PlanContext) -> Iterator[PlannedJob]:
    """Yield a job for each shard of each experiment."""
    for planned in plan_experiments(context):
        if planned.is_imported:
            continue
        sources = _sources(context, planned.experiment).values()
        inputs = [
            planned.dataset.items,
            *(planned.features.files if planned.features else ()),
            *(planned.adapter.files.values() if planned.adapter else ()),
            *markers(sources),
        ]
        told = cache(partial(_told, context, planned))
        for shard in range(planned.shards):
            yield STAGE.job(
                {
                    "id": planned.id,
                    "digest": planned.digest,
                    "shard": shard,
                    "shards": planned.shards,
                },
                inputs=inputs,
                reads=local(sources),
                told=told,
                message=partial(_message, planned, shard),
                gpus=context.study.models[planned.experiment.model].gpus_per_job,
            )


def _message(planned: PlannedExperiment, shard: int) -> str:
    why = why_inferred(planned.folder, planned.fingerprint)
    return f"{planned.id}, shard {shard} of {planned.shards}: {why}"


STAGE = Stage(
    name="infer",
    outputs={"shard": f"{FOLDER}/shards/{{shard}}-of-{{shards}}.parquet"},
    log=f"{RESULTS}/logs/infer/{{id}}/{{digest}}/{{shard}}-of-{{shards}}.log",
    kept=FOLDER,
    jobs=jobs,
    loads_model=True,
)

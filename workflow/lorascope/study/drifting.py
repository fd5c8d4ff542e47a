"""The study's key drift: an experiment in the mode drift for each adapted model that it asks."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from lorascope.errors import UserError, listing, shown
from lorascope.study.adapted import ASKING, adapted
from lorascope.study.declarations import Over
from lorascope.study.experiments import Drift, Experiment, ExperimentSettings
from lorascope.study.registry import BENCHMARKS, FAMILIES
from lorascope.study.settings import DatasetSettings, ModelSettings, Name, Settings, unique

HARMLESS = "settings that decide a result are in its fingerprint by their values"


class DriftKeys(Settings):
    """What all adapted models of a study are read on, beside its experiments."""

    dataset: Annotated[
        list[Name],
        Field(min_length=1, max_length=100),
        AfterValidator(unique),
        BeforeValidator(
            lambda value: [value] if isinstance(value, str) else value,
            json_schema_input_type=Name | list[Name],
        ),
    ] = Field(description="Name of a dataset, or a list of them.")
    over: Over = Field("both", description="As the key drift.over of an experiment.")


def drifted(
    asked: DriftKeys,
    experiments: Iterable[Experiment],
    models: Mapping[str, ModelSettings],
    datasets: Mapping[str, DatasetSettings],
    where: str,
) -> Iterator[ExperimentSettings]:
    """Yield the settings of an experiment for each adapted model and dataset, once each.

    A model under an adapter and a scaling is the one of the first experiment that asks it, whose ID
    its own ends with -drift. Base models are read, too. UserError for datasets that are not there,
    or that no model of the study can be read on.
    """
    first: dict[str, ExperimentSettings] = {}
    for experiment in experiments:
        if not experiment.is_imported:
            first.setdefault(adapted(experiment.asked.model_dump()), experiment.asked)
    for name in asked.dataset:
        if name not in datasets:
            known = listing(datasets, 20)
            raise UserError(
                f"{where}.dataset: dataset {shown(name)} is not defined; known: {known}"
            )
        fitting = [one for one in first.values() if _fits(models[one.model], datasets[name])]
        if not fitting:
            raise UserError(
                f"{where}.dataset: no model of the study can be read on {shown(name)} in the mode "
                "drift; name a dataset of what its models take"
            )
        for one in fitting:
            end = f"-{name}" if len(asked.dataset) > 1 else ""
            yield _on(one, name, f"{one.id}-drift{end}", asked.over)


def _fits(model: ModelSettings, dataset: DatasetSettings) -> bool:
    family, benchmark = FAMILIES[model.family], BENCHMARKS[dataset.benchmark]
    return "drift" in family.modes and family.takes == benchmark.gives_of(dataset.model_dump())


def _on(settings: ExperimentSettings, dataset: str, name: str, over: Over) -> ExperimentSettings:
    """Return the settings of a model's drift on a dataset, what is asked otherwise by default."""
    default = {key: field.get_default() for key, field in ExperimentSettings.model_fields.items()}
    own = {key: default[key] for key in ASKING if key not in ("id", "dataset")}
    own |= {"id": name, "dataset": dataset, "mode": "drift", "table": False}
    return settings.model_copy(update=own | {"drift": Drift(over=over)})

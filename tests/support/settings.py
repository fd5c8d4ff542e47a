"""The defaults of the study's settings, as a stage is told them."""

from typing import Any

from lorascope.study.experiments import ExperimentSettings
from lorascope.study.registry import FAMILIES
from lorascope.study.settings import Settings


def defaults(family: str) -> dict[str, Any]:
    """Return key -> default of a model of the family and of an experiment with one."""
    found = FAMILIES[family]
    models = (found.settings, found.experiment or ExperimentSettings)
    return {key: value for model in models for key, value in default_values(model).items()}


def default_values(model: type[Settings]) -> dict[str, Any]:
    """Return key -> default of those keys that have one, as JSON has it."""
    fields = {k: f for k, f in model.model_fields.items() if not f.is_required()}
    values = {key: field.get_default(call_default_factory=True) for key, field in fields.items()}
    return {k: v.model_dump() if isinstance(v, Settings) else v for k, v in values.items()}

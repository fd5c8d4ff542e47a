"""What a study asks of its models and their small files rule out, seen before anything runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lorascope.errors import UserError
from lorascope.planning.context import PlanContext
from lorascope.storage.hub import cached_config

if TYPE_CHECKING:
    from lorascope.benchmarks.settings import ClipDatasetSettings
    from lorascope.study.settings import HubSource

HARMLESS = "refuses, and decides nothing else"


def check_models(context: PlanContext) -> None:
    """Raise UserError, naming file and key, for what a model of the study cannot do."""
    for model in context.models:
        _check_model(context, model)
    for model, dataset in _asked(context):
        _check_hearing(context, model, dataset)


def _check_model(context: PlanContext, model: str) -> None:
    """Refuse what the model's family finds wrong with it."""
    family = context.family(model)
    if family.check is not None:
        places = here(context, model, family.sources)
        if problem := family.check(context.study.models[model], places):
            raise UserError(f"{context.study.file}: models.{model}.{problem}")


def _asked(context: PlanContext) -> Iterator[tuple[str, str]]:
    """Yield each model with each dataset that it is asked about."""
    yield from dict.fromkeys((e.model, e.dataset) for e in context.asked)


def _check_hearing(context: PlanContext, model: str, dataset: str) -> None:
    """Refuse padding beyond what a model hears."""
    encoding = context.family(model).encoding
    if encoding is None or encoding.hears is None:
        return
    audio = cast("ClipDatasetSettings", context.study.datasets[dataset]).audio
    if audio.type == "source" or audio.too_long == "truncate":
        return
    heard = encoding.hears(here(context, model, encoding.sources))
    if heard is not None and audio.target_len > heard:
        raise UserError(
            f"{context.study.file}: datasets.{dataset}.audio.target_len: {audio.target_len:g} s, "
            f"of which the model {model!r} hears the first {heard:g} s; lower it, or set too_long: "
            "truncate, and the report says what was lost"
        )


def here(context: PlanContext, model: str, keys: tuple[str, ...]) -> dict[str, Path]:
    """Return key -> file or folder of those sources of a model that are on this machine."""
    places = {key: _place(source) for key, source in context.sources(model, keys).items()}
    return {key: place for key, place in places.items() if place is not None}


def _place(source: "str | HubSource") -> Path | None:
    if isinstance(source, str):
        return Path(source)
    config = cached_config(source.hub, source.revision)
    return config.parent if config else None

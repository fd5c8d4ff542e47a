"""Experiments with a sum of adapters: the weights of its parts, and what they come to."""

import re
from collections.abc import Iterable, Mapping

from lorascope.errors import UserError, listing, shown
from lorascope.identity.digests import digest
from lorascope.study.adapters import Derivation
from lorascope.study.experiments import Experiment, ExperimentSettings, Weighted
from lorascope.study.imported import CommonSettings
from lorascope.study.registry import FAMILIES
from lorascope.study.settings import NAME, ModelSettings
from lorascope.study.study import Adapter

HARMLESS = "settings that decide a result are in its fingerprint by their values"

_MOST = 100
"""Characters of an adapter's name."""


def with_weights(
    settings: CommonSettings, adapters: Mapping[str, Adapter], where: str
) -> CommonSettings:
    """Return the settings with the weights of all parts, where the adapter is a sum.

    Those that an experiment does not give are the adapter's. UserError, naming ``where``, for
    weights of what is no sum, or no part of it.
    """
    if not isinstance(settings, ExperimentSettings):
        return settings
    own = _weights(settings.adapter, adapters)
    given = settings.weights or {}
    if own is None:
        if settings.weights is not None:
            raise UserError(f"{where}.weights: {_no_sum(settings.adapter, adapters)}")
        return settings
    if unknown := given.keys() - own.keys():
        raise UserError(
            f"{where}.weights: {shown(settings.adapter)} has no part {shown(min(unknown))}; its "
            f"parts: {listing(own, 20)}"
        )
    return settings.model_copy(update={"weights": {**own, **given}})


def _no_sum(name: str | None, adapters: Mapping[str, Adapter]) -> str:
    if name is not None and name not in adapters:
        return f"adapter {shown(name)} is not defined; known: {listing(adapters, 20) or 'none'}"
    what = "there is no adapter" if name is None else f"adapter {shown(name)} is no sum of others"
    return f"{what}; name one with sum_of, or leave weights out"


def _weights(name: str | None, adapters: Mapping[str, Adapter]) -> Mapping[str, float] | None:
    """Return the weights of a sum by its parts, None for any other adapter."""
    derived = adapters[name].derived if name and name in adapters else None
    return None if derived is None or derived.is_null else derived.parts


def weighted(
    settings: CommonSettings, adapters: Mapping[str, Adapter], models: Mapping[str, ModelSettings]
) -> Weighted | None:
    """Return what an experiment with a sum of adapters is answered with, None for any other.

    A part of weight 0 is not read. Without any part it is the base model; one part of weight 1 at
    no other scaling is that adapter itself, to the last bit.
    """
    if not isinstance(settings, ExperimentSettings) or settings.weights is None:
        return None
    assert settings.adapter is not None, "only a sum has weights"
    terms = _terms(settings.weights)
    if not terms:
        brings = settings.model and FAMILIES[models[settings.model].family].own_adapter
        return Weighted(None, 0.0 if brings else None)
    if list(terms.values()) == [1] and settings.lora_scaling is None:
        (part,) = terms
        return Weighted(part if part in adapters else None, None)
    if terms == _terms(_weights(settings.adapter, adapters) or {}):
        return Weighted(settings.adapter, settings.lora_scaling)
    return Weighted(_name(settings.adapter, terms, adapters), settings.lora_scaling, terms)


def _terms(weights: Mapping[str, float]) -> dict[str, float]:
    return {part: weight for part, weight in weights.items() if weight}


def _name(mix: str, terms: Mapping[str, float], adapters: Mapping[str, Adapter]) -> str:
    """Return a name for a sum under other weights: mix-a1-b0.5, or a digest where that is none."""
    words = [f"{part}{weight:g}" for part, weight in terms.items()]
    name = "-".join([mix, *words])
    exact = all(float(f"{weight:g}") == weight for weight in terms.values())
    if exact and len(name) <= _MOST and re.match(NAME, name) and name not in adapters:
        return name
    return f"{mix[: _MOST - 13]}-{digest({'terms': dict(terms)})}"


def reweighted(
    experiments: Iterable[Experiment], adapters: Mapping[str, Adapter]
) -> dict[str, Adapter]:
    """Return the sums under other weights than their own that experiments are answered with."""
    found: dict[str, Adapter] = {}
    for experiment in experiments:
        if experiment.weighted and experiment.weighted.terms:
            mix, name = str(experiment.settings.adapter), str(experiment.adapter)
            derived = Derivation("sum", experiment.weighted.terms, of=mix)
            found[name] = Adapter(adapters[mix].model, None, None, None, derived=derived)
    return found

"""Profiles that fit no adapter are refused while a study is planned, as far as files tell."""

# A study without profiles needs no safetensors.
# ruff: noqa: PLC0415

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import UserError
from lorascope.models.adapter_config import WEIGHTS
from lorascope.models.profiles import Profile, adapted_modules, as_scaling, modules_of, scaled
from lorascope.planning.context import PlanContext, once
from lorascope.planning.models import here
from lorascope.planning.results import download_name
from lorascope.storage.downloads import commit_of
from lorascope.storage.files import regular
from lorascope.storage.hub import cached_config
from lorascope.storage.records import peek
from lorascope.study.scaling_words import in_words
from lorascope.study.settings import HubFile

HARMLESS = "refuses early what the job that sets a scaling would refuse"

OUTER = {"model", "transformer", "language_model", "encoder", "decoder", "base_model", "llm"}
"""Names that a model's file may leave out of its modules' names."""


_NORM = re.compile(r"norm|(^|_)ln", re.IGNORECASE)  # no LoRA scales these


@dataclass(frozen=True)
class Modules:
    """Names of modules; ``exact`` where they are the adapted ones, and not all that may be."""

    names: tuple[str, ...]
    exact: bool


def check_profiles(context: PlanContext) -> None:
    """UserError for a profile with a key that touches no adapted layer, or two that disagree."""
    seen: set[tuple[str, str | None, Profile]] = set()
    for experiment in context.asked:
        profile = as_scaling(context.study.scaling_of(experiment))
        key = (experiment.model, experiment.adapter)
        if not isinstance(profile, Profile) or (*key, profile) in seen:
            continue
        seen.add((*key, profile))
        modules = _of_adapter(context, *key)
        if modules is None:
            continue
        try:
            _check(profile, modules)
        except UserError as error:
            named = in_words(experiment.settings.lora_scaling)
            raise UserError(
                f"{context.study.file}: experiment {experiment.id}: lora_scaling {named}: {error}"
            ) from error


def _check(profile: Profile, modules: Modules) -> None:
    if modules.exact:
        scaled(profile, tuple((name, 1.0) for name in modules.names))
        return
    for key in profile.keys:
        if not OUTER & {part for name in key.names for one in name for part in one.split(".")}:
            modules_of(key, modules.names)


@once
def _of_adapter(context: PlanContext, model: str, adapter: str | None) -> Modules | None:
    """Return the modules of an adapter, or of its model's that it may adapt; None: not known."""
    given = context.study.adapters[adapter] if adapter else None
    if given and given.source is not None:
        weights = _weights(given.source)
        if weights and (found := adapted_modules(_tensors(weights))):
            return Modules(tuple(found), exact=True)
    key = context.family(model).language_model
    place = here(context, model, (key,)).get(key)
    names = _linear(place) if place else []
    if given and given.train:
        ends = tuple(f".{target}" for target in given.train.target_modules)
        names = [name for name in names if f".{name}".endswith(ends)]
    return Modules(tuple(names), exact=False) if names else None


def _weights(source: str | HubFile) -> Path | None:
    """Return the file of an adapter's weights, as far as it is here: the hub's may come."""
    if isinstance(source, str):
        return Path(source, WEIGHTS[0])
    commit = commit_of(download_name(source.model_dump(), is_data=False))
    return cached_config(source.hub, str(commit or source.revision), WEIGHTS[0])


def _linear(folder: Path) -> list[str]:
    """Return the modules of a model's safetensors that have a weight; none of other files."""
    listed = peek(folder / "model.safetensors.index.json").get("weight_map")
    tensors = listed if isinstance(listed, Mapping) else _tensors(folder / "model.safetensors")
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    return [name for name in names if not _NORM.search(name.rpartition(".")[2])]


def _tensors(path: Path) -> Iterator[str]:
    """Yield the names of a file's tensors; none of one that is not here, or not readable."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(regular(path), framework="numpy") as file:
            yield from file.keys()
    except (SafetensorError, OSError, ValueError):
        return  # what reads it to compute says so

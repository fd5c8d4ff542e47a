"""Which modules of a model a profile of scalings means, and the scaling that each gets.

The names of an adapter's modules are all that this asks for: it is the same while planning, by the
names in a file, and while answering.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from lorascope.errors import UserError, listing
from lorascope.models.places import place_of
from lorascope.study.profiles import DEFAULT, Key, Share, Span, parse_key
from lorascope.study.scaling_words import in_words

_ATTENTION = re.compile(r"attn|attention|(?<![a-z])att_|[qkvo]_proj", re.IGNORECASE)
_MLP = re.compile(
    r"mlp|ffn|feed_?forward|(?<![a-z])(ff|fc)(?![a-z])|(?<![a-z])(gate|up|down)_|dense"
    r"|intermediate|moe|expert",
    re.IGNORECASE,
)
_SIDE = re.compile(r"\.lora_(?:embedding_)?[AB](\.|$)")


def adapted_modules(tensors: Iterable[str]) -> list[str]:
    """Return the modules that the tensors of an adapter's file, by their names, are of."""
    names = [_SIDE.split(name)[0] for name in tensors if _SIDE.search(name)]
    return [*dict.fromkeys(name.removeprefix("base_model.model.") for name in names)]


@dataclass(frozen=True)
class Profile:
    """A profile in its canonical form, as (key, scaling) pairs; None is the adapter's own."""

    scalings: tuple[tuple[str, float | None], ...]

    def __str__(self) -> str:
        return in_words(dict(self.scalings))

    @cached_property
    def keys(self) -> dict[Key, float | None]:
        """Its keys but the default, each with its scaling."""
        return {parse_key(text): value for text, value in self.scalings if text != DEFAULT}

    @property
    def default(self) -> float | None:
        """The scaling of what no key means."""
        return dict(self.scalings).get(DEFAULT)


Scaling: TypeAlias = float | Profile
"""An absolute LoRA scaling: one for all layers, or by layer."""


def as_scaling(value: Any) -> Scaling | None:
    """Return the scaling that a fingerprint says, None for the adapter's own."""
    if isinstance(value, Mapping):
        return Profile(tuple(sorted(value.items(), key=lambda one: (one[0] != DEFAULT, one[0]))))
    return None if value is None else float(value)


@lru_cache(maxsize=256)
def scaled(profile: Profile, own: tuple[tuple[str, float], ...]) -> Mapping[str, float]:
    """Return module -> scaling, for all of an adapter's modules with their ``own`` scalings.

    Where several keys mean a module, the one that says more decides (``Key.rank``), then the one
    whose modules are a part of the other's. UserError for a key that means none of the modules, and
    for two that decide one module otherwise.
    """
    modules = [module for module, _ in own]
    meant = {key: frozenset(modules_of(key, modules)) for key in profile.keys}
    found = {}
    for module, otherwise in own:
        keys = [key for key in profile.keys if module in meant[key]]
        value = _decided(module, keys, meant, profile) if keys else profile.default
        found[module] = float(otherwise if value is None else value)
    return found


def _decided(
    module: str, keys: Sequence[Key], meant: Mapping[Key, frozenset[str]], profile: Profile
) -> float | None:
    most = max(key.rank for key in keys)
    first = [key for key in keys if key.rank == most]
    narrow = [key for key in first if not any(meant[other] < meant[key] for other in first)]
    values = {profile.keys[key]: key for key in narrow}
    if len(values) > 1:
        one, other = (str(key) for key in [*values.values()][:2])
        raise UserError(
            f"{one!r} and {other!r} both mean {module}, say as much and give two scalings; add a "
            "key of more words for what they have in common, or change one of them"
        )
    [value] = values
    return value


def modules_of(key: Key, modules: Sequence[str]) -> list[str]:
    """Return the modules that a key means; UserError where it, or a part of it, means none."""
    numbers = _numbers(modules)
    parts = [[_of_layers(one, modules, numbers) for one in key.layers]] if key.layers else []
    parts += [[_of_name(one, modules) for one in name] for name in key.names]
    said = [key.layers, *key.names] if key.layers else [*key.names]
    for alternatives, words in zip(parts, said, strict=True):
        for found, word in zip(alternatives, words, strict=True):
            if not found:
                shown = word if isinstance(word, str) else f"layers.{word}"
                raise UserError(f"{shown!r} touches no adapted layer; {_there(modules)}")
    sets = [frozenset[str]().union(*alternatives) for alternatives in parts]
    meant = [module for module in modules if all(module in one for one in sets)]
    if not meant:
        raise UserError(f"{str(key)!r} touches no adapted layer; {_there(modules)}")
    return meant


def _numbers(modules: Sequence[str]) -> dict[str, list[int]]:
    """Return stack -> the numbers of its layers among the modules, in order."""
    found: dict[str, set[int]] = {}
    for stack, layer, _ in map(place_of, modules):
        if layer is not None:
            found.setdefault(stack, set()).add(layer)
    return {stack: sorted(layers) for stack, layers in found.items()}


def _of_layers(
    part: Span | Share, modules: Sequence[str], numbers: Mapping[str, Sequence[int]]
) -> frozenset[str]:
    """Return the modules in some layers, of every stack."""
    meant = {(stack, n) for stack, layers in numbers.items() for n in part.of(layers)}
    return frozenset(module for module in modules if place_of(module)[:2] in meant)


def _of_name(name: str, modules: Sequence[str]) -> frozenset[str]:
    """Return the modules of a name, which stands in their full names, or is of a kind of part."""
    return frozenset(
        module for module in modules if f".{name}." in f".{module}." or name == _part(module)
    )


def _part(module: str) -> str:
    """Return ``attention``, ``mlp`` or "" for a module in a layer, however its layout names it."""
    _, layer, kind = place_of(module)
    if layer is None:
        return ""
    return "attention" if _ATTENTION.search(kind) else "mlp" if _MLP.search(kind) else ""


def _there(modules: Sequence[str]) -> str:
    """Say what an adapter adapts, by layers and names."""
    kinds = {kind for _, layer, kind in map(place_of, modules) if layer is not None}
    outside = {kind for _, layer, kind in map(place_of, modules) if layer is None}
    layers = [
        f"layers {_spans(found)} of {stack or 'the model'}"
        for stack, found in _numbers(modules).items()
    ]
    inside = f"{' and '.join(layers)}, in which {listing(kinds, 12)}" if layers else ""
    return f"there are {' and '.join(filter(None, [inside, listing(outside)]))}"


def _spans(numbers: Sequence[int]) -> str:
    whole = [*range(numbers[0], numbers[-1] + 1)] == [*numbers]
    return str(Span(numbers[0], numbers[-1])) if whole else listing(map(str, numbers), 8)

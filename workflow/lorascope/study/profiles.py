"""Profiles of scalings: a LoRA scaling for each part of a model, by keys that say which.

A key is one or more words with blanks between them, and means the modules that every word means:
``layers.`` and numbers, ranges (0-7, 24-) or equal parts (1/4: the first of four) of the adapted
layers, or the name of a module as it stands in the modules' full names, whole or in part. Words
have alternatives, separated by commas. ``attention`` and ``mlp`` are those of any layout.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Scalings: TypeAlias = dict[str, float | None]
"""Key -> the absolute scaling of what it means; None is the adapter's own."""

DEFAULT = "default"
"""The key of all that no other one means."""
LAYERS = "layers."
_HALVES = {"first-half": "1/2", "second-half": "2/2"}
_SPAN = re.compile(r"(\d{1,6})(-(\d{1,6})?)?")
_SHARE = re.compile(r"(\d{1,6})/(\d{1,6})")
_NAME = re.compile(r"\w+([.-]\w+)*")


@dataclass(frozen=True, order=True)
class Span:
    """Layers from ``first`` to ``last``, or to the end where that is None."""

    first: int
    last: int | None

    def __str__(self) -> str:
        if self.last is None:
            return f"{self.first}-"
        return f"{self.first}-{self.last}" if self.last > self.first else str(self.first)

    def of(self, layers: Sequence[int]) -> list[int]:
        """Return those of the numbers that it means."""
        return [n for n in layers if self.first <= n and (self.last is None or n <= self.last)]


@dataclass(frozen=True, order=True)
class Share:
    """The ``number``-th of so many equal parts of all layers."""

    number: int
    parts: int

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def of(self, layers: Sequence[int]) -> list[int]:
        """Return those of the numbers, which are in order, that it means."""
        first, last = (len(layers) * n // self.parts for n in (self.number - 1, self.number))
        return [*layers[first:last]]


@dataclass(frozen=True)
class Key:
    """A key of a profile: alternatives of layers (none: any), and of each name it says."""

    layers: tuple[Span | Share, ...]
    names: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        layers = [LAYERS + ",".join(map(str, self.layers))] if self.layers else []
        return " ".join([*layers, *(",".join(name) for name in self.names)])

    @property
    def rank(self) -> tuple[int, int]:
        """How much it says: the number of its words, of which a name says more than layers."""
        return bool(self.layers) + len(self.names), len(self.names)


def parse_key(text: str) -> Key:
    """Return the key that a text means; ValueError for one that means none."""
    words = text.split()
    layers = [word.removeprefix(LAYERS) for word in words if word.startswith(LAYERS)]
    names = {_names(word, text) for word in words if not word.startswith(LAYERS)}
    if len(layers) > 1 or not words:
        raise ValueError(
            f"{text!r} has to name something, and layers once at most ({LAYERS}0-7,24-31)"
        )
    if any(DEFAULT in name for name in names):
        raise ValueError(f"{text!r}: {DEFAULT} stands by itself, for all that no key means")
    found = _layers(layers[0], text) if layers else ()
    return Key(found, tuple(sorted(names)))


def _names(word: str, text: str) -> tuple[str, ...]:
    names = word.split(",")
    if odd := [name for name in names if not _NAME.fullmatch(name)]:
        raise ValueError(
            f"{text!r}: {odd[0]!r} is no name of a module; write q_proj, self_attn.q_proj or "
            f"mlp, {LAYERS}0-7 for layers, and both with a blank between them"
        )
    return tuple(sorted({*names}))


def _layers(word: str, text: str) -> tuple[Span | Share, ...]:
    spans: list[Span] = []
    shares: set[Share] = set()
    for part in word.split(","):
        part = _HALVES.get(part, part)
        if found := _SPAN.fullmatch(part):
            first = int(found[1])
            last = first if not found[2] else int(found[3]) if found[3] else None
            spans.append(Span(first, last))
        elif found := _SHARE.fullmatch(part):
            shares.add(Share(int(found[1]), int(found[2])))
        else:
            raise ValueError(
                f"{text!r}: {part!r} means no layers; write {LAYERS}3, {LAYERS}0-7,24-31, "
                f"{LAYERS}16- or, for the first of four equal parts, {LAYERS}1/4"
            )
    if any(span.last is not None and span.last < span.first for span in spans) or any(
        not 1 <= share.number <= share.parts for share in shares
    ):
        raise ValueError(f"{text!r} means no layers: it ends before it begins")
    return (*_joined(spans), *sorted(shares))


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Return the same layers in as few spans as there can be, in order."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.first):
        before = found[-1] if found else None
        if before and (before.last is None or span.first <= before.last + 1):
            ends = before.last is None or span.last is None
            last = None if ends else max(before.last or 0, span.last or 0)
            found[-1] = Span(before.first, last)
        else:
            found.append(span)
    return found


def canonical(profile: Mapping[str, float | None]) -> Scalings | float | None:
    """Return a profile as every way to write the same keys has it.

    A number, or None, where it is one scaling for all. ValueError for a key that means nothing, and
    for one thing at two scalings.
    """
    found: Scalings = {}
    for text, value in profile.items():
        key = text.strip() if text.strip() == DEFAULT else str(parse_key(text))
        if found.setdefault(key, value) != value:
            raise ValueError(f"{text!r} stands there twice, at two scalings")
    default = found.pop(DEFAULT, None)
    if all(value == default for value in found.values()):
        return default
    first: Scalings = {} if default is None else {DEFAULT: default}
    return {**first, **{key: found[key] for key in sorted(found)}}

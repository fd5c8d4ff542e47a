"""Sums of adapters in words, and along which weights those of a study differ."""

import math
from collections.abc import Mapping, Sequence

from lorascope.study.order import natural

Weights = Mapping[str, float]


def in_words(mix: str, weights: Weights) -> str:
    """Return a sum by its name and its weights, in order of names: mix (0.5 a - 1 b)."""
    found = [(part, weights[part]) for part in sorted(weights, key=natural)]
    terms = [f"{'-' if weight < 0 else '+'} {abs(weight):g} {part}" for part, weight in found]
    first = terms[0].removeprefix("+ ").replace("- ", "-")
    return f"{mix} ({' '.join([first, *terms[1:]])})"


def adapter_label(settings: Mapping[str, object]) -> str | None:
    """Return how tables call the adapter of an experiment's settings, None for none."""
    name, weights = settings["adapter"], settings.get("weights")
    if name is None or not isinstance(weights, Mapping):
        return None if name is None else str(name)
    return in_words(str(name), weights)


def varying(points: Sequence[Weights]) -> list[str]:
    """Return the parts whose weight is not the same in all sums."""
    return [part for part in points[0] if len({point[part] for point in points}) > 1]


def chart_axes(points: Sequence[Weights]) -> tuple[str, ...]:
    """Return the parts on the axes of a chart of sums: of a line, a plane, or a triangle (three).

    Weights that always sum up to the same are one axis fewer: of two of these one is drawn, of
    three the triangle. None where no picture shows them.
    """
    parts = varying(points)
    sums = [math.fsum(point[part] for part in parts) for point in points]
    is_simplex = bool(sums[0]) and all(math.isclose(one, sums[0], rel_tol=1e-6) for one in sums)
    if is_simplex and len(parts) in (2, 3):
        return tuple(parts[:1] if len(parts) == 2 else parts)
    return tuple(parts) if len(parts) in (1, 2) else ()

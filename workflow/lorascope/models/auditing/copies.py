"""Which adapters do the same to the same modules, by the probes of their audits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]

ALIKE = 5e-3
"""Relative difference of two adapters that are the same: a copy in bfloat16 is this close."""


@dataclass(frozen=True)
class Likeness:
    """That one adapter changes W by ``factor`` times what another does, up to ``difference``.

    difference: norm of the difference by that of the change, as the probes estimate it.
    """

    factor: float
    difference: float


def likeness(one: Sequence[Iterable[float]], other: Sequence[Iterable[float]]) -> Likeness | None:
    """Return how one adapter is like another, by the probes of the same modules; None for zeros."""
    mine, others = (np.array([x for part in p for x in part]) for p in (one, other))
    if mine.shape != others.shape or not mine.any() or not others.any():
        return None
    factor = float(mine @ others / (others @ others))
    distance = np.linalg.norm(mine - factor * others) / np.linalg.norm(mine)
    return Likeness(factor, float(distance))


def same_changes(audits: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Yield each pair of adapters, by name, that do the same to the same modules.

    An experiment's lora_scaling takes the place of an adapter's own: adapters that differ in
    nothing else are the same under a scaling of either.
    """
    names = [name for name, rows in audits.items() if all(row["probes"] for row in rows)]
    by_module = {name: {row["module"]: row["probes"] for row in audits[name]} for name in names}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            if by_module[one].keys() == by_module[other].keys():
                yield from _same(one, other, by_module[one], by_module[other])


def _same(
    one: str, other: str, mine: Mapping[str, Any], others: Mapping[str, Any]
) -> Iterator[str]:
    found = likeness([*mine.values()], [others[module] for module in mine])
    if found is None or found.difference > ALIKE:
        return
    if abs(found.factor - 1) <= ALIKE:
        yield f"adapters {one} and {other} do the same to the weights{_up_to(found.difference)}"
    else:
        yield (
            f"what adapter {one} does to the weights is {found.factor:.4g} times what {other} "
            f"does{_up_to(found.difference)}: they differ in scaling alone"
        )


def _up_to(difference: float) -> str:
    return f" (up to {difference:.1g} of it)" if difference > 1e-6 else ""

"""What is odd in an adapter, in words: what a reader of its results has to know."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from lorascope.errors import listing

Row = Mapping[str, Any]

NEAR_ZERO = 1e-3
"""A change this much smaller than the adapter's median one is next to none."""
OUTLYING = 10
"""A change this many times the median of its kind of module is an outlier."""
FEWEST = 4
"""Modules of a kind that have a median to be far from."""


def oddities(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what is odd in the rows of an adapter."""
    if broken := [row["module"] for row in rows if row["nonfinite"]]:
        values = sum(row["nonfinite"] for row in rows)
        yield f"{values} NaN or infinite values, in {_of(broken, rows)}; it cannot be run"
    zero = [row["module"] for row in rows if row["is_zero"]]
    if len(zero) == len(rows):
        yield "changes nothing: s B A is zero everywhere, as B is before a training"
        return
    if zero:
        yield f"changes nothing in {_of(zero, rows)}: s B A is zero"
    alive = [row for row in rows if row["norm"]]
    yield from _near_zero(alive, rows)
    yield from _outliers(alive)


def _near_zero(alive: Sequence[Row], rows: Sequence[Row]) -> Iterator[str]:
    if not alive:
        return
    typical = median(row["norm"] for row in alive)
    if faint := [row["module"] for row in alive if row["norm"] < NEAR_ZERO * typical]:
        yield (
            f"changes next to nothing in {_of(faint, rows)}: norms below {NEAR_ZERO:g} of the "
            "median"
        )


def _outliers(alive: Sequence[Row]) -> Iterator[str]:
    kinds: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in alive:
        kinds[row["stack"], row["kind"]].append(row)
    for (_, kind), members in kinds.items():
        measure = "share" if all(row["share"] is not None for row in members) else "norm"
        typical = median(row[measure] for row in members)
        large = [row for row in members if row[measure] > OUTLYING * typical]
        if len(members) >= FEWEST and large:
            most = max(large, key=lambda row: row[measure] / typical)
            what = "norm" if measure == "norm" else "share of W's norm"
            yield (
                f"layers that stand out: {what} of {listing(row['module'] for row in large)}, up "
                f"to {most[measure] / typical:.3g} times the median of {kind}"
            )


def _of(some: Sequence[str], rows: Sequence[Row]) -> str:
    return f"{len(some)} of {len(rows)} modules ({listing(some, 3)})"

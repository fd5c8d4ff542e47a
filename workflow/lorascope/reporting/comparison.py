"""The table that says how sure each accuracy is, and its difference from a baseline.

Accuracies are in percent, differences in percentage points.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from lorascope.errors import UserError
from lorascope.reporting.scored import Scored, aligned_credits, references, require_baseline
from lorascope.reporting.statistics import (
    PairedDifference,
    PublishedDifference,
    accuracy_interval,
    holm,
    paired_difference,
    paired_p_value,
    published_difference,
    total_credit,
)
from lorascope.reporting.tables import DECIMALS, NEWEST_RUNS, shown

INTERVAL_COLUMNS = ("experiment", "category", "accuracy", "accuracy_low", "accuracy_high")
COMPARED_COLUMNS = ("delta", "delta_low", "delta_high", "gained", "lost", "p_value", "holm_p")
ALL_ITEMS = "all items (micro average)"

_INTERVAL_DECIMALS = 2
_P_VALUE_DIGITS = 4

Published = Mapping[str, tuple[int, int]]
"""Category -> the published number of correct answers, and of all."""


def comparison_table(
    scored: Sequence[Scored],
    baselines: Sequence[str] | Mapping[str, Sequence[str]],
    newest_runs: int = NEWEST_RUNS,
    published: Mapping[str, Published] | None = None,
    partial: bool = False,
) -> pd.DataFrame:
    """Return how sure each accuracy, and its difference from the baseline, is.

    One row per shown run and category, and one for all its items if it has several categories
    and no item is in two of them (several metrics of one item make no mean). That row is the micro
    average, in which each item counts once; the charts have the macro average, in which each
    category does.
    accuracy_low and accuracy_high end the 95 % interval of the accuracy (``accuracy_interval``).
    Unjudged items count as not correct, as in the table of accuracies.

    Each run is compared item by item with the baseline experiment (its run 0) that has the
    category, one of ``baselines`` (the same for all runs, or by experiment): delta with its
    interval, gained and lost, the items with more and with less credit than the baseline's, and
    p_value, of the test that belongs to the interval
    (``paired_difference``): below .05 exactly where the interval leaves 0 out. Both are of this
    one comparison. holm_p is the p-value adjusted for all comparisons that the study makes, of
    every run and in every category, whether the table shows them or not: below .05 for no true
    null hypothesis in 95 % of studies. The baselines' own rows have these cells empty. Raises
    UserError if a run and its baseline do not have the same items.

    published: experiment -> what a published baseline says of categories, which has no items to
    pair with: those categories have a delta, its interval and p-values (``published_difference``),
    and gained and lost are empty. Without any comparison the table ends after the accuracy's
    interval. partial: whether a run may lack a baseline, and has these cells empty then.
    """
    of_runs, published = references(scored, baselines), published or {}
    displayed = shown(scored, newest_runs)
    against = {
        run.experiment: _Against(
            of_runs.get(run.experiment, {}),
            published.get(run.experiment, {}),
            required=run.in_table and not partial,
        )
        for run in scored
    }
    rows = [row for run in displayed for row in _compared(run, against[run.experiment])]
    compares = any(one.references or one.published for one in against.values())
    columns = INTERVAL_COLUMNS + (COMPARED_COLUMNS if compares else ())
    table = pd.DataFrame(rows, columns=list(columns))
    for name in columns:
        if name.endswith(("_low", "_high")):
            table[name] = [_rounded_end(end) for end in table[name].astype(float)]
    if compares:
        table[["gained", "lost"]] = table[["gained", "lost"]].astype("Int64")
        names = {run.experiment for run in displayed}
        others = [run for run in scored if run.experiment not in names]
        unseen = [p for run in others for p in _p_values(run, against[run.experiment])]
        _fill_p_values(table, unseen)
    return table


def _rounded_end(end: float) -> float:
    """Return an interval's end to two decimals, or more where it would become 0."""
    rounded = round(end, _INTERVAL_DECIMALS) + 0.0
    return rounded if rounded or not end else float(f"{end:.1g}")


def _fill_p_values(table: pd.DataFrame, unseen: Sequence[float]) -> None:
    """Set holm_p, adjusted for the p-values of the table and for those of rows not shown."""
    tested = table["p_value"].notna()
    family = [*table.loc[tested, "p_value"], *unseen]
    table.loc[tested, "holm_p"] = holm(family)[: int(tested.sum())]
    for name in ("p_value", "holm_p"):
        table[name] = [float(f"{p:.{_P_VALUE_DIGITS}g}") for p in table[name].astype(float)]


@dataclass(frozen=True)
class _Against:
    """What a run is compared with, by category, and whether each of its categories has to be."""

    references: Mapping[str, Scored]
    published: Published
    required: bool


def _compared(run: Scored, against: _Against) -> Iterator[dict[str, object]]:
    """Yield the rows of one run in ``comparison_table``, all but holm_p."""
    other = _baseline_credits(run, against)
    for category, found in run.measured.items():
        interval = (float(found.accuracy), found.low, found.high)
        rows = run.rows[category]
        cells = _published_cells(run, rows, against.published.get(category)) | _paired_cells(
            run, other, rows
        )
        yield _interval_row(run, category, *interval) | cells
    if _has_all(run):
        rows = np.arange(len(run.credits))
        accuracy = float(100 * total_credit(run.credits) / len(rows))
        interval = (accuracy, *accuracy_interval(run.credits, run.clips))
        yield _interval_row(run, ALL_ITEMS, *interval) | _paired_cells(run, other, rows)


def _has_all(run: Scored) -> bool:
    return len(run.measured) > 1 and run.counts_items_once


def _p_values(run: Scored, against: _Against) -> Iterator[float]:
    """Yield the p-value of each row that ``_compared`` would yield with one."""
    other, published = _baseline_credits(run, against), against.published
    for category, rows in run.rows.items():
        if category in published:
            found = published_difference(run.credits[rows], run.clips[rows], *published[category])
            yield found.p_value
    if other is not None:
        parts = [*run.rows.values(), *([np.arange(len(run.credits))] if _has_all(run) else [])]
        for rows in parts:
            if not np.isnan(other[rows]).any():
                yield paired_p_value(run.credits[rows], other[rows], run.clips[rows])


def _baseline_credits(run: Scored, against: _Against) -> np.ndarray | None:
    """Return [rows] the credits to compare a run's with; None where there are none, or its own.

    Categories that cannot be compared, and need not be, are NaN.
    """
    references = against.references
    if not references or run in references.values():
        return None
    credits = np.full(len(run.credits), math.nan)
    for category, rows in run.rows.items():
        try:
            require_baseline(run, category, references)
            credits[rows] = aligned_credits(references[category], run, category)
        except UserError:
            if against.required:
                raise
    return credits


def _interval_row(
    run: Scored, category: str, accuracy: float, low: float, high: float
) -> dict[str, object]:
    cells = (run.experiment, category, accuracy, low, high)
    return dict(zip(INTERVAL_COLUMNS, cells, strict=True))


def _paired_cells(run: Scored, other: np.ndarray | None, rows: np.ndarray) -> dict[str, object]:
    """Return the cells that compare a run with ``other`` on some rows; none without it."""
    if other is None or np.isnan(other[rows]).any():
        return {}
    return _cells(paired_difference(run.credits[rows], other[rows], run.clips[rows]))


def _published_cells(
    run: Scored, rows: np.ndarray, counts: tuple[int, int] | None
) -> dict[str, object]:
    """Return the cells that compare a run with published counts; none without them."""
    if counts is None:
        return {}
    return _cells(published_difference(run.credits[rows], run.clips[rows], *counts))


def _cells(found: PairedDifference | PublishedDifference) -> dict[str, object]:
    cells = asdict(found)
    delta = float(round(cells.pop("difference"), DECIMALS))
    return {"delta": delta, "delta_low": cells.pop("low"), "delta_high": cells.pop("high"), **cells}

"""The table that says how sure each accuracy is, and its difference from a baseline.

Accuracies are in percent, differences in percentage points.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from lorascope.reporting.scored import Scored, aligned_credits, references, require_baseline
from lorascope.reporting.statistics import clustered_interval, holm, paired_difference, total_credit
from lorascope.reporting.tables import DECIMALS, NEWEST_RUNS, shown

INTERVAL_COLUMNS = ("experiment", "category", "accuracy", "accuracy_low", "accuracy_high")
PAIRED_COLUMNS = ("delta", "delta_low", "delta_high", "gained", "lost", "mcnemar_p", "holm_p")
ALL_ITEMS = "all items (micro average)"

_INTERVAL_DECIMALS = 2  # finer than the bootstrap's own noise
_P_VALUE_DIGITS = 4


def comparison_table(
    scored: Sequence[Scored],
    baselines: Sequence[str] | Mapping[str, Sequence[str]],
    newest_runs: int = NEWEST_RUNS,
) -> pd.DataFrame:
    """Return how sure each accuracy, and its difference from a baseline experiment, is.

    One row per shown run and category, and one for all its items if it has several categories
    and no item is in two of them (several metrics of one item make no mean). That row is the micro
    average, in which each item counts once; the charts have the macro average, in which each
    category does.
    accuracy_low and accuracy_high end the 95 % interval of the accuracy: Wilson's for right and
    wrong answers within a category; the clip-clustered bootstrap's for fractional credits, for
    items that share clips, and over all items. Unjudged items count as not correct, as in the
    table of accuracies.

    Each run is compared item by item with the baseline experiment (its run 0) that has the
    category, one of ``baselines`` (the same for all runs, or by experiment): delta with its
    clip-clustered bootstrap interval; gained and lost, the items with more and with less credit
    than the baseline's; the exact McNemar p-value of a category of right and wrong answers (over
    all items it is left out, because it ignores shared clips); and holm_p, adjusted for all
    p-values of the table together. The baselines' own rows have these cells empty. Raises UserError
    if a run and its baseline do not have the same items. Without a baseline experiment (a published
    baseline has no items to pair with) the table ends after the accuracy's interval.
    """
    of_runs = references(scored, baselines)
    rows = [
        row
        for run in shown(scored, newest_runs)
        for row in _compared(run, of_runs.get(run.experiment, {}))
    ]
    paired = any(of_runs.values())
    columns = INTERVAL_COLUMNS + PAIRED_COLUMNS if paired else INTERVAL_COLUMNS
    table = pd.DataFrame(rows, columns=list(columns))
    intervals = [name for name in columns if name.endswith(("_low", "_high"))]
    table[intervals] = table[intervals].astype(float).round(_INTERVAL_DECIMALS) + 0.0
    if paired:
        table[["gained", "lost"]] = table[["gained", "lost"]].astype("Int64")
        tested = table["mcnemar_p"].notna()
        table.loc[tested, "holm_p"] = holm(table.loc[tested, "mcnemar_p"].to_list())
        for name in ("mcnemar_p", "holm_p"):
            table[name] = [float(f"{p:.{_P_VALUE_DIGITS}g}") for p in table[name].astype(float)]
    return table


def _compared(run: Scored, baselines: Mapping[str, Scored]) -> Iterator[dict[str, object]]:
    """Yield the rows of one run in ``comparison_table``, all but holm_p."""
    other = _baseline_credits(run, baselines)
    for category, found in run.measured.items():
        interval = (float(found.accuracy), found.low, found.high)
        yield _interval_row(run, category, *interval) | _paired_cells(
            run, other, run.rows[category]
        )
    if len(run.measured) > 1 and run.counts_items_once:
        rows = np.arange(len(run.credits))
        accuracy = float(100 * total_credit(run.credits) / len(rows))
        interval = (accuracy, *clustered_interval(run.credits, run.clips))
        cells = _paired_cells(run, other, rows) | {"mcnemar_p": None}
        yield _interval_row(run, ALL_ITEMS, *interval) | cells


def _baseline_credits(run: Scored, baselines: Mapping[str, Scored]) -> np.ndarray | None:
    """Return [rows] the credits to compare a run's with; None where there are none, or its own."""
    if not baselines or run in baselines.values():
        return None
    credits = np.empty(len(run.credits))
    for category, rows in run.rows.items():
        require_baseline(run, category, baselines)
        credits[rows] = aligned_credits(baselines[category], run, category)
    return credits


def _interval_row(
    run: Scored, category: str, accuracy: float, low: float, high: float
) -> dict[str, object]:
    cells = (run.experiment, category, accuracy, low, high)
    return dict(zip(INTERVAL_COLUMNS, cells, strict=True))


def _paired_cells(run: Scored, other: np.ndarray | None, rows: np.ndarray) -> dict[str, object]:
    """Return the cells that compare a run with ``other`` on some rows; none without it."""
    if other is None:
        return {}
    found = paired_difference(run.credits[rows], other[rows], run.clips[rows])
    return {
        "delta": float(round(found.difference, DECIMALS)),
        "delta_low": found.low,
        "delta_high": found.high,
        "gained": found.gained,
        "lost": found.lost,
        "mcnemar_p": found.p_value,
    }

"""The mean over the runs of an experiment, and how far its runs are apart."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any, cast

import pandas as pd

from lorascope.reporting.amounts import STRENGTH
from lorascope.reporting.baselines import BASELINE, OTHER_MODEL
from lorascope.reporting.columns import SETTINGS_COLUMNS
from lorascope.reporting.comparison import with_rounded_ends
from lorascope.reporting.measures import Value, minus, rounded, value_of
from lorascope.reporting.scored import Scored, pooled
from lorascope.reporting.tables import DECIMALS, MEASURE_COLUMNS, Baseline, exact

MEAN_COLUMNS = ("std", "runs")
"""Standard deviation of the values of several runs, and the number of runs that a row is of."""
_OF_EXPERIMENT = {
    *("base", "category", "total", BASELINE, OTHER_MODEL),
    *MEASURE_COLUMNS,
    *SETTINGS_COLUMNS,
    STRENGTH,
}
"""Columns that a mean has in common with its runs; others that are not its own are empty."""


@dataclass(frozen=True)
class MeanValue:
    """The mean of the values of ``runs`` runs, and their standard deviation (n - 1).

    ``std`` is None for one run; neither is a number where a run has no value.
    """

    value: Value
    std: float | None
    runs: int


def value_in(run: Scored, category: str) -> Value:
    """Return a run's value in a category, or over all its items where it is none of its own."""
    if category in run.measured:
        return run.measured[category].value
    measure = run.measure(next(iter(run.rows)))
    return value_of(measure, run.credits[run.judged], run.weights[run.judged])


def mean_over(runs: Sequence[Scored], category: str) -> MeanValue:
    """Return the mean of the runs' values in a category; exact where they are."""
    values = [value_in(run, category) for run in runs]
    if len(values) == 1:
        return MeanValue(values[0], None, 1)
    if not all(map(math.isfinite, values)):
        return MeanValue(math.nan, math.nan, len(values))
    exactly = [Fraction(value) for value in values]
    mean = statistics.mean(exactly)
    whole = all(isinstance(value, Fraction) for value in values)
    return MeanValue(mean if whole else float(mean), float(statistics.stdev(exactly)), len(values))


def runs_of(scored: Iterable[Scored]) -> dict[str, list[Scored]]:
    """Return base -> its runs, shown or not, of the experiments that the table is to show."""
    found: dict[str, list[Scored]] = {}
    for run in scored:
        if run.in_table:
            found.setdefault(run.base, []).append(run)
    return found


def accuracies_with_means(
    table: pd.DataFrame, scored: Sequence[Scored], baseline: Baseline
) -> pd.DataFrame:
    """Return the table of accuracies with MEAN_COLUMNS, and a row for each mean over several runs.

    These rows stand below those of the runs, and have no run_num and no counts. All runs of an
    experiment are in them, those that the table does not show, too, as in the points of the charts.
    """

    def cells(runs: Sequence[Scored], category: str, found: MeanValue) -> dict[str, Any]:
        reference, delta = exact(baseline, runs[0]), math.nan
        if category in reference:
            delta = rounded(minus(found.value, reference[category]), DECIMALS)
        return {"accuracy": float(found.value), "accuracy_delta": delta}

    return _with_means(table, scored, cells)


def intervals_with_means(table: pd.DataFrame, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return the table of intervals with MEAN_COLUMNS, and a row for each mean over several runs.

    Its interval is that of ``pooled``, where that is of the very mean; it is not compared: what is,
    is each run.
    """

    def cells(runs: Sequence[Scored], category: str, found: MeanValue) -> dict[str, Any]:
        ends: dict[str, object] = {"accuracy_low": math.nan, "accuracy_high": math.nan}
        whole = pooled(runs, category) if category in runs[0].rows else None
        if whole and math.isclose(whole.value, found.value, rel_tol=1e-9):
            ends = {"accuracy_low": whole.low, "accuracy_high": whole.high}
            ends = with_rounded_ends(ends, runs[0].measure(category))
        return {"accuracy": float(found.value), **ends}

    return _with_means(table, scored, cells)


def _with_means(
    table: pd.DataFrame,
    scored: Sequence[Scored],
    cells: Callable[[Sequence[Scored], str, MeanValue], dict[str, Any]],
) -> pd.DataFrame:
    """Return a table with MEAN_COLUMNS, and the means of each base below the rows of its runs."""
    single = table.assign(std=math.nan, runs=1)
    several = {base: runs for base, runs in runs_of(scored).items() if len(runs) > 1}
    if not several:
        return single
    bases = {run.experiment: run.base for run in scored}
    rows: list[dict[str, Any]] = []
    records = cast(list[dict[str, Any]], single.to_dict("records"))
    for base, group in groupby(records, lambda row: bases[row["experiment"]]):
        of_base = list(group)
        rows += of_base
        if runs := several.get(base):
            for category, row in {row["category"]: row for row in of_base}.items():
                found = mean_over(runs, category)
                kept = {name: cell for name, cell in row.items() if name in _OF_EXPERIMENT}
                own = cells(runs, category, found) | _named(base, runs, category, found)
                rows.append(kept | own)
    return _typed(pd.DataFrame(rows, columns=[*single], dtype=object), single)


def _named(base: str, runs: Sequence[Scored], category: str, found: MeanValue) -> dict[str, Any]:
    return {
        "experiment": f"{base} (mean of {found.runs} runs)",
        "is_baseline": False,
        "n": min(run.judged_in(category) for run in runs),
        "std": found.std,
        "runs": found.runs,
    }


def _typed(table: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the types of another one, which has no empty cells of integers."""
    whole = [name for name in like if pd.api.types.is_integer_dtype(like[name])]
    with_empty = {name: "Int64" for name in whole if table[name].isna().any()}
    return table.astype({**like.dtypes, **with_empty})

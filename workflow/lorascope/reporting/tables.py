"""The table of a report, from scored experiments to CSV and markdown, and what its charts draw.

Accuracies are in percent, differences in percentage points; other measures have their own units.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from lorascope.reporting.measures import BETTER, Value, minus, rounded
from lorascope.reporting.order import in_order, lines_in_order, place
from lorascope.reporting.scored import Scored, baseline_runs, pooled, require_baseline
from lorascope.scoring.item_score import Measure
from lorascope.storage.records import write_text

ACCURACY_COLUMNS = (
    "experiment",
    "base",
    "run_num",
    "category",
    "correct",
    "incorrect",
    "total",
    "accuracy",
    "accuracy_delta",
)
UNJUDGED_COLUMNS = ("unjudged", "accuracy_if_wrong", "accuracy_if_right")
"""Where a judge failed: on how many items, and the value if all of them were wrong, or right."""
POINT_COLUMNS = (
    "experiment",
    "series",
    "lora_scaling",
    "runs",
    "category",
    "accuracy",
    "low",
    "high",
)
MEASURE_COLUMNS = ("measure", "better")
Baseline: TypeAlias = Mapping[str, Value] | Mapping[str, Mapping[str, Value]]
"""Category -> its value, or experiment -> the same, for it alone."""
NEWEST_RUNS = 3
DECIMALS = 4  # one item of 100,000 still shows; float noise does not

_MARKUP = re.compile(r"[\\|<`~\[]|\*(?!$)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ID_HEADER_WIDTH = 28  # tabulate adds 2: ID columns keep one width from report to report


def accuracy_table(
    scored: Sequence[Scored],
    baseline: Baseline,
    newest_runs: int = NEWEST_RUNS,
    partial: bool = False,
) -> pd.DataFrame:
    """Return accuracy and delta per experiment and category (ACCURACY_COLUMNS).

    Rows are in the order of ``place``, and hold the newest runs of each base.
    accuracy = 100 * correct / (correct + incorrect), where correct sums the credits and total
    counts all planned items: an unjudged item is in the total and neither correct nor incorrect,
    and UNJUDGED_COLUMNS are there if there is any. Where a category measures something else than
    accuracy, its value stands in its place, correct and incorrect are empty unless credits are
    shares that count alike, and MEASURE_COLUMNS say what it is and which direction is better.
    Deltas are the value less the baseline's, whichever is better.

    baseline: values by category, either published or from ``baseline_accuracies``. A number
    means the decimal it is written as, and differences are taken exactly and rounded to four
    decimals, so no float noise is left (3.8, not 3.799999999999997). Every category needs one: a
    UserError names the first that lacks it; of a ``partial`` report, its delta is empty.
    """
    placed = [
        (place(run, row["category"]), row)
        for run in shown(scored, newest_runs)
        for row in _accuracy_rows(run, exact(baseline, run), partial)
    ]
    rows = [row for _, row in sorted(placed, key=itemgetter(0))]
    table = pd.DataFrame(rows, columns=list(ACCURACY_COLUMNS))
    for name in ("correct", "incorrect"):
        table[name] = _counts([row[name] for row in rows])
    if any(row[UNJUDGED_COLUMNS[0]] for row in rows):
        for name in UNJUDGED_COLUMNS:
            table[name] = [row[name] for row in rows]
    return with_measures(table, scored)


def with_measures(table: pd.DataFrame, scored: Iterable[Scored]) -> pd.DataFrame:
    """Return a table of experiments and categories that says what they measure.

    It has MEASURE_COLUMNS if any category of the study is no accuracy.
    """
    runs = {run.experiment: run for run in scored}
    if not any(run.measures for run in runs.values()):
        return table
    rows = zip(table["experiment"], table["category"], strict=True)
    found = [_measure(runs[experiment], category) for experiment, category in rows]
    cells = [(one.title, BETTER[one.higher_is_better]) for one in found]
    return table.assign(
        **{name: [cell[i] for cell in cells] for i, name in enumerate(MEASURE_COLUMNS)}
    )


def _measure(run: Scored, category: str) -> Measure:
    """Return what a category measures, or all of them where it is no single one."""
    return run.measure(category if category in run.rows else next(iter(run.rows)))


def exact(baseline: Baseline, run: Scored) -> dict[str, Value]:
    """Return category -> what a run is compared with."""
    by_run = {name: of for name, of in baseline.items() if isinstance(of, Mapping)}
    levels = by_run.get(run.experiment, {}) if by_run else baseline
    return {
        category: Fraction(str(value)) if math.isfinite(value) else float(value)
        for category, value in levels.items()
        if not isinstance(value, Mapping)
    }


def baseline_accuracies(scored: Iterable[Scored], experiments: Sequence[str]) -> dict[str, Value]:
    """Return the accuracy per category of run 0 of ``experiments``, as exact fractions.

    Being exact, they give the baseline's own rows a delta of exactly 0. Raises UserError if an
    experiment is not among the scored ones, or if two have a category in common.
    """
    runs = baseline_runs(scored, experiments)
    return {category: run.measured[category].value for category, run in runs.items()}


def shown(scored: Iterable[Scored], newest_runs: int = NEWEST_RUNS) -> list[Scored]:
    """Return the runs a table shows: those meant for it, the newest of each base."""
    newest: dict[str, list[Scored]] = {}
    for run in sorted(scored, key=lambda run: -run.run_num):
        if run.in_table:
            newest.setdefault(run.base, []).append(run)
    return in_order(run for runs in newest.values() for run in runs[:newest_runs])


def chart_points(scored: Iterable[Scored], series: Mapping[str, str], swept: bool) -> pd.DataFrame:
    """Return what the charts draw: accuracy with its 95 % interval per point and category.

    series: experiment -> the line it belongs to. A point is a series at one scaling if the chart
    is ``swept`` over scalings, else the runs of one base. The columns are POINT_COLUMNS:
    lora_scaling is the strength where there is one, experiment is the base of its newest run, runs
    their number; accuracy, low and high, in percent, are of the mean over its runs (``pooled``).
    All given runs are in it, whether the table shows them or not.
    """
    scored = in_order(scored)
    if swept:
        lines = lines_in_order(scored, series)
        scored.sort(key=lambda run: lines.index(series[run.experiment]))
    points: dict[tuple[str, float, str], list[Scored]] = {}
    for run in scored:
        name = series[run.experiment] if swept else run.base
        for category in run.rows:
            points.setdefault((name, run.amount, category), []).append(run)
    rows = [
        (
            runs[0].base,
            series[runs[0].experiment],
            scaling,
            len(runs),
            category,
            float(found.value),
            found.low,
            found.high,
        )
        for (_, scaling, category), runs in points.items()
        for found in (pooled(runs, category),)
    ]
    return pd.DataFrame(rows, columns=list(POINT_COLUMNS))


def markdown(table: pd.DataFrame, right: Sequence[int] = ()) -> str:
    """Return the table in pipe style: text to the left, numbers aligned at the decimal point.

    The layout is the one of earlier published tables of this kind; an empty cell stays empty.
    right: places of columns of text that are aligned to the right.
    """
    text = [i for i in range(table.shape[1]) if not _is_numeric(table.iloc[:, i])]
    cells = table.astype(object).where(table.notna(), None)
    for i in text:
        cells.isetitem(i, [in_cell(value) for value in cells.iloc[:, i]])
    headers = [in_cell(name) for name in table]
    for i in text:
        if headers[i] in ("experiment", "base"):
            headers[i] = headers[i].ljust(_ID_HEADER_WIDTH)
    return cells.set_axis(headers, axis="columns").to_markdown(
        index=False,
        missingval="",
        # six digits would cut a sum of credits short
        floatfmt=tuple(".10g" if name in ("correct", "incorrect") else "g" for name in table),
        # an ID such as 007 or 1e3 is not a number; tabulate rejects a list for an empty table
        disable_numparse=text if len(table) else True,
        colalign=["right" if i in right else "left" for i in range(len(headers))]
        if right
        else None,
    )


def in_cell(value: Any) -> Any:
    """Return a text as a cell of GitHub's tables shows it; what is no text, as it is.

    What begins a tag, code or emphasis, or ends the cell, is escaped; a lone * in one is no such.
    """
    if not isinstance(value, str):
        return value
    return _MARKUP.sub(r"\\\g<0>", " ".join(value.split()))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the table as UTF-8 CSV whose bytes do not depend on the platform."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _accuracy_rows(
    run: Scored, reference: Mapping[str, Value], partial: bool
) -> Iterable[dict[str, Any]]:
    for category, found in run.measured.items():
        if not partial:
            require_baseline(run, category, reference)
        delta = math.nan
        if category in reference:
            delta = rounded(minus(found.value, reference[category]), DECIMALS)
        yield {
            "experiment": run.experiment,
            "base": run.base,
            "run_num": run.run_num,
            "category": category,
            "correct": found.correct,
            "incorrect": found.incorrect,
            "total": found.total,
            "accuracy": float(found.value),
            "accuracy_delta": delta,
            "unjudged": found.unjudged,
            "accuracy_if_wrong": rounded(found.if_wrong, DECIMALS),
            "accuracy_if_right": rounded(found.if_right, DECIMALS),
        }


def _counts(sums: Sequence[Fraction | None]) -> pd.Series:
    """Return whole sums as integers, other ones as decimals, in one column; None as it is."""
    whole = all(value is not None and value.denominator == 1 for value in sums)
    cells = [
        int(value)
        if value is not None and value.denominator == 1
        else None
        if value is None
        else float(round(value, DECIMALS))
        for value in sums
    ]
    return pd.Series(cells, dtype="int64" if whole else object)


def _is_numeric(column: pd.Series) -> bool:
    """Return whether a column holds numbers, be it integers beside decimals."""
    return pd.api.types.is_numeric_dtype(column) or pd.api.types.infer_dtype(column) in (
        "mixed-integer-float",
        "floating",
        "integer",
    )

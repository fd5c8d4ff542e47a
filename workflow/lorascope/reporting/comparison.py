"""The table that says how sure each value is, and its difference from a baseline.

Accuracies are in percent, differences in percentage points; other measures have their own units.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from lorascope.errors import UserError
from lorascope.reporting.measures import Pair, counts_alike, difference, difference_p_value
from lorascope.reporting.scored import Scored, paired, references, require_baseline
from lorascope.reporting.statistics import (
    PairedDifference,
    PublishedDifference,
    accuracy_interval,
    holm,
    published_difference,
    total_credit,
)
from lorascope.reporting.tables import DECIMALS, NEWEST_RUNS, shown, with_measures
from lorascope.scoring.item_score import Measure

INTERVAL_COLUMNS = ("experiment", "category", "accuracy", "accuracy_low", "accuracy_high")
COMPARED = "compared"
"""Column of how many items are judged in a run and its baseline, where not all are."""
COMPARED_COLUMNS = ("delta", "delta_low", "delta_high", "gained", "lost", "p_value", "holm_p")
NOTE = "note"
NO_VALUE = "no value: some items have none"
NOT_JUDGED = "no value: no item is judged"
NOT_JUDGED_IN_BOTH = "not compared: no item is judged in both"
NO_VALUE_OF_BASELINE = "not compared: some items have no value in the baseline"
UNITS = "not compared: the items weigh otherwise in the baseline, so the values have two units"
ALL_ITEMS = "all items (micro average)"

_INTERVAL_DECIMALS = 2  # of percent; other units have as many as values
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
    """Return how sure each value, and its difference from the baseline, is.

    One row per shown run and category, and one for all its items if it has several categories
    that measure the same and no item is in two of them (several metrics of one item make no mean).
    That row is the micro average, in which each item counts once; the charts have the macro
    average, in which each category does.
    accuracy_low and accuracy_high end the 95 % interval of the value (``value_interval``).
    Unjudged items are left out, as in the table of accuracies.

    Each run is compared item by item, on the items that are judged in both (``compared``, where
    that is not all), with the baseline experiment (its run 0) that has the category, one of
    ``baselines`` (the same for all runs, or by experiment): delta with its interval, gained and
    lost, the items that are better and worse than the baseline's, and p_value, of the test that
    belongs to the interval (``difference``): below .05 exactly where the interval leaves 0 out.
    Both are of this one comparison. holm_p is the p-value adjusted for all comparisons that the
    study makes, of every run and in every category, whether the table shows them or not: below .05
    for no true null hypothesis in 95 % of studies. The baselines' own rows have these cells empty,
    and so do those of a category whose items weigh otherwise in the baseline, with a note. Raises
    UserError if a run and its baseline do not have the same items.

    published: experiment -> what a published baseline says of categories, which has no items to
    pair with: those categories have a delta, its interval and p-values (``published_difference``),
    and gained and lost are empty, if they are shares that count alike. Without any comparison the
    table ends after the accuracy's interval. partial: whether a run may lack a baseline, and has
    these cells empty then.
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
    rows = [
        with_rounded_ends(row, _measure(run, str(row["category"])))
        for run in displayed
        for row in _compared(run, against[run.experiment])
    ]
    compares = any(one.references or one.published for one in against.values())
    table = _as_table(rows, compares)
    if compares:
        names = {run.experiment for run in displayed}
        others = [run for run in scored if run.experiment not in names]
        unseen = [p for run in others for p in _p_values(run, against[run.experiment])]
        _fill_p_values(table, unseen)
    return with_measures(table, scored)


def _as_table(rows: Sequence[Mapping[str, object]], compares: bool) -> pd.DataFrame:
    """Return rows as a table, with a column of notes where there are any."""
    columns = INTERVAL_COLUMNS + (COMPARED_COLUMNS if compares else ())
    more = [name for name in (COMPARED, NOTE) if any(name in row for row in rows)]
    table = pd.DataFrame(rows, columns=[*columns, *more])
    for name in (one for one in columns if one.endswith(("_low", "_high"))):
        table[name] = table[name].astype(float)
    if compares:
        table[["gained", "lost"]] = table[["gained", "lost"]].astype("Int64")
    if COMPARED in more:
        table[COMPARED] = table[COMPARED].astype("Int64")
    if NOTE in more:
        table[NOTE] = table[NOTE].fillna("")
    return table


def with_rounded_ends(row: Mapping[str, object], measure: Measure) -> dict[str, object]:
    """Return a row with the ends of its intervals as the table writes them."""
    decimals = _INTERVAL_DECIMALS if measure.scale == "percent" else DECIMALS
    return {
        name: _rounded_end(end, decimals)
        if name.endswith(("_low", "_high")) and isinstance(end, float)
        else end
        for name, end in row.items()
    }


def _rounded_end(end: float, decimals: int = _INTERVAL_DECIMALS) -> float:
    """Return an interval's end to some decimals, or more where it would become 0."""
    if not math.isfinite(end):
        return end
    rounded = round(end, decimals) + 0.0
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


@dataclass(frozen=True)
class _Other:
    """What a run is compared with item by item: by category, ALL_ITEMS among them where it is one.

    ``notes`` say why other categories are not compared.
    """

    pairs: Mapping[str, Pair]
    notes: Mapping[str, str]


def _compared(run: Scored, against: _Against) -> Iterator[dict[str, object]]:
    """Yield the rows of one run in ``comparison_table``, all but holm_p."""
    other = _baseline(run, against)
    for category, found in run.measured.items():
        interval = (float(found.value), found.low, found.high)
        cells = _published_cells(run, category, against) | _paired_cells(run, other, category)
        note = {NOTE: other.notes[category]} if category in other.notes else {}
        yield _interval_row(run, category, *interval) | cells | note
    if run.has_mean_of_all:
        interval = _interval_of_all(run)
        yield _interval_row(run, ALL_ITEMS, *interval) | _paired_cells(run, other, ALL_ITEMS)


def _interval_of_all(run: Scored) -> tuple[float, float, float]:
    """Return the accuracy over all judged items, with its interval."""
    credits, clips = run.credits[run.judged], run.clips[run.judged]
    if not len(credits):
        return math.nan, math.nan, math.nan
    accuracy = float(100 * total_credit(credits) / len(credits))
    return accuracy, *accuracy_interval(credits, clips)


def _p_values(run: Scored, against: _Against) -> Iterator[float]:
    """Yield the p-value of each row that ``_compared`` would yield with one."""
    for category in run.rows:
        if found := _published(run, category, against):
            yield found.p_value
    for category, pair in _baseline(run, against).pairs.items():
        yield difference_p_value(_measure(run, category), pair)


def _measure(run: Scored, category: str) -> Measure:
    return run.measure(next(iter(run.rows)) if category == ALL_ITEMS else category)


def _baseline(run: Scored, against: _Against) -> _Other:
    """Return what to compare a run with item by item; nothing where there is none, or itself."""
    pairs: dict[str, Pair] = {}
    notes: dict[str, str] = {}
    references = against.references
    own = not references or run in references.values()
    for category, rows in run.judged_rows.items():
        if not len(rows):
            notes[category] = NOT_JUDGED
        elif np.isnan(run.credits[rows]).any():
            notes[category] = NO_VALUE
        elif not own and (pair := _pair(run, category, against)):
            if not len(pair.base):
                notes[category] = NOT_JUDGED_IN_BOTH
            elif np.isnan(pair.base).any():
                notes[category] = NO_VALUE_OF_BASELINE
            elif pair.has_unit(run.measure(category)):
                pairs[category] = pair
            else:
                notes[category] = UNITS
    if run.has_mean_of_all and len(pairs) == len(run.rows):
        pairs[ALL_ITEMS] = _whole([*pairs.values()])
    return _Other(pairs, notes)


def _pair(run: Scored, category: str, against: _Against) -> Pair | None:
    """Return a run beside its baseline; None where they cannot be compared, and need not be."""
    try:
        require_baseline(run, category, against.references)
        return paired(against.references[category], run, category)
    except UserError:
        if against.required:
            raise
        return None


def _whole(pairs: Sequence[Pair]) -> Pair:
    """Return a run beside its baselines in all of its categories, each item of weight 1."""
    credits, base, clips = (
        np.concatenate([getattr(pair, name) for pair in pairs])
        for name in ("credits", "base", "clips")
    )
    each = np.ones(len(credits))
    return Pair(credits, each, base, each, clips)


def _interval_row(
    run: Scored, category: str, accuracy: float, low: float, high: float
) -> dict[str, object]:
    cells = (run.experiment, category, accuracy, low, high)
    return dict(zip(INTERVAL_COLUMNS, cells, strict=True))


def _paired_cells(run: Scored, other: _Other, category: str) -> dict[str, object]:
    """Return the cells that compare a run with its baseline in a category, if it is compared."""
    if category not in other.pairs:
        return {}
    pair = other.pairs[category]
    planned = len(run.scores) if category == ALL_ITEMS else len(run.rows[category])
    compared = {COMPARED: len(pair.base)} if len(pair.base) < planned else {}
    return _cells(difference(_measure(run, category), pair)) | compared


def _published(run: Scored, category: str, against: _Against) -> PublishedDifference | None:
    """Compare a run with published counts; None without them, and of other than shares."""
    rows = run.judged_rows[category]
    if category not in against.published or not len(rows):
        return None
    if not counts_alike(run.measure(category), run.weights[rows]):
        return None
    counts = against.published[category]
    return published_difference(run.credits[rows], run.clips[rows], *counts)


def _published_cells(run: Scored, category: str, against: _Against) -> dict[str, object]:
    found = _published(run, category, against)
    return {} if found is None else _cells(found)


def _cells(found: PairedDifference | PublishedDifference) -> dict[str, object]:
    cells = asdict(found)
    delta = float(round(cells.pop("difference"), DECIMALS))
    return {"delta": delta, "delta_low": cells.pop("low"), "delta_high": cells.pop("high"), **cells}

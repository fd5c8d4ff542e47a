"""The tables of a report, from scored experiments to CSV and markdown.

``accuracy_table`` is the table of accuracies and deltas; ``comparison_table`` stands beside it
and says how sure they are. Accuracies are in percent, differences in percentage points.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from lorascope.errors import UserError
from lorascope.records import write_text
from lorascope.statistics import clustered_interval, holm, paired_difference, wilson

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
INTERVAL_COLUMNS = ("experiment", "category", "accuracy", "accuracy_low", "accuracy_high")
PAIRED_COLUMNS = ("delta", "delta_low", "delta_high", "gained", "lost", "mcnemar_p", "holm_p")
POINT_COLUMNS = (
    "experiment",
    "base",
    "run_num",
    "lora_scaling",
    "category",
    "accuracy",
    "low",
    "high",
)
ALL_ITEMS = "all"
NEWEST_RUNS = 3

_DELTA_DECIMALS = 4  # one item of 100,000 still shows; float noise does not
_INTERVAL_DECIMALS = 2  # finer than the bootstrap's own noise
_P_VALUE_DIGITS = 4
_ID_HEADER_WIDTH = 28  # tabulate adds 2: ID columns keep one width from report to report


@dataclass(frozen=True, eq=False)
class Scored:
    """One run of one experiment with the scores of all its planned items.

    ``base`` is the ID without its run suffix and ``run_num`` the run (0 first); ``lora_scaling``
    is the effective scaling. ``in_table`` is False for a run that only the charts show or that
    only serves as baseline. ``scores`` has one row per planned item and the columns item_id,
    category, clip (what items share; empty or None for an item on its own), correct (True, False,
    or None where a judge failed: unjudged) and status.
    """

    experiment: str
    base: str
    run_num: int
    lora_scaling: float
    in_table: bool
    scores: pd.DataFrame


def accuracy_table(
    scored: Sequence[Scored],
    baseline: Mapping[str, Fraction | float],
    newest_runs: int = NEWEST_RUNS,
) -> pd.DataFrame:
    """Return accuracy and delta per experiment and category (ACCURACY_COLUMNS).

    Rows are sorted by base, category, and run_num descending, and hold the newest runs of each
    base. accuracy = 100 * correct / total, where total counts all planned items: an unjudged
    item is in the total and neither correct nor incorrect.

    baseline: accuracy per category in percent, either published or from
    ``baseline_accuracies``. A number means the decimal it is written as, and differences are
    taken exactly and rounded to four decimals, so no float noise is left (3.8, not
    3.799999999999997). Every category needs one: a UserError names the first that lacks it.
    """
    counts = [_labelled_counts(run) for run in shown(scored, newest_runs)]
    if not counts:
        return pd.DataFrame(columns=list(ACCURACY_COLUMNS))
    table = pd.concat(counts)
    _require_baseline(table, baseline)
    reference = {category: Fraction(str(value)) for category, value in baseline.items()}
    exact = [Fraction(100 * c, t) for c, t in zip(table["correct"], table["total"], strict=True)]
    table["accuracy"] = [float(accuracy) for accuracy in exact]
    table["accuracy_delta"] = [
        float(round(accuracy - reference[category], _DELTA_DECIMALS))
        for accuracy, category in zip(exact, table["category"], strict=True)
    ]
    table = table.sort_values(["base", "category", "run_num"], ascending=[True, True, False])
    return table[list(ACCURACY_COLUMNS)].reset_index(drop=True)


def baseline_accuracies(scored: Iterable[Scored], experiment: str) -> dict[str, Fraction]:
    """Return the accuracy per category of run 0 of ``experiment``, as exact fractions.

    Being exact, they give the baseline's own rows a delta of exactly 0. Raises UserError if the
    experiment is not among the scored ones.
    """
    counts = category_counts(_first_run(scored, experiment).scores)
    return {row.Index: Fraction(100 * row.correct, row.total) for row in counts.itertuples()}


def category_counts(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the integer columns correct, incorrect and total, indexed by category."""
    judged = scores["correct"].astype("boolean")
    counts = pd.DataFrame(
        {
            "category": scores["category"].to_numpy(),
            "correct": judged.fillna(False).to_numpy(dtype=np.int64),
            "incorrect": (~judged).fillna(False).to_numpy(dtype=np.int64),
            "total": 1,
        }
    )
    return counts.groupby("category", observed=True).sum()


def shown(scored: Iterable[Scored], newest_runs: int = NEWEST_RUNS) -> list[Scored]:
    """Return the runs a table shows: those meant for it, the newest of each base."""
    newest: dict[str, list[Scored]] = {}
    for run in sorted(scored, key=lambda run: -run.run_num):
        if run.in_table:
            newest.setdefault(run.base, []).append(run)
    return [run for base in sorted(newest) for run in newest[base][:newest_runs]]


def comparison_table(
    scored: Sequence[Scored],
    baseline_experiment: str | None,
    newest_runs: int = NEWEST_RUNS,
) -> pd.DataFrame:
    """Return how sure each accuracy, and its difference from a baseline experiment, is.

    One row per shown run and category, and one for all its items if it has several categories.
    accuracy_low and accuracy_high end the 95 % interval of the accuracy: Wilson's within a
    category; over all items, where several questions may share a clip, the clip-clustered
    bootstrap's. Unjudged items count as not correct, as in ``accuracy_table``.

    With a baseline experiment (its run 0) each run is compared item by item: delta with its
    clip-clustered bootstrap interval; gained and lost, the items only this run or only the
    baseline answers correctly; the exact McNemar p-value of a category (over all items it is
    left out, because it ignores shared clips); and holm_p, adjusted for all p-values of the
    table together. The baseline's own rows have these cells empty. Raises UserError if a run
    and the baseline do not have the same items. Without a baseline experiment (None: a
    published baseline has no items to pair with) the table ends after the accuracy's interval.
    """
    reference = None if baseline_experiment is None else _first_run(scored, baseline_experiment)
    rows = [row for run in shown(scored, newest_runs) for row in _compared(run, reference)]
    columns = INTERVAL_COLUMNS if reference is None else INTERVAL_COLUMNS + PAIRED_COLUMNS
    table = pd.DataFrame(rows, columns=list(columns))
    intervals = [name for name in columns if name.endswith(("_low", "_high"))]
    table[intervals] = table[intervals].astype(float).round(_INTERVAL_DECIMALS) + 0.0
    if reference is not None:
        table[["gained", "lost"]] = table[["gained", "lost"]].astype("Int64")
        tested = table["mcnemar_p"].notna()
        table.loc[tested, "holm_p"] = holm(table.loc[tested, "mcnemar_p"].to_list())
        for name in ("mcnemar_p", "holm_p"):
            table[name] = [float(f"{p:.{_P_VALUE_DIGITS}g}") for p in table[name].astype(float)]
    return table


def chart_points(scored: Iterable[Scored]) -> pd.DataFrame:
    """Return what the charts draw: accuracy with its 95 % Wilson interval per run and category.

    The columns are POINT_COLUMNS, in percent; the rows are all given runs (at least one), whether
    the table shows them or not.
    """
    points = pd.concat([_labelled_counts(run) for run in scored], ignore_index=True)
    points["accuracy"] = 100 * points["correct"] / points["total"]
    ends = [wilson(c, t) for c, t in zip(points["correct"], points["total"], strict=True)]
    points[["low", "high"]] = ends
    return points[list(POINT_COLUMNS)]


def markdown(table: pd.DataFrame) -> str:
    """Return the table in pipe style: text to the left, numbers aligned at the decimal point.

    The layout is the one of earlier published tables of this kind; an empty cell stays empty.
    """
    text = [i for i, name in enumerate(table) if not pd.api.types.is_numeric_dtype(table[name])]
    cells = table.astype(object).where(table.notna(), None)
    wide = {name: name.ljust(_ID_HEADER_WIDTH) for name in ("experiment", "base")}
    return cells.rename(columns=wide).to_markdown(
        index=False,
        missingval="",
        # an ID such as 007 or 1e3 is not a number; tabulate rejects a list for an empty table
        disable_numparse=text if len(table) else True,
    )


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the table as UTF-8 CSV whose bytes do not depend on the platform."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _labelled_counts(run: Scored) -> pd.DataFrame:
    """Return the counts of a run, one row per category, with what says which run it is."""
    return (
        category_counts(run.scores)
        .reset_index()
        .assign(
            experiment=run.experiment,
            base=run.base,
            run_num=run.run_num,
            lora_scaling=run.lora_scaling,
        )
    )


def _compared(run: Scored, reference: Scored | None) -> Iterator[dict[str, object]]:
    """Yield the rows of one run in ``comparison_table``, all but holm_p."""
    correct = _correct_flags(run)
    other = None if reference is None or reference is run else _aligned_flags(reference, run)
    clips = _clip_numbers(run.scores)
    groups = run.scores.groupby("category", observed=True).indices
    for category in sorted(groups):
        items = groups[category]
        right, total = int(correct[items].sum()), len(items)
        row = _interval_row(run, category, right, total, wilson(right, total))
        yield row | _paired_cells(correct, other, clips, items)
    if len(groups) > 1:
        items = np.arange(len(correct))
        interval = clustered_interval(correct, clips)
        row = _interval_row(run, ALL_ITEMS, int(correct.sum()), len(items), interval)
        yield row | _paired_cells(correct, other, clips, items) | {"mcnemar_p": None}


def _interval_row(
    run: Scored, category: str, correct: int, total: int, interval: tuple[float, float]
) -> dict[str, object]:
    cells = (run.experiment, category, 100 * correct / total, *interval)
    return dict(zip(INTERVAL_COLUMNS, cells, strict=True))


def _paired_cells(
    correct: np.ndarray, other: np.ndarray | None, clips: np.ndarray, items: np.ndarray
) -> dict[str, object]:
    """Return the cells that compare ``correct`` with ``other`` on ``items``; none without it."""
    if other is None:
        return {}
    found = paired_difference(correct[items], other[items], clips[items])
    delta = Fraction(100 * (found.gained - found.lost), len(items))
    return {
        "delta": float(round(delta, _DELTA_DECIMALS)),
        "delta_low": found.low,
        "delta_high": found.high,
        "gained": found.gained,
        "lost": found.lost,
        "mcnemar_p": found.p_value,
    }


def _clip_numbers(scores: pd.DataFrame) -> np.ndarray:
    """Return [items] int: equal for items that share a clip."""
    clip = scores["clip"].fillna("")
    return pd.factorize(clip.where(clip != "", scores["item_id"]))[0]


def _correct_flags(run: Scored) -> np.ndarray:
    """Return [items] bool: answered correctly; False for incorrect and for unjudged."""
    return run.scores["correct"].astype("boolean").fillna(False).to_numpy(dtype=bool)


def _aligned_flags(reference: Scored, run: Scored) -> np.ndarray:
    """Return the reference's correct flags in the order of the run's items."""
    theirs, ours = pd.Index(reference.scores["item_id"]), pd.Index(run.scores["item_id"])
    flags = _correct_flags(reference)
    if theirs.equals(ours):
        return flags
    order = theirs.get_indexer(ours)
    if len(theirs) != len(ours) or (order < 0).any():
        odd = theirs.symmetric_difference(ours)
        raise UserError(
            f"experiment {run.experiment} and the baseline {reference.experiment} do not have the "
            f"same items ({len(odd)} differ, for instance {odd[0]}), so they cannot be compared "
            "item by item: give both a dataset with the same tracks, hops and limit (study keys "
            "'datasets', 'limit'), or give published accuracies under 'baseline'"
        )
    return flags[order]


def _first_run(scored: Iterable[Scored], experiment: str) -> Scored:
    for run in scored:
        if run.base == experiment and run.run_num == 0:
            return run
    raise UserError(
        f"study key 'baseline': no scored experiment is called {experiment!r}; "
        "name one under 'experiments', or give published accuracies"
    )


def _require_baseline(table: pd.DataFrame, baseline: Mapping[str, object]) -> None:
    lacking = table[~table["category"].isin(list(baseline))]
    if not lacking.empty:
        first = lacking.iloc[0]
        raise UserError(
            f"study key 'baseline': no accuracy for category {first['category']!r}, which "
            f"experiment {first['experiment']} has; give one for each category, "
            "or name an experiment with the same categories as baseline"
        )

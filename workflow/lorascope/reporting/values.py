"""The values of a study on its page: a pivot where there are many, the table, and the mark."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from lorascope.reporting.columns import as_shown
from lorascope.reporting.means import MEAN_COLUMNS
from lorascope.reporting.pivot import Column, Pivot, Row, Sources, by_experiment, by_line, merges
from lorascope.reporting.significance import MARK, is_marked, legend
from lorascope.reporting.tables import markdown

SCREEN = 40
"""Rows that are read without a pivot."""
_ROOM = 160  # characters of a pivot's columns of values
_ARROWS = {True: "↑", False: "↓"}
_STD = "std and ± are the standard deviation over an experiment's runs (n - 1)."
_LONG = "{count} rows, with counts and deltas"


def values(accuracy: pd.DataFrame, sources: Sources) -> list[str]:
    """Return the values as parts of a page: pivots if they help, the table, what the mark means.

    accuracy: the table as its CSV has it. It is folded below pivots where it has more rows than a
    screen, or several experiments have several metrics of the same items.
    """
    table, several = _listed(accuracy, sources), bool((accuracy["runs"] > 1).any())
    said = [legend(sources.marks, several), _STD if several else ""]
    metrics = not all(run.counts_items_once for run in sources.scored)
    if len(table) <= SCREEN and not (metrics and len(sources.bases) > 1):
        return [markdown(table), *said]
    pivots = [_as_markdown(pivot) for pivot in _pivots(sources)]
    summary = f"<details><summary>{_LONG.format(count=len(table))}</summary>"
    return [*pivots, *said, summary, markdown(table), "</details>"]


def _listed(accuracy: pd.DataFrame, sources: Sources) -> pd.DataFrame:
    """Return the table of accuracies as the page shows it: of its last columns, what differs."""
    table = as_shown(accuracy).drop(columns=list(MEAN_COLUMNS))
    if (accuracy["runs"] > 1).any():
        table = table.assign(**{name: accuracy[name] for name in MEAN_COLUMNS})
    if sources.marks:
        table["significant"] = [
            MARK if is_marked(sources.marks, tested, category) else ""
            for tested, category in zip(
                _tested(accuracy, sources), accuracy["category"], strict=True
            )
        ]
    return table


def _tested(accuracy: pd.DataFrame, sources: Sources) -> Iterator[Sequence[str]]:
    """Yield the experiments whose tests mark a row: its own, or those that a mean is of."""
    rows = zip(accuracy["experiment"], accuracy["base"], accuracy["runs"], strict=True)
    for experiment, base, runs in rows:
        yield sources.shown[base] if runs > 1 else [experiment]


def _pivots(sources: Sources) -> Iterator[Pivot]:
    """Yield pivots that are no wider than a screen, by scaling where that makes fewer rows."""
    found = by_line(sources)
    for pivot in found if merges(sources, found) else by_experiment(sources):
        yield from pivot.split(_ROOM, lambda column: 3 + max(len(column.title), 6))


def _as_markdown(pivot: Pivot) -> str:
    rows: list[list[Any]] = []
    for row in pivot.rows:
        first, *rest = row.labels
        labels = [first + row.remark, *rest, *[""] * (len(pivot.labels) - len(row.labels))]
        rows.append([*labels, *(_text(column, row) for column in pivot.columns)])
    headers = _headers(pivot.columns)
    table = pd.DataFrame(rows, columns=[*pivot.labels, *headers])
    return markdown(table, right=range(len(pivot.labels), table.shape[1]))


def _headers(columns: Sequence[Column]) -> list[str]:
    """Return the categories, with the direction that is better where they differ in it."""
    if all(column.measure.higher_is_better for column in columns):
        return [column.title for column in columns]
    return [f"{one.title} {_ARROWS[one.measure.higher_is_better]}" for one in columns]


def _text(column: Column, row: Row) -> str:
    if (cell := row.cells.get(column.category)) is None:
        return ""
    spread = "" if cell.std is None else f" ± {column.written(cell.std)}"
    return column.written(cell.value) + spread + (MARK if cell.is_marked else "")

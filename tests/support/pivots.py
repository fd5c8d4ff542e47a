"""Pivots of runs that are made up."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.reporting.baselines import levels_of
from lorascope.reporting.comparison import comparison_table
from lorascope.reporting.order import ordered
from lorascope.reporting.pivot import Pivot, Sources
from lorascope.reporting.scored import Scored
from lorascope.reporting.significance import marks_of


def compared(runs: Sequence[Scored], *experiments: str, published: Any = None) -> list[dict]:
    """Return the groups of a study in which all runs are compared with the same."""
    of = [run.experiment for run in runs]
    if published:
        published = {"accuracies": published, "scorer": None, "reproduction": None}
    return [{"of": of, "model": None, "experiments": [*experiments], "published": published}]


def sources(
    runs: Sequence[Scored],
    *baselines: str,
    series: Mapping[str, str] | None = None,
    published: Any = None,
) -> Sources:
    """Return what pivots of runs are made of, by the report's own comparisons."""
    groups = compared(runs, *baselines, published=published)
    scored = ordered(runs, groups)
    table = comparison_table(scored, [*baselines])
    lines = series or {run.experiment: "" for run in runs}
    return Sources(scored, levels_of(scored, groups), marks_of(table), lines)


def written(pivot: Pivot) -> dict[tuple[str, str], str]:
    """Return (labels, category) -> a cell as it is written, with its mark."""
    return {
        (", ".join(row.labels), column.category): column.written(cell.value) + "*" * cell.is_marked
        for row in pivot.rows
        for column in pivot.columns
        if (cell := row.cells.get(column.category))
    }

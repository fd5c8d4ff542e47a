"""The values of a study by experiment, or by scaling, and category: what fits on a screen or page.

A row is an experiment, with the mean over its runs; or a line of the chart at one scaling, where
experiments that differ in their dataset stand side by side.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from lorascope.reporting.amounts import amount_of
from lorascope.reporting.baselines import PUBLISHED, Levels
from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.means import mean_over, runs_of
from lorascope.reporting.scored import Scored
from lorascope.reporting.significance import Marks, is_marked
from lorascope.reporting.tables import NEWEST_RUNS, shown
from lorascope.scoring.item_score import Measure
from lorascope.study.order import natural

EXPERIMENT, LINE = "experiment", "settings"


@dataclass(frozen=True)
class Cell:
    """A value, or the mean of several with their standard deviation, and whether it is marked."""

    value: float
    std: float | None = None
    is_marked: bool = False


@dataclass(frozen=True)
class Row:
    """``labels`` are those of the pivot's ``labels``; a published baseline has one alone."""

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    is_baseline: bool = False
    runs: int = 1

    @property
    def remark(self) -> str:
        """What is said of the row behind its first label."""
        said = ["baseline"] if self.is_baseline else []
        said += [f"{self.runs} runs"] if self.runs > 1 else []
        return f" ({', '.join(said)})" if said else ""


@dataclass(frozen=True)
class Column:
    """A category, what it measures, and the fewest and most items that are judged in it."""

    category: str
    measure: Measure
    items: tuple[int, int]

    @property
    def title(self) -> str:
        """Its name in a header."""
        return "all items" if self.category == ALL_ITEMS else self.category

    @property
    def track(self) -> str:
        """What categories that stand together have in common: ``<track>-<hop>``."""
        return "" if self.category == ALL_ITEMS else self.category.rpartition("-")[0]

    def written(self, value: float) -> str:
        """Return a value with the digits that a table of this kind has."""
        if not math.isfinite(value):
            return "inf" if value > 0 else "-inf" if value < 0 else ""
        return f"{value:.1f}" if self.measure.scale == "percent" else f"{value:.3f}"

    def best(self, rows: Iterable[Row]) -> str:
        """Return the best value as it is written, "" where the rows have but one."""
        cells = [row.cells[self.category].value for row in rows if self.category in row.cells]
        finite = [value for value in cells if math.isfinite(value)]
        if len({self.written(value) for value in finite}) < 2:
            return ""
        return self.written(max(finite) if self.measure.higher_is_better else min(finite))


@dataclass(frozen=True)
class Pivot:
    """Rows by columns; ``labels`` say what the labels of a row are."""

    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def of(self, columns: Sequence[Column]) -> "Pivot":
        """Return the part of it that has these columns, and the rows that have values in them."""
        names = {column.category for column in columns}
        rows = tuple(row for row in self.rows if names & row.cells.keys())
        return Pivot(self.labels, tuple(columns), rows)

    def split(self, room: int, width: Callable[[Column], int]) -> list["Pivot"]:
        """Return parts whose columns are no wider than ``room`` together, or but one.

        Categories of one track, or metrics of one, stay together where they fit.
        """
        parts: list[list[Column]] = [[]]
        for _, found in groupby(self.columns, lambda column: column.track):
            of_track = list(found)
            if parts[-1] and sum(map(width, [*parts[-1], *of_track])) > room:
                parts.append([])
            for column in of_track:
                if parts[-1] and sum(map(width, [*parts[-1], column])) > room:
                    parts.append([])
                parts[-1].append(column)
        return [self.of(columns) for columns in parts if columns]


@dataclass(frozen=True)
class Sources:
    """What pivots are made of: runs in the order of tables, baselines, marks, and lines of charts.

    ``series`` is experiment -> its line. ``newest_runs`` of each experiment are tested.
    """

    scored: Sequence[Scored]
    levels: Levels
    marks: Marks | None
    series: Mapping[str, str]
    newest_runs: int = NEWEST_RUNS
    shown: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        named: dict[str, list[str]] = {}
        for run in shown(self.scored, self.newest_runs):
            named.setdefault(run.base, []).append(run.experiment)
        object.__setattr__(self, "shown", named)

    @property
    def bases(self) -> dict[str, list[Scored]]:
        """Base -> its runs, of what the table shows."""
        return runs_of(self.scored)


def by_experiment(sources: Sources) -> list[Pivot]:
    """Return a pivot for each set of categories that experiments have, a row an experiment."""
    labels = (EXPERIMENT, *((amount_of(sources.scored),) if len(_scalings(sources)) > 1 else ()))
    groups: dict[tuple[str, ...], list[tuple[tuple[str, ...], list[list[Scored]]]]] = {}
    for base, runs in sources.bases.items():
        own = (base, scaling_in_words(runs[0]))[: len(labels)]
        groups.setdefault(tuple(runs[0].rows), []).append((own, [runs]))
    return [_pivot(sources, labels, rows) for rows in groups.values()]


def by_line(sources: Sources) -> list[Pivot]:
    """Return the pivot whose rows are lines of the chart at one scaling.

    That of ``by_experiment`` where two experiments would stand in one cell, or in the same row
    nothing tells them apart by.
    """
    rows: dict[tuple[str, str], list[list[Scored]]] = {}
    for runs in sources.bases.values():
        key = sources.series[runs[0].experiment], scaling_in_words(runs[0])
        rows.setdefault(key, []).append(runs)
    for of_row in rows.values():
        categories = [category for runs in of_row for category in runs[0].rows]
        if len(set(categories)) < len(categories):
            return by_experiment(sources)
    several = len({line for line, _ in rows}) > 1
    labels = (*((LINE,) if several else ()), amount_of(sources.scored))
    found = [(key[not several :], of_row) for key, of_row in rows.items()]
    found.sort(key=lambda row: _place(sources, row[1]))
    return [_pivot(sources, labels, found)]


def merges(sources: Sources, pivots: Sequence[Pivot]) -> bool:
    """Return whether pivots have fewer rows than there are experiments."""
    rows = sum(row.labels[0] != PUBLISHED for pivot in pivots for row in pivot.rows)
    return rows < len(sources.bases)


def scaling_in_words(run: Scored) -> str:
    """Return a run's scaling or strength, or the label of its profile; "" where it is unknown."""
    if run.profile:
        return run.profile
    return f"{run.amount + 0.0:g}" if run.has_scaling else ""  # 0, not -0


def _scalings(sources: Sources) -> set[str]:
    return {scaling_in_words(runs[0]) for runs in sources.bases.values()}


def _place(sources: Sources, of_row: Sequence[Sequence[Scored]]) -> tuple[object, ...]:
    """Return what to sort a row of experiments by: as ``place`` has it, but by line and scaling."""
    first = of_row[0][0]
    unknown = math.inf if first.profile else -math.inf
    scaling = first.amount if first.has_scaling else unknown
    others = not any(runs[0].of_baseline for runs in of_row)
    line = natural(sources.series[first.experiment])
    return natural(first.group), others, line, scaling, natural(first.profile)


def _pivot(
    sources: Sources,
    labels: tuple[str, ...],
    rows: Sequence[tuple[tuple[str, ...], Sequence[Sequence[Scored]]]],
) -> Pivot:
    every = [run for _, of_row in rows for runs in of_row for run in runs]
    named = {category for run in every for category in run.rows}
    columns = [_column(every, name) for name in sorted(named, key=natural)]
    if all(run.has_mean_of_all for run in every) and all(len(of_row) == 1 for _, of_row in rows):
        columns.append(_column(every, ALL_ITEMS))
    made = [
        Row(
            labels=own,
            cells=_cells(sources, of_row, columns),
            is_baseline=any(runs[0].of_baseline for runs in of_row),
            runs=max(map(len, of_row)),
        )
        for own, of_row in rows
    ]
    return Pivot(labels, tuple(columns), (*_published(sources, every, named), *made))


def _column(runs: Sequence[Scored], category: str) -> Column:
    having = [run for run in runs if category in run.rows or category == ALL_ITEMS]
    judged = [run.judged_in(category) for run in having]
    measured = category if category in having[0].rows else next(iter(having[0].rows))
    return Column(category, having[0].measure(measured), (min(judged), max(judged)))


def _cells(
    sources: Sources, of_row: Sequence[Sequence[Scored]], columns: Sequence[Column]
) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for runs in of_row:
        for category in (column.category for column in columns):
            if category in runs[0].rows or category == ALL_ITEMS:
                found, tested = mean_over(runs, category), sources.shown[runs[0].base]
                marked = is_marked(sources.marks, tested, category)
                cells[category] = Cell(float(found.value), found.std, marked)
    return cells


def _published(sources: Sources, runs: Sequence[Scored], named: set[str]) -> list[Row]:
    """Return a row for each published table that runs are compared with."""
    found: dict[str, dict[str, Cell]] = {}
    for run in runs:
        for category, level in sources.levels.get(run.experiment, {}).items():
            if level.name == PUBLISHED and category in named and math.isfinite(level.value):
                found.setdefault(run.group, {})[category] = Cell(float(level.value))
    models = {run.group: run.model for run in runs}
    several = len(found) > 1
    return [
        Row((f"{PUBLISHED}, {models[group]}" if several else PUBLISHED,), cells, is_baseline=True)
        for group, cells in found.items()
    ]

r"""table.tex: the values of a study as a table for a paper.

It is read by ``\input`` into a document that has booktabs, and is a document by itself.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from lorascope.reporting.amounts import AXES
from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.escaping import DEFINITION, escaped
from lorascope.reporting.pivot import (
    EXPERIMENT,
    LINE,
    Cell,
    Column,
    Pivot,
    Row,
    Sources,
    by_experiment,
    by_line,
    scaling_in_words,
)
from lorascope.reporting.significance import LEVEL, MARK
from lorascope.scoring.item_score import Measure

_HEAD = r"""% \input this file where a document has \usepackage{booktabs}, or compile it by itself.
% Before \input, \newcommand{\lorascopecaption}{...} gives it another caption,
% \newcommand{\lorascopelabel}{...} another label,
% \newcommand{\lorascopefloat}{table*} both columns of a page.
\expandafter\ifx\csname @nodocument\endcsname\relax
  \def\lorascopeend{}%
\else
  \documentclass{article}
  \usepackage[margin=2cm]{geometry}
  \usepackage{booktabs}
  \def\lorascopeend{\end{document}}
  \begin{document}
\fi"""
_TAIL = r"""\let\lorascopecaption\undefined
\let\lorascopelabel\undefined
\let\lorascopefloat\undefined
\lorascopeend"""
_STAR = rf"$^{{{MARK}}}$"
_ARROWS = {True: r"$\uparrow$", False: r"$\downarrow$"}
_LABELS = {EXPERIMENT: "Experiment", LINE: "Settings", **AXES}
_CAPTION = (r"\caption{\lorascopecaption}", r"\label{\lorascopelabel}", "", r"\smallskip")
# no caption of its own: a list of tables names each once
_CONTINUED = (r"\tablename~\thetable: \lorascopecaption{} (continued)", "", r"\smallskip")
_ROOM = 84  # characters of \footnotesize on a line of an article
_LEAST_ROOM = 30
_ROWS = 40  # of a page
_MOST_LABEL = 40
_FLOATS = 10  # LaTeX keeps few of them in mind


def table(title: str, study: str, sources: Sources) -> str:
    """Return the file: a float for each part of the pivot that fits on a page."""
    parts = [part for pivot in _pivots(sources) for part in _fitting(pivot)]
    measures = list(dict.fromkeys(c.measure for part in parts for c in part.columns))
    caption = f"{escaped(title)}. {_unit(measures)}"
    notes = _notes(sources, parts)
    floats = [line for n, part in enumerate(parts) for line in _float(n, part, notes)]
    lines = [
        _HEAD,
        rf"\providecommand{{\lorascopecaption}}{{{caption}}}",
        rf"\providecommand{{\lorascopelabel}}{{tab:{study}}}",
        r"\providecommand{\lorascopefloat}{table}",
        DEFINITION,
        *floats,
        _TAIL,
    ]
    return "\n".join(lines) + "\n"


def _pivots(sources: Sources) -> list[Pivot]:
    """Return the pivot by scaling where one is swept and a line's name is short, else by ID."""
    bases = sources.bases.values()
    lines = {sources.series[runs[0].experiment] for runs in bases}
    points = {(sources.series[runs[0].experiment], scaling_in_words(runs[0])) for runs in bases}
    if len(points) > len(lines) and max(map(len, lines)) <= _MOST_LABEL:
        return by_line(sources)
    return by_experiment(sources)


def _fitting(pivot: Pivot) -> Iterator[Pivot]:
    """Yield parts that fit on a page in width and height."""
    labels = sum(
        2 + max(len(_LABELS[name]), *(len(_first(row, i)) for row in pivot.rows))
        for i, name in enumerate(pivot.labels)
    )
    room = max(_ROOM - labels, _LEAST_ROOM)
    spread = any(cell.std is not None for row in pivot.rows for cell in row.cells.values())
    least = 13 if spread else 5
    over = _shared(pivot.columns)
    for part in pivot.split(room, lambda column: 2 + max(least, len(_below(column, over)))):
        for start in range(0, len(part.rows), _ROWS):
            yield Pivot(part.labels, part.columns, part.rows[start : start + _ROWS])


def _first(row: Row, number: int) -> str:
    label = row.labels[number] if number < len(row.labels) else ""
    return label + ("" if number else row.remark)


def _label(row: Row, number: int, name: str) -> str:
    text = _first(row, number)
    minus = "$-$" if name in AXES and text.startswith("-") else ""
    return minus + escaped(text.removeprefix("-") if minus else text)


def _shared(columns: Sequence[Column]) -> set[str]:
    """Return the tracks that stand over two columns or more."""
    tracks = Counter(column.track for column in columns)
    return {track for track, count in tracks.items() if track and count > 1}


def _below(column: Column, over: set[str]) -> str:
    """Return what a column is called below the tracks that stand over several."""
    if column.category == ALL_ITEMS:
        return "all"
    return column.title.removeprefix(f"{column.track}-") if column.track in over else column.title


def _float(number: int, part: Pivot, notes: Sequence[str]) -> Iterator[str]:
    if number and number % _FLOATS == 0:
        yield r"\clearpage"
    yield from (r"\begin{\lorascopefloat}", r"\centering")
    yield from _CONTINUED if number else _CAPTION
    yield from (r"\footnotesize", r"\setlength{\tabcolsep}{4pt}")
    yield rf"\begin{{tabular}}{{{_sides(part)}}}"
    yield r"\toprule"
    yield from _header(part)
    yield r"\midrule"
    best = {column.category: column.best(part.rows) for column in part.columns}
    for row in part.rows:
        labels = [_label(row, i, name) for i, name in enumerate(part.labels)]
        yield _row([*labels, *(_cell(row, c, best[c.category]) for c in part.columns)])
    yield from (r"\bottomrule", r"\end{tabular}", "", r"\smallskip")
    yield rf"\parbox{{\linewidth}}{{\scriptsize {' '.join(notes)}}}"
    yield r"\end{\lorascopefloat}"


def _sides(part: Pivot) -> str:
    labels = ["r" if name in AXES and number else "l" for number, name in enumerate(part.labels)]
    return "".join(labels) + "r" * len(part.columns)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _header(part: Pivot) -> Iterator[str]:
    """Yield the rows above the values: tracks over two categories or more, names, and items."""
    labels = [_LABELS[name] for name in part.labels]
    groups = [(track, list(found)) for track, found in groupby(part.columns, lambda c: c.track)]
    over = _shared(part.columns)
    if over:
        yield _row([*[""] * len(labels), *(_track(name, found, over) for name, found in groups)])
        yield " ".join(_rules(len(labels), groups, over))
    lower = any(not column.measure.higher_is_better for column in part.columns)
    yield _row([*labels, *(_name(column, over, lower) for column in part.columns)])
    yield _row(["$n$", *[""] * (len(labels) - 1), *(_items(column) for column in part.columns)])


def _track(name: str, found: Sequence[Column], over: set[str]) -> str:
    if name in over:
        return rf"\multicolumn{{{len(found)}}}{{c}}{{{escaped(name)}}}"
    return " & " * (len(found) - 1)


def _rules(
    first: int, groups: Sequence[tuple[str, Sequence[Column]]], over: set[str]
) -> Iterator[str]:
    at = first
    for name, found in groups:
        if name in over:
            yield rf"\cmidrule(lr){{{at + 1}-{at + len(found)}}}"
        at += len(found)


def _name(column: Column, over: set[str], lower: bool) -> str:
    name = escaped(_below(column, over))
    return f"{name} {_ARROWS[column.measure.higher_is_better]}" if lower else name


def _items(column: Column) -> str:
    least, most = column.items
    return f"{least}" if least == most else f"{least}--{most}"


def _cell(row: Row, column: Column, best: str) -> str:
    cell: Cell | None = row.cells.get(column.category)
    if cell is None or math.isnan(cell.value):
        return ""
    written = column.written(cell.value)
    value = _number(written)
    if written == best:
        value = rf"\textbf{{{value}}}"
    if cell.std is not None and math.isfinite(cell.std):
        value += rf"\,$\pm$\,{column.written(cell.std)}"
    return value + (rf"\rlap{{{_STAR}}}" if cell.is_marked else "")


def _number(written: str) -> str:
    return written.replace("-", "$-$").replace("inf", r"$\infty$")


def _unit(measures: Sequence[Measure]) -> str:
    """Return what the values are, and which direction is better."""
    if len(measures) == 1:
        return _said(measures[0]).capitalize() + "."
    return "Values: " + "; ".join(map(_said, measures)) + "."


def _said(measure: Measure) -> str:
    unit = " in percent" if measure.scale == "percent" else ""
    way = "higher" if measure.higher_is_better else "lower"
    return f"{escaped(measure.title)}{unit} ({way} is better, {_ARROWS[measure.higher_is_better]})"


def _notes(sources: Sources, parts: Sequence[Pivot]) -> list[str]:
    """Return what stands below the table: the marks, and what is in a cell."""
    several = any(row.runs > 1 for part in parts for row in part.rows)
    notes = [r"$n$: judged items. \textbf{Bold}: best of the column."]
    if sources.marks is not None:
        each = ", in each run that was tested" if several else ""
        test = rf"$p < {LEVEL:g}$ after Holm's correction for all comparisons of the study{each}."
        notes.append(rf"{_STAR} differs from the baseline: {test}")
    if several:
        notes.append(r"$\pm$: standard deviation over the runs of an experiment ($n - 1$).")
    return notes

"""The charts of a report: accuracy against LoRA scaling, or by experiment.

Both draw one panel per category and, where it means something, a panel with the mean over the
categories, on common axes in percent, with the baseline dashed and labelled and chance dotted, and
write SVG and PNG. Equal data give equal bytes (for one version of matplotlib).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lorascope.storage.records import atomic_path
from lorascope.study.order import natural

MEAN = "macro average\n(mean over categories)"
Baseline: TypeAlias = Mapping[str, float] | Mapping[str, Mapping[str, float]]
"""Category -> accuracy in percent, or name -> the same, for several baselines."""
WIDTH = 10.0  # inches; the PNG has twice the pixels of a page that shows it 1,000 wide
DPI = 200
# Okabe and Ito's palette, for every kind of colour vision (https://jfly.uni-koeln.de/color/),
# without its black, which is the baseline's, and its yellow, too pale for a line
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
LINES = ("-", "--", ":", "-.")
BASELINE: dict[str, Any] = {
    "color": "#222222",
    "linewidth": 1.0,
    "zorder": 1.8,
}
# of the baselines, in points drawn and left out
DASHES = ((0, (5, 2.5)), (0, (9, 2, 2, 2)), (0, (2.5, 1.2)), (0, (12, 4)), (0, (5, 1.5, 1, 1.5)))
CHANCE: dict[str, Any] = {
    "color": "#8A8A8A",
    "linewidth": 1.2,
    "linestyle": (0, (1, 1.8)),
    "zorder": 1.5,
}
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E9E9E9",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "lorascope",
    "svg.fonttype": "path",
}
_MOST_EXPERIMENTS_LABELLED = 60
_DOT_PANELS_IN_A_ROW = 5


def accuracy_chart(
    points: pd.DataFrame,
    baseline: Baseline,
    chance: Mapping[str, float],
    title: str,
    svg: Path,
    png: Path,
    mean: bool = True,
) -> None:
    """Draw accuracy against LoRA scaling, a line per series.

    points: columns lora_scaling, category, accuracy, low, high and, optionally, series (a model
    or an audio condition, for instance), all accuracies in percent; one row per series, scaling
    and category.
    baseline, chance: accuracy per category in percent; a category they lack gets no such line.
    Several baselines, by name, are each dashed in their own way.
    mean: whether the categories have a mean; several metrics of the same items have none, and
    their axis says score. Its panel is left out, too, where no point has all categories.
    """
    points = points.assign(series=points.get("series", ""))
    series = list(dict.fromkeys(points["series"]))
    categories = sorted(set(points["category"]), key=natural)
    levels = _by_name(baseline)
    limits = _accuracy_limits(points, *levels.values(), chance)
    measured = "accuracy (%)" if mean else "score (%)"
    mean = mean and _has_mean(points, ["series", "lora_scaling"])
    with saved_figure(title, svg, png) as figure:
        panels = _line_panels(figure, categories, mean, measured)
        for name, axes in panels.items():
            of_panel = _of_panel(points, name, ["series", "lora_scaling"])
            for number, label in enumerate(series):
                line = of_panel[of_panel["series"] == label].sort_values("lora_scaling")
                _draw_line(axes, line, number, label, banded=len(series) == 1)
            _draw_levels(axes, levels, chance, name, categories)
            axes.set_title(name)
            axes.set_ylim(limits)
            _scaling_ticks(axes, sorted(set(points["lora_scaling"])))
        named = [name for name in series if name]
        _legend(figure, named, levels, bool(chance), banded=len(series) == 1)


def accuracy_bars(
    points: pd.DataFrame,
    baseline: Baseline,
    chance: Mapping[str, float],
    title: str,
    svg: Path,
    png: Path,
    mean: bool = True,
) -> None:
    """Draw accuracy by experiment, for experiments that differ in something else than scaling.

    points: columns experiment, category, accuracy, low, high, in percent; experiments are drawn
    from top to bottom in the order of their first row. baseline, chance, mean: as in
    ``accuracy_chart``. Beyond 60 experiments all are drawn but only some named.
    """
    experiments = list(dict.fromkeys(points["experiment"]))
    categories = sorted(set(points["category"]), key=natural)
    levels = _by_name(baseline)
    limits = _accuracy_limits(points, *levels.values(), chance)
    measured = "accuracy (%)" if mean else "score (%)"
    mean = mean and _has_mean(points, ["experiment"])
    with saved_figure(title, svg, png) as figure:
        panels = _dot_panels(figure, categories, mean, measured, len(experiments))
        for name, axes in panels.items():
            of_panel = _of_panel(points, name, ["experiment"]).set_index("experiment")
            _draw_dots(axes, of_panel.reindex(experiments))
            _draw_levels(axes, levels, chance, name, categories, upright=True)
            axes.set_title(name, pad=14)
            axes.set_xlim(limits)
            _experiment_ticks(axes, experiments)
        _legend(figure, [], levels, bool(chance), banded=False)


@contextmanager
def saved_figure(title: str, svg: Path, png: Path) -> Iterator[Figure]:
    """Yield an empty titled figure and write it to both files when the block succeeds."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 5.0), dpi=DPI, layout="constrained", facecolor="white")
        figure.suptitle(title, x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        yield figure
        # without what a file says of its making, it changes only when the picture does
        for path, kind, silent in ((svg, "svg", "Date"), (png, "png", "Software")):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, metadata={silent: None})


def _line_panels(
    figure: Figure, categories: Sequence[str], mean: bool, measured: str
) -> dict[str, Axes]:
    """Return the axes by name: the mean in a tall panel, then a grid of the categories.

    Categories ``<track>-<hop>`` stand in one column per track where the tracks have equally many.
    """
    if len(categories) == 1:
        figure.set_size_inches(WIDTH * 0.6, 4.2)
        return {categories[0]: figure.add_subplot(xlabel="LoRA scaling", ylabel=measured)}
    tracks = {category.rpartition("-")[0] for category in categories}
    rows, odd = divmod(len(categories), len(tracks))
    if odd or not 2 <= len(tracks) <= 5 or rows > 4:
        rows = math.ceil(len(categories) / 4)
    columns = math.ceil(len(categories) / rows)
    figure.set_size_inches(WIDTH, max(3.4, 1.1 + 1.95 * rows))
    grid = figure.add_gridspec(rows, mean + columns, width_ratios=[1.75] * mean + [1] * columns)
    panels: dict[str, Axes] = {}
    if mean:
        panels[MEAN] = figure.add_subplot(grid[:, 0], xlabel="LoRA scaling", ylabel=measured)
    for place, category in enumerate(categories):
        column, row = divmod(place, rows)
        first = next(iter(panels.values()), None)
        axes = figure.add_subplot(grid[row, mean + column], sharex=first, sharey=first)
        lowest = row == rows - 1 or place == len(categories) - 1
        axes.tick_params(labelleft=column == 0, labelbottom=lowest)
        axes.set_xlabel("LoRA scaling" if lowest else "")
        axes.set_ylabel(measured if column == 0 and not mean else "")
        panels[category] = axes
    return panels


def _dot_panels(
    figure: Figure, categories: Sequence[str], mean: bool, measured: str, height: int
) -> dict[str, Axes]:
    """Return the axes by name, side by side: ``height`` experiments share the vertical axis."""
    names = [*([MEAN] if mean else []), *categories]
    columns = min(len(names), _DOT_PANELS_IN_A_ROW)
    rows = math.ceil(len(names) / columns)
    labelled = min(height, _MOST_EXPERIMENTS_LABELLED)
    figure.set_size_inches(WIDTH, 0.9 + rows * (0.6 + 0.22 * labelled))
    panels: dict[str, Axes] = {}
    for place, name in enumerate(names):
        first = panels.get(names[0])
        axes = figure.add_subplot(rows, columns, place + 1, sharex=first, sharey=first)
        lowest = place + columns >= len(names)
        axes.tick_params(labelleft=place % columns == 0, labelbottom=lowest)
        axes.set_xlabel(measured if lowest else "")
        panels[name] = axes
    return panels


def _has_mean(points: pd.DataFrame, keys: list[str]) -> bool:
    """Return whether there are several categories and a point that has all of them."""
    return points["category"].nunique() > 1 and len(_of_panel(points, MEAN, keys)) > 0


def _of_panel(points: pd.DataFrame, name: str, keys: list[str]) -> pd.DataFrame:
    """Return the points of a category, or the mean over the categories, which has no interval.

    The mean is unweighted, and left out where a category is missing: it would not compare.
    """
    if name != MEAN:
        return points[points["category"] == name]
    means = points.groupby(keys)["accuracy"].agg(["mean", "size"]).reset_index()
    complete = means[means["size"] == points["category"].nunique()]
    return complete.rename(columns={"mean": "accuracy"}).assign(low=math.nan, high=math.nan)


def _level(levels: Mapping[str, float], name: str, categories: Sequence[str]) -> float | None:
    """Return the baseline or chance of a panel, for the mean only if every category has one."""
    if name != MEAN:
        return float(levels[name]) if name in levels else None
    if any(category not in levels for category in categories):
        return None
    return sum(float(levels[category]) for category in categories) / len(categories)


def _draw_line(axes: Axes, line: pd.DataFrame, number: int, label: str, banded: bool) -> None:
    look = _look(number)
    scaling, low, high = line["lora_scaling"], line["low"], line["high"]
    axes.plot(scaling, line["accuracy"], label=label, zorder=3, **look)
    if banded:
        axes.fill_between(scaling, low, high, color=look["color"], alpha=0.18, linewidth=0)
    else:
        axes.vlines(scaling, low, high, color=look["color"], alpha=0.5, linewidth=1.2)


def _draw_dots(axes: Axes, dots: pd.DataFrame) -> None:
    heights = range(len(dots))
    axes.hlines(heights, dots["low"], dots["high"], color=COLOURS[0], linewidth=1.4, zorder=3)
    axes.plot(dots["accuracy"], heights, "o", color=COLOURS[0], markersize=4, zorder=3)
    axes.set_ylim(len(dots) - 0.4, -0.6)


def _look(number: int) -> dict[str, Any]:
    """Return what tells a series from the others, without colour alone."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[turn % len(LINES)],
        "markersize": 4,
        "linewidth": 1.6,
    }


def _by_name(baseline: Baseline) -> dict[str, Mapping[str, float]]:
    """Return name -> category -> accuracy; a single baseline has the name ""."""
    several = {name: levels for name, levels in baseline.items() if isinstance(levels, Mapping)}
    if several:
        return several
    return {
        "": {c: float(level) for c, level in baseline.items() if not isinstance(level, Mapping)}
    }


def _draw_levels(
    axes: Axes,
    baselines: Mapping[str, Mapping[str, float]],
    chance: Mapping[str, float],
    name: str,
    categories: Sequence[str],
    upright: bool = False,
) -> None:
    """Draw the levels of a panel, baselines with their values in the margin, where no data is."""
    across = axes.axvline if upright else axes.axhline
    if (level := _level(chance, name, categories)) is not None:
        across(level, **CHANCE)
    for number, levels in enumerate(baselines.values()):
        if (level := _level(levels, name, categories)) is not None:
            across(level, **_baseline_look(number))
            _annotate(axes, level, upright)


def _annotate(axes: Axes, level: float, upright: bool) -> None:
    look: dict[str, Any] = {
        "fontsize": 7.5,
        "color": BASELINE["color"],
        "textcoords": "offset points",
    }
    if upright:
        axes.annotate(
            f"{level:.1f}", (level, 1), (0, 2), ha="center", va="bottom",
            xycoords=("data", "axes fraction"), **look,
        )  # fmt: skip
    else:
        axes.annotate(
            f"{level:.1f}", (1, level), (2, 0), ha="left", va="center",
            xycoords=("axes fraction", "data"), **look,
        )  # fmt: skip


def _baseline_look(number: int) -> dict[str, Any]:
    return {**BASELINE, "linestyle": DASHES[number % len(DASHES)]}


def _accuracy_limits(points: pd.DataFrame, *levels: Mapping[str, float]) -> tuple[float, float]:
    """Return limits in whole tens around everything that is drawn."""
    drawn = [points["low"].min(), points["accuracy"].min()]
    drawn += [points["high"].max(), points["accuracy"].max()]
    for level in levels:
        drawn += [float(level[name]) for name in set(points["category"]) & set(level)]
    low = 10 * math.floor((min(drawn) - 1) / 10)
    high = 10 * math.ceil((max(drawn) + 1) / 10)
    return max(low, -2), min(high, 102)


def _scaling_ticks(axes: Axes, scalings: Sequence[float]) -> None:
    """Put the ticks at the scalings that were run, unless their labels would collide."""
    span = (scalings[-1] - scalings[0]) or 1.0
    axes.set_xlim(scalings[0] - 0.06 * span, scalings[-1] + 0.06 * span)
    gaps = [b - a for a, b in pairwise(scalings)]
    if all(gap >= span / 9 for gap in gaps):
        axes.set_xticks(scalings, [f"{scaling:g}" for scaling in scalings])


def _experiment_ticks(axes: Axes, experiments: Sequence[str]) -> None:
    step = math.ceil(len(experiments) / _MOST_EXPERIMENTS_LABELLED)
    axes.set_yticks(range(0, len(experiments), step), experiments[::step])


def _legend(
    figure: Figure, series: Sequence[str], baselines: Iterable[str], chance: bool, banded: bool
) -> None:
    """Explain the marks below the panels, the series by name if there are several."""
    handles = [Line2D([], [], label=name, **_look(n)) for n, name in enumerate(series)]
    colour = "#777777" if series else COLOURS[0]
    width, alpha = (6, 0.25) if banded else (1.4, 1.0)
    interval = Line2D([], [], label="95 % interval", color=colour, linewidth=width, alpha=alpha)
    handles.append(interval)
    for number, name in enumerate(baselines):
        label = f"baseline{name and ' of '}{name}, with its value"
        handles.append(Line2D([], [], label=label, **_baseline_look(number)))
    handles += [Line2D([], [], label="chance", **CHANCE)] if chance else []
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))

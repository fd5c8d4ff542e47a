"""The panels of a chart: one for each category, side by side on common axes.

Categories that are shares (accuracy, F1) have one axis in percent and, where it means something, a
panel with their mean; every other measure has an axis of its own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from lorascope.reporting.figures import BASELINE, CHANCE, WIDTH, baseline_look
from lorascope.reporting.measures import BETTER
from lorascope.scoring.item_score import ACCURACY, Measure

MEAN = "macro average\n(mean over categories)"
_MOST_EXPERIMENTS_LABELLED = 60
_DOT_PANELS_IN_A_ROW = 5
_FAR = 20.0  # times


@dataclass(frozen=True)
class Scale:
    """An axis, and the categories that stand on it; ``mean`` is whether their mean does, too."""

    measure: Measure
    categories: tuple[str, ...]
    label: str
    mean: bool

    @property
    def shares(self) -> bool:
        """Whether it is in percent of full credit."""
        return self.measure.is_share

    @property
    def names(self) -> list[str]:
        """The panels on it."""
        return [*([MEAN] if self.mean else []), *self.categories]


def scales_of(
    categories: Sequence[str], measures: Mapping[str, Measure], mean: bool
) -> list[Scale]:
    """Return the axes of a chart, that of shares named by whether they have a mean."""
    groups: dict[Measure, list[str]] = {}
    for category in categories:
        measure = measures.get(category, ACCURACY)
        groups.setdefault(ACCURACY if measure.is_share else measure, []).append(category)
    return [
        Scale(measure, tuple(names), _label(measure, mean), mean and measure.is_share)
        for measure, names in groups.items()
    ]


def _label(measure: Measure, mean: bool) -> str:
    if measure.is_share:
        return "accuracy (%)" if mean else "score (%)"
    unit = " (%)" if measure.scale == "percent" else ""
    return f"{measure.title}{unit}\n{BETTER[measure.higher_is_better]} is better"


def line_panels(
    figure: Figure, scales: Sequence[Scale], axis: str
) -> Iterator[tuple[Scale, dict[str, Axes]]]:
    """Yield each scale with its axes by name: the mean in a tall panel, then a grid.

    ``axis`` is what the horizontal ones are called.

    Categories ``<track>-<hop>`` stand in one column per track where the tracks have equally many.
    """
    if len(scales) == 1 and len(scales[0].categories) == 1:
        (scale,) = scales
        figure.set_size_inches(WIDTH * 0.6, 4.2)
        axes = figure.add_subplot(xlabel=axis, ylabel=scale.label)
        yield scale, {scale.categories[0]: axes}
        return
    shapes = [_shape(scale.categories) for scale in scales]
    heights = [1.1 + 1.95 * rows for rows, _ in shapes]
    figure.set_size_inches(WIDTH, max(3.4, sum(heights)))
    columns = max(columns for _, columns in shapes)
    for scale, (rows, _), part in zip(scales, shapes, _parts(figure, heights), strict=True):
        yield scale, _grid(part, scale, rows, columns, axis)


def _shape(categories: Sequence[str]) -> tuple[int, int]:
    """Return the rows and columns of a grid of categories."""
    tracks = {category.rpartition("-")[0] for category in categories}
    rows, odd = divmod(len(categories), len(tracks))
    if odd or not 2 <= len(tracks) <= 5 or rows > 4:
        rows = math.ceil(len(categories) / 4)
    return rows, math.ceil(len(categories) / rows)


def _parts(figure: Figure, heights: Sequence[float]) -> list[FigureBase]:
    """Return a part of the figure for each scale, one below the other."""
    if len(heights) == 1:
        return [figure]
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
    return [part for (part,) in parts]


def _grid(part: FigureBase, scale: Scale, rows: int, columns: int, axis: str) -> dict[str, Axes]:
    mean = scale.mean
    grid = part.add_gridspec(rows, mean + columns, width_ratios=[1.75] * mean + [1] * columns)
    panels: dict[str, Axes] = {}
    if mean:
        panels[MEAN] = part.add_subplot(grid[:, 0], xlabel=axis, ylabel=scale.label)
    for place, category in enumerate(scale.categories):
        column, row = divmod(place, rows)
        first = next(iter(panels.values()), None)
        axes = part.add_subplot(grid[row, mean + column], sharex=first, sharey=first)
        lowest = row == rows - 1 or place == len(scale.categories) - 1
        axes.tick_params(labelleft=column == 0, labelbottom=lowest)
        axes.set_xlabel(axis if lowest else "")
        axes.set_ylabel(scale.label if column == 0 and not mean else "")
        panels[category] = axes
    return panels


def dot_panels(
    figure: Figure, scales: Sequence[Scale], height: int
) -> Iterator[tuple[Scale, dict[str, Axes]]]:
    """Yield each scale with its axes by name: ``height`` experiments share the vertical axis."""
    columns = min(max(len(scale.names) for scale in scales), _DOT_PANELS_IN_A_ROW)
    labelled = min(height, _MOST_EXPERIMENTS_LABELLED)
    rows = [math.ceil(len(scale.names) / columns) for scale in scales]
    heights = [0.9 * (len(scales) > 1) + count * (0.6 + 0.22 * labelled) for count in rows]
    figure.set_size_inches(WIDTH, 0.9 + sum(heights))
    for scale, count, part in zip(scales, rows, _parts(figure, heights), strict=True):
        yield scale, _row(part, scale, count, columns)


def _row(part: FigureBase, scale: Scale, rows: int, columns: int) -> dict[str, Axes]:
    panels: dict[str, Axes] = {}
    for place, name in enumerate(scale.names):
        first = panels.get(scale.names[0])
        axes = part.add_subplot(rows, columns, place + 1, sharex=first, sharey=first)
        lowest = place + columns >= len(scale.names)
        axes.tick_params(labelleft=place % columns == 0, labelbottom=lowest)
        axes.set_xlabel(scale.label if lowest else "")
        panels[name] = axes
    return panels


def _level(levels: Mapping[str, float], name: str, categories: Sequence[str]) -> float | None:
    """Return the baseline or chance of a panel, for the mean only if every category has one."""
    if name != MEAN:
        return float(levels[name]) if name in levels else None
    if any(category not in levels for category in categories):
        return None
    return sum(float(levels[category]) for category in categories) / len(categories)


def draw_levels(
    axes: Axes,
    baselines: Mapping[str, Mapping[str, float]],
    chance: Mapping[str, float],
    name: str,
    scale: Scale,
    upright: bool = False,
) -> None:
    """Draw the levels of a panel, baselines with their values in the margin, where no data is."""
    across = axes.axvline if upright else axes.axhline
    if (level := _level(chance, name, scale.categories)) is not None:
        across(level, **CHANCE)
    written = ".1f" if scale.measure.scale == "percent" else ".3g"
    for number, levels in enumerate(baselines.values()):
        if (level := _level(levels, name, scale.categories)) is not None:
            across(level, **baseline_look(number))
            _annotate(axes, level, f"{level:{written}}", upright)


def _annotate(axes: Axes, level: float, text: str, upright: bool) -> None:
    look: dict[str, Any] = {
        "fontsize": 7.5,
        "color": BASELINE["color"],
        "textcoords": "offset points",
    }
    if upright:
        axes.annotate(
            text, (level, 1), (0, 2), ha="center", va="bottom",
            xycoords=("data", "axes fraction"), **look,
        )  # fmt: skip
    else:
        axes.annotate(
            text, (1, level), (2, 0), ha="left", va="center",
            xycoords=("axes fraction", "data"), **look,
        )  # fmt: skip


def scaling_ticks(axes: Axes, scalings: Sequence[float]) -> None:
    """Put the ticks at the scalings that were run, unless their labels would collide."""
    span = (scalings[-1] - scalings[0]) or 1.0
    axes.set_xlim(scalings[0] - 0.06 * span, scalings[-1] + 0.06 * span)
    gaps = [b - a for a, b in pairwise(scalings)]
    if all(gap >= span / 9 for gap in gaps):
        axes.set_xticks(scalings, [f"{scaling:g}" for scaling in scalings])


def experiment_ticks(axes: Axes, experiments: Sequence[str]) -> None:
    """Name the experiments, or only some of very many."""
    step = math.ceil(len(experiments) / _MOST_EXPERIMENTS_LABELLED)
    axes.set_yticks(range(0, len(experiments), step), experiments[::step])


def limits_of(
    points: pd.DataFrame, scale: Scale, levels: Iterable[Mapping[str, float]]
) -> tuple[float, float]:
    """Return limits around everything that is drawn on a scale; of shares, in whole tens."""
    of_scale = points[points["category"].isin(scale.categories)]
    drawn = [of_scale["low"].min(), of_scale["accuracy"].min()]
    drawn += [of_scale["high"].max(), of_scale["accuracy"].max()]
    for level in levels:
        drawn += [float(level[name]) for name in set(of_scale["category"]) & set(level)]
    if scale.shares:
        known = [value for value in drawn if math.isfinite(value)] or [0.0, 100.0]
        low = 10 * math.floor((min(known) - 1) / 10)
        high = 10 * math.ceil((max(known) + 1) / 10)
        return max(low, -2), min(high, 102)
    finite = [value for value in drawn if math.isfinite(value)] or [0.0, 1.0]
    least, most = min(finite), max(finite)
    room = 0.08 * ((most - least) or abs(most) or 1.0)
    return least - min(room, 0.5 * least) if least > 0 else least - room, most + room


def spread(axes: Axes, scale: Scale, limits: tuple[float, float], upright: bool = False) -> None:
    """Set the limits of a scale, logarithmic for perplexities that are far apart."""
    low, high = limits
    way = axes.set_xscale if upright else axes.set_yscale
    if scale.measure.scale == "exponential" and low > 0 and high > _FAR * low:
        way("log")
        axis = axes.xaxis if upright else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    (axes.set_xlim if upright else axes.set_ylim)(limits)

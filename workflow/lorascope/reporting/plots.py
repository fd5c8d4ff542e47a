"""The charts of a report: accuracy against LoRA scaling, or by experiment.

Both draw one panel per category and, where it means something, a panel with the mean over the
categories, on common axes in percent, with the baseline dashed and labelled and chance dotted, and
write SVG and PNG. Categories of another measure have axes of their own, named by it and by the
direction that is better. Equal data give equal bytes (for one version of matplotlib).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lorascope.reporting.amounts import AXES, SCALING
from lorascope.reporting.figures import CHANCE, COLOURS, baseline_look, look_of, saved_figure
from lorascope.reporting.panels import (
    MEAN,
    Scale,
    dot_panels,
    draw_levels,
    experiment_ticks,
    limits_of,
    line_panels,
    scales_of,
    scaling_ticks,
    spread,
)
from lorascope.scoring.item_score import Measure
from lorascope.study.order import natural

Baseline: TypeAlias = Mapping[str, float] | Mapping[str, Mapping[str, float]]
"""Category -> value, or name -> the same, for several baselines."""


def accuracy_chart(
    points: pd.DataFrame,
    baseline: Baseline,
    chance: Mapping[str, float],
    title: str,
    svg: Path,
    png: Path,
    mean: bool = True,
    measures: Mapping[str, Measure] | None = None,
    axis: str = AXES[SCALING],
) -> None:
    """Draw accuracy against LoRA scaling, or what ``axis`` says, a line per series.

    points: columns lora_scaling, category, accuracy, low, high and, optionally, series (a model
    or an audio condition, for instance), all accuracies in percent, or in the unit of a category's
    measure; one row per series, scaling and category.
    baseline, chance: value per category; a category they lack gets no such line.
    Several baselines, by name, are each dashed in their own way.
    mean: whether the categories have a mean; several metrics of the same items have none, and
    their axis says score. Its panel is left out, too, where no point has all categories.
    measures: category -> what it measures, if not accuracy.
    """
    points = _finite(points.assign(series=points.get("series", "")))
    series = list(dict.fromkeys(points["series"]))
    levels, keys = _by_name(baseline), ["series", "lora_scaling"]
    with saved_figure(title, svg, png) as figure:
        for scale, panels in line_panels(figure, _scales(points, measures, mean, keys), axis):
            limits = limits_of(points, scale, [*levels.values(), chance])
            for name, axes in panels.items():
                of_panel = _of_panel(points, name, scale, keys)
                for number, label in enumerate(series):
                    line = of_panel[of_panel["series"] == label].sort_values("lora_scaling")
                    _draw_line(axes, line, number, label, banded=len(series) == 1)
                draw_levels(axes, levels, chance, name, scale)
                axes.set_title(name)
                spread(axes, scale, limits)
                scaling_ticks(axes, sorted(set(points["lora_scaling"])))
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
    measures: Mapping[str, Measure] | None = None,
) -> None:
    """Draw accuracy by experiment, for experiments that differ in something else than scaling.

    points: columns experiment, category, accuracy, low, high; experiments are drawn from top to
    bottom in the order of their first row. baseline, chance, mean, measures: as in
    ``accuracy_chart``. Beyond 60 experiments all are drawn but only some named.
    """
    points, keys = _finite(points), ["experiment"]
    experiments = list(dict.fromkeys(points["experiment"]))
    levels, scales = _by_name(baseline), _scales(points, measures, mean, keys)
    with saved_figure(title, svg, png) as figure:
        for scale, panels in dot_panels(figure, scales, len(experiments)):
            limits = limits_of(points, scale, [*levels.values(), chance])
            for name, axes in panels.items():
                of_panel = _of_panel(points, name, scale, keys).set_index("experiment")
                _draw_dots(axes, of_panel.reindex(experiments))
                draw_levels(axes, levels, chance, name, scale, upright=True)
                axes.set_title(name, pad=14)
                spread(axes, scale, limits, upright=True)
                experiment_ticks(axes, experiments)
        _legend(figure, [], levels, bool(chance), banded=False)


def _finite(points: pd.DataFrame) -> pd.DataFrame:
    """Return points without the numbers that no axis has room for."""
    drawn = ["accuracy", "low", "high"]
    finite = points[drawn].replace([math.inf, -math.inf], math.nan)
    return points.assign(**{name: finite[name] for name in drawn})


def _scales(
    points: pd.DataFrame, measures: Mapping[str, Measure] | None, mean: bool, keys: list[str]
) -> list[Scale]:
    """Return the axes; the mean is left out where there is one category, or no point has all."""
    categories = sorted(set(points["category"]), key=natural)
    scales = scales_of(categories, measures or {}, mean)
    return [replace(scale, mean=scale.mean and _has_mean(points, scale, keys)) for scale in scales]


def _has_mean(points: pd.DataFrame, scale: Scale, keys: list[str]) -> bool:
    return len(scale.categories) > 1 and len(_of_panel(points, MEAN, scale, keys)) > 0


def _of_panel(points: pd.DataFrame, name: str, scale: Scale, keys: list[str]) -> pd.DataFrame:
    """Return the points of a category, or the mean over a scale's, which has no interval.

    The mean is unweighted, and left out where a category is missing: it would not compare.
    """
    if name != MEAN:
        return points[points["category"] == name]
    of_scale = points[points["category"].isin(scale.categories)]
    means = of_scale.groupby(keys)["accuracy"].agg(["mean", "size"]).reset_index()
    complete = means[means["size"] == len(scale.categories)]
    return complete.rename(columns={"mean": "accuracy"}).assign(low=math.nan, high=math.nan)


def _draw_line(axes: Axes, line: pd.DataFrame, number: int, label: str, banded: bool) -> None:
    look = look_of(number)
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


def _by_name(baseline: Baseline) -> dict[str, Mapping[str, float]]:
    """Return name -> category -> accuracy; a single baseline has the name ""."""
    several = {name: levels for name, levels in baseline.items() if isinstance(levels, Mapping)}
    if several:
        return several
    return {
        "": {c: float(level) for c, level in baseline.items() if not isinstance(level, Mapping)}
    }


def _legend(
    figure: Figure, series: Sequence[str], baselines: Iterable[str], chance: bool, banded: bool
) -> None:
    """Explain the marks below the panels, the series by name if there are several."""
    handles = [Line2D([], [], label=name, **look_of(n)) for n, name in enumerate(series)]
    colour = "#777777" if series else COLOURS[0]
    width, alpha = (6, 0.25) if banded else (1.4, 1.0)
    interval = Line2D([], [], label="95 % interval", color=colour, linewidth=width, alpha=alpha)
    handles.append(interval)
    for number, name in enumerate(baselines):
        label = f"baseline{name and ' of '}{name}, with its value"
        handles.append(Line2D([], [], label=label, **baseline_look(number)))
    handles += [Line2D([], [], label="chance", **CHANCE)] if chance else []
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))

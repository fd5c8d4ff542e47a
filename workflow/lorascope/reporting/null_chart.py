"""The chart of adapters among their nulls."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lorascope.reporting.figures import BASELINE, COLOURS, saved_figure
from lorascope.reporting.panels import Scale, dot_panels, experiment_ticks, scales_of
from lorascope.scoring.item_score import Measure
from lorascope.study.order import natural

_NULL: dict[str, Any] = {
    "linestyle": "",
    "markersize": 4,
    "markeredgecolor": "white",
    "markeredgewidth": 0.4,
}
_KINDS: dict[str, dict[str, Any]] = {
    "random": {"marker": "o", "markerfacecolor": "#8A8A8A"},
    "shuffled": {"marker": "s", "markerfacecolor": COLOURS[5]},
    "sign": {"marker": "<", "markerfacecolor": COLOURS[3], "markersize": 5},
}
_MEAN: dict[str, Any] = {"marker": "|", "linestyle": "", "color": "#444444", "markersize": 14}
_REAL: dict[str, Any] = {"marker": "D", "linestyle": "", "color": COLOURS[1], "markersize": 5.5}
_SPREAD = 0.32
"""How far nulls stand from the middle of their line at most, in lines."""


def null_chart(
    draws: pd.DataFrame, measures: Mapping[str, Measure], title: str, svg: Path, png: Path
) -> None:
    """Draw a strip for each experiment: its nulls, the mean of its draws, and the real effect.

    draws: as ``nulls.draws_table`` has it. A panel for each category; those of the same experiments
    stand side by side. What is drawn is the delta where every row has one, with a line at 0, else
    the value. Writes SVG and PNG; equal data give equal bytes.
    """
    by = "delta" if draws["delta"].notna().all() else "value"
    points = draws.assign(effect=draws[by].replace([math.inf, -math.inf], math.nan))
    scales = [*_scales(points, measures, "delta in " if by == "delta" else "")]
    lines = [_lines(points, scale.categories) for scale in scales]
    with saved_figure(title, svg, png) as figure:
        panels = dot_panels(figure, scales, max(map(len, lines)))
        for (_, several), names in zip(panels, lines, strict=True):
            for category, axes in several.items():
                of_panel = points[points["category"] == category]
                for height, name in enumerate(names):
                    _draw_strip(axes, of_panel[of_panel["experiment"] == name], height)
                if by == "delta":
                    axes.axvline(0, **BASELINE, linestyle="--")
                axes.set_title(category)
                axes.set_ylim(len(names) - 0.4, -0.6)
                experiment_ticks(axes, names)
        _legend(figure, points, has_baseline=by == "delta")


def _scales(points: pd.DataFrame, measures: Mapping[str, Measure], prefix: str) -> Iterator[Scale]:
    """Yield an axis for the categories of one measure that the same experiments have."""
    categories = sorted({*points["category"]}, key=natural)
    for scale in scales_of(categories, measures, mean=False):
        groups: dict[tuple[str, ...], list[str]] = {}
        for category in scale.categories:
            groups.setdefault(tuple(_lines(points, [category])), []).append(category)
        for names in groups.values():
            yield replace(scale, categories=tuple(names), label=f"{prefix}{scale.label}")


def _lines(points: pd.DataFrame, categories: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(points.loc[points["category"].isin(categories), "experiment"]))


def _draw_strip(axes: Axes, strip: pd.DataFrame, height: int) -> None:
    nulls = strip[strip["draw"] != ""]
    both = {"random", "shuffled"} <= {*nulls["nulls"]}
    for kind, look in _KINDS.items():
        values = np.sort(nulls.loc[nulls["nulls"] == kind, "effect"].to_numpy())
        side = {"random": -0.5, "shuffled": 0.5}.get(kind, 0) if both else 0
        offsets = _offsets(values) * (0.45 if both else 1) + side * _SPREAD
        axes.plot(values, height + offsets, zorder=2.6, **{**_NULL, **look})
        if np.isfinite(values).sum() > 1:
            mean, middle = [np.nanmean(values)], [height + side * _SPREAD]
            axes.plot(mean, middle, zorder=2.5, **_MEAN | {"markersize": 7 if both else 14})
    real = strip.loc[strip["draw"] == "", "effect"].iloc[:1]
    axes.plot(real, [height] * len(real), zorder=3, **_REAL)


def _offsets(values: np.ndarray) -> np.ndarray:
    """Return how far from the middle sorted values stand: equal ones are spread."""
    found = np.zeros(len(values))
    for value in np.unique(values[np.isfinite(values)]):
        same = np.flatnonzero(values == value)
        if len(same) > 1:
            found[same] = np.linspace(-_SPREAD, _SPREAD, len(same))
    return found


def _legend(figure: Figure, points: pd.DataFrame, has_baseline: bool) -> None:
    handles = [Line2D([], [], label="the adapter", **_REAL)]
    for kind, look in _KINDS.items():
        if kind in {*points["nulls"]}:
            name = "B negated" if kind == "sign" else f"a {kind} null"
            handles.append(Line2D([], [], label=name, **{**_NULL, **look}))
    if {"random", "shuffled"} & {*points["nulls"]}:
        handles.append(Line2D([], [], label="mean of the nulls", **_MEAN))
    if has_baseline:
        handles.append(Line2D([], [], label="baseline", **BASELINE, linestyle="--"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))

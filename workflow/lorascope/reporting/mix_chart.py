"""The chart of sums of adapters: scores over the weights of one, two or three of them."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lorascope.reporting.figures import COLOURS, WIDTH, saved_figure
from lorascope.reporting.mixes import Panel

MOST_DRAWN = 24
"""Panels in the picture; mixes.csv has all values."""
_COLUMNS = 3
_COLOURS = "cividis"  # for every kind of colour vision
_WITH_NUMBERS = 9  # cells in a row up to which a number fits into one
_FRAME: dict[str, Any] = {"edgecolor": "#D55E00", "linewidth": 2.0}
Ends = tuple[float, float]


def mix_chart(panels: Sequence[Panel], title: str, svg: Path, png: Path) -> None:
    """Draw each panel as a line with its interval, a plane, or a triangle.

    The colours of a panel span its own values; lines of a measure have one height. The best values
    are framed. Writes SVG and PNG; equal data give equal bytes.
    """
    drawn = panels[:MOST_DRAWN]
    columns = 2 if len(drawn) == 4 else min(_COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    with saved_figure(title, svg, png) as figure:
        figure.set_size_inches(WIDTH * (0.2 + 0.8 * columns / _COLUMNS), 0.6 + 3.1 * rows)
        for number, panel in enumerate(drawn):
            axes = figure.add_subplot(rows, columns, number + 1)
            axes.set_title(panel.title, loc="left")
            if len(panel.axes) == 1:
                lines = [p for p in drawn if (p.measure, len(p.axes)) == (panel.measure, 1)]
                _line(axes, panel, _ends(lines, ("low", "accuracy", "high")))
                continue
            axes.grid(visible=False)
            draw = _plane if len(panel.axes) == 2 else _triangle
            mesh = draw(axes, panel, _ends([panel], ("accuracy",)))
            figure.colorbar(mesh, ax=axes, pad=0.02, fraction=0.05).set_label(_unit(panel))


def _unit(panel: Panel) -> str:
    if panel.measure.is_share:
        return "score (%)"  # an accuracy, or an F1, as the title says
    return panel.measure.title + (" (%)" if panel.measure.scale == "percent" else "")


def _ends(panels: Iterable[Panel], columns: Sequence[str]) -> Ends:
    """Return the least and the largest finite value of columns of panels."""
    found = [one.points[name].to_numpy(dtype=float) for one in panels for name in columns]
    values = np.concatenate(found)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _line(axes: Axes, panel: Panel, ends: Ends) -> None:
    (part,) = panel.axes
    points = panel.points.sort_values(part)
    points = points.assign(accuracy=_finite(points["accuracy"]))
    weights = points[part].astype(float)
    low, high = (_finite(points[name]) for name in ("low", "high"))
    axes.fill_between(weights, low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
    axes.plot(weights, points["accuracy"], color=COLOURS[0], marker="o", markersize=4)
    best = points[points["is_best"]]
    axes.plot(best[part], best["accuracy"], "o", mfc="none", mec=_FRAME["edgecolor"], ms=9, mew=2)
    room = 0.06 * (ends[1] - ends[0])
    axes.set_ylim(ends[0] - room, ends[1] + room)
    axes.set_xlabel(f"weight of {part}")
    axes.set_ylabel(_unit(panel))


def _plane(axes: Axes, panel: Panel, ends: Ends) -> Any:
    across, up = panel.axes
    grid = panel.points.pivot_table(
        index=up, columns=across, values="accuracy", aggfunc="mean", dropna=False
    )
    values = grid.to_numpy(dtype=float)
    drawn = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(
        drawn, cmap=_COLOURS, vmin=ends[0], vmax=ends[1], edgecolors="white", linewidth=0.6
    )
    if max(values.shape) <= _WITH_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            _write(axes, column + 0.5, row + 0.5, value, ends)
    for _, best in panel.points[panel.points["is_best"]].iterrows():
        place = [*grid.columns].index(best[across]), [*grid.index].index(best[up])
        axes.add_patch(Rectangle(place, 1, 1, fill=False, **_FRAME))
    axes.set_xticks(np.arange(len(grid.columns)) + 0.5, [f"{weight:g}" for weight in grid.columns])
    axes.set_yticks(np.arange(len(grid.index)) + 0.5, [f"{weight:g}" for weight in grid.index])
    axes.set_xlabel(f"weight of {across}")
    axes.set_ylabel(f"weight of {up}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return mesh


def _triangle(axes: Axes, panel: Panel, ends: Ends) -> Any:
    """Draw a triangle at whose corners one part alone has all the weight."""
    weights = panel.points[[*panel.axes]].to_numpy(dtype=float)
    total = weights.sum(axis=1).mean()
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    places = weights / total @ corners
    values = _finite(panel.points["accuracy"]).to_numpy()
    axes.plot(*np.vstack([corners, corners[:1]]).T, color="#777777", linewidth=0.8, zorder=1)
    across, up = places[:, 0], places[:, 1]
    mesh = axes.scatter(
        across, up, s=420, c=values, cmap=_COLOURS, vmin=ends[0], vmax=ends[1], zorder=2
    )
    best = panel.points["is_best"].to_numpy()
    axes.scatter(across[best], up[best], s=480, facecolors="none", zorder=3, **_FRAME)
    for x, y, value in zip(across, up, values, strict=True):
        _write(axes, float(x), float(y), float(value), ends)
    for part, corner, below in zip(panel.axes, corners, (-1, -1, 1), strict=True):
        axes.annotate(
            f"{part} {total:g}",
            corner,
            (0, 18 * below),
            textcoords="offset points",
            ha="center",
            va="center",
        )
    axes.set_aspect("equal")
    axes.margins(0.18)
    axes.axis("off")
    return mesh


def _finite(values: "pd.Series[Any]") -> "pd.Series[float]":
    return values.astype(float).replace([math.inf, -math.inf], math.nan)


def _write(axes: Axes, across: float, up: float, value: float, ends: Ends) -> None:
    """Write a number, light on dark and dark on light."""
    if math.isfinite(value):
        dark = value < ends[0] + 0.55 * (ends[1] - ends[0])
        colour = "white" if dark else "black"
        axes.text(*(across, up, f"{value:.3g}"), color=colour, ha="center", va="center", fontsize=7)

"""The map of profiles: how scaling parts of the model changes each category."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorascope.reporting.figures import WIDTH, saved_figure
from lorascope.reporting.panels import Scale, scales_of
from lorascope.reporting.profiles import SIDES
from lorascope.scoring.item_score import Measure
from lorascope.study.order import natural

MOST_DRAWN = 60
"""Profiles in the picture; profiles.csv has all."""
_WITH_NUMBERS = 12  # columns up to which a number fits into a cell
# Violet is better and orange is worse, for every kind of colour vision.
_COLOURS = {True: "PuOr", False: "PuOr_r"}


def profile_map(
    table: pd.DataFrame, measures: Mapping[str, Measure], title: str, svg: Path, png: Path
) -> None:
    """Draw the changes of ``profiles_table`` as maps of profiles and categories.

    On the left from the full adapter, on the right from the model without it, one row of maps for
    each measure, one colour scale for both, 0 in its middle. What is not compared is white. Writes
    SVG and PNG; equal data give equal bytes.
    """
    rows = [*dict.fromkeys(zip(table["line"], table["profile"], strict=True))][:MOST_DRAWN]
    scales = scales_of(sorted(table["category"].unique(), key=natural), measures, False)
    height = 0.9 + 0.24 * len(rows)
    with saved_figure(title, svg, png) as figure:
        figure.set_size_inches(WIDTH, 0.8 + height * len(scales))
        places: Any = figure.subplots(len(scales), len(SIDES), squeeze=False, sharey=True)
        for (left, right), scale in zip(places, scales, strict=True):
            grids = [_grid(table, rows, scale, side) for side in SIDES]
            top = _top(grids)
            _draw(left, grids[0], top, scale)
            mesh = _draw(right, grids[1], top, scale)
            for axes, words in zip((left, right), SIDES.values(), strict=True):
                axes.set_title(f"change from {words}", loc="left")
            figure.colorbar(mesh, ax=right, pad=0.01, fraction=0.05, label=_unit(scale))
            _name(figure, left, rows)


def _grid(
    table: pd.DataFrame, rows: list[tuple[str, str]], scale: Scale, side: str
) -> pd.DataFrame:
    """Return profiles x categories of the changes."""
    own = table.drop_duplicates(["line", "profile", "category"])
    grid = own.set_index(["line", "profile", "category"])[f"{side}_delta"].unstack()
    return grid.reindex(index=pd.MultiIndex.from_tuples(rows), columns=[*scale.categories])


def _top(grids: list[pd.DataFrame]) -> float:
    """Return the largest finite change, 1 where there is none."""
    values = np.abs(np.concatenate([grid.to_numpy(dtype=float).ravel() for grid in grids]))
    return float(max(values[np.isfinite(values)], default=0)) or 1.0


def _unit(scale: Scale) -> str:
    return "percentage points" if scale.measure.scale == "percent" else scale.measure.title


def _draw(axes: Axes, grid: pd.DataFrame, top: float, scale: Scale) -> Any:
    values = grid.to_numpy(dtype=float)
    axes.grid(visible=False)
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap=_COLOURS[scale.measure.higher_is_better],
        vmin=-top,
        vmax=top,
        edgecolors="white",
        linewidth=0.6,
    )
    if len(scale.categories) <= _WITH_NUMBERS:
        _write(axes, values, top)
    axes.set_ylim(len(values), 0)
    wide = max(map(len, scale.categories)) * len(scale.categories) > 60
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if wide else {}
    axes.set_xticks(np.arange(len(scale.categories)) + 0.5, scale.categories, **turned)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return mesh


def _write(axes: Axes, values: np.ndarray, top: float) -> None:
    """Write numbers into cells, light on dark."""
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                *(column + 0.5, row + 0.5, f"{value:+.1f}" if top >= 2 else f"{value:+.2g}"),
                color="white" if abs(value) > 0.7 * top else "black",
                ha="center",
                va="center",
                fontsize=7,
            )


def _name(figure: Figure, axes: Axes, rows: list[tuple[str, str]]) -> None:
    several = len({line for line, _ in rows}) > 1
    names = [f"{profile}, {line}" if several else profile for line, profile in rows]
    axes.set_yticks(np.arange(len(rows)) + 0.5, [_short(name) for name in names])


def _short(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:41]}..."

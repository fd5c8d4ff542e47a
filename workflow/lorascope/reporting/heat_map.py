"""The heat map of adapters: how much each module of each layer is changed, and in what rank."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorascope.reporting.audits import Audited, with_modules
from lorascope.reporting.figures import WIDTH, saved_figure
from lorascope.study.order import natural

MOST_DRAWN = 6
"""Adapters in the picture; audits.csv has all."""
NO_LAYER = "–"
_COLOURS = "cividis"  # for every kind of colour vision
_WITH_NUMBERS = 14  # columns up to which a number fits into a cell
_BROKEN: dict[str, Any] = {"facecolor": "#F2F2F2", "hatch": "////", "edgecolor": "#BBBBBB"}


def heat_map(audits: Sequence[Audited], title: str, svg: Path, png: Path) -> None:
    """Draw, for each adapter, two maps of layers and kinds of modules, colours the same for all.

    On the left the norm of the change in percent of W's, or the norm itself where W is not known of
    every module; on the right the stable rank. A module that is not adapted is white, one that is
    not finite is hatched. Experts and the like within a kind are taken together. Writes SVG and
    PNG; equal data give equal bytes.
    """
    drawn = with_modules(audits)[:MOST_DRAWN]
    if not drawn:
        with saved_figure(title, svg, png) as figure:
            figure.set_size_inches(WIDTH, 1.2)
            figure.text(0.5, 0.3, "no adapter with an s B A to look into", ha="center")
        return
    shares = all(one.modules["share"].notna().sum() == _finite(one) for one in drawn)
    grids = [(_grid(one, shares), _grid(one, None)) for one in drawn]
    scales = [(low, _top(low, (pair[low] for pair in grids))) for low in (0, 1)]
    heights = [0.9 + 0.27 * len(pair[0]) for pair in grids]
    with saved_figure(title, svg, png) as figure:
        figure.set_size_inches(WIDTH, 0.7 + sum(heights))
        places: Any = figure.subplots(len(drawn), 2, squeeze=False, height_ratios=heights)
        names = ("share of the weights' norm, %" if shares else "norm of the change", "stable rank")
        for row, one, pair in zip(places, drawn, grids, strict=True):
            for axes, grid, ends, name in zip(row, pair, scales, names, strict=True):
                _draw(figure, axes, grid, ends, f"{one.name}: {name}")


def _finite(one: Audited) -> int:
    return int(one.modules["norm"].notna().sum())


def _grid(one: Audited, shares: bool | None) -> pd.DataFrame:
    """Return kinds x layers of shares in percent, of norms, or (None) of stable ranks.

    A module that is not there is not in it; one that is not finite, or is zero and so has no stable
    rank, is infinite.
    """
    places = one.modules.assign(
        line=one.lines,
        place=[
            NO_LAYER if math.isnan(n) else str(int(n)) for n in one.modules["layer"].astype(float)
        ],
    )
    groups = places.groupby(["line", "place"])
    if shares is None:
        found = groups["stable_rank"].mean().fillna(math.inf)
    else:
        squares = places.assign(a=places["norm"] ** 2, b=places["weight_norm"] ** 2)
        sums = squares.groupby(["line", "place"])[["a", "b"]].sum(min_count=1)
        norms = np.sqrt(sums["a"])
        found = 100 * norms / np.sqrt(sums["b"]) if shares else norms
        found = found.fillna(math.inf)
    grid = found.unstack()
    numbers = sorted(int(name) for name in {*grid.columns} - {NO_LAYER})
    whole = [str(n) for n in range(numbers[0], numbers[-1] + 1)] if numbers else []
    last = [NO_LAYER] if NO_LAYER in grid else []
    return grid.reindex(index=sorted(grid.index, key=natural), columns=[*whole, *last])


def _top(low: float, grids: Iterable[pd.DataFrame]) -> float:
    """Return the largest finite value of grids, some other number where none is above ``low``."""
    values = np.concatenate([grid.to_numpy(dtype=float).ravel() for grid in grids])
    top = float(max(values[np.isfinite(values)], default=low))
    return top if top > low else low + 1


def _draw(
    figure: Figure, axes: Axes, grid: pd.DataFrame, ends: tuple[float, float], name: str
) -> None:
    values = grid.to_numpy(dtype=float)
    rows, columns = values.shape
    axes.grid(visible=False)
    drawn = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(
        drawn, cmap=_COLOURS, vmin=ends[0], vmax=ends[1], edgecolors="white", linewidth=0.6
    )
    for row, column in zip(*np.nonzero(np.isinf(values)), strict=True):
        axes.fill_between([column, column + 1], row, row + 1, linewidth=0, **_BROKEN)
    if columns <= _WITH_NUMBERS:
        _write(axes, values, *ends)
    axes.set_title(name, loc="left")
    axes.set_ylim(rows, 0)
    axes.set_yticks(np.arange(rows) + 0.5, grid.index)
    step = -(-columns // 16)
    shown = [n for n in range(columns) if n % step == 0 or grid.columns[n] == NO_LAYER]
    axes.set_xticks([n + 0.5 for n in shown], [grid.columns[n] for n in shown])
    axes.set_xlabel("layer")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.05)


def _write(axes: Axes, values: np.ndarray, low: float, top: float) -> None:
    """Write numbers into cells, light on dark and dark on light."""
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            colour = "white" if value < low + 0.55 * (top - low) else "black"
            axes.text(
                *(column + 0.5, row + 0.5, f"{value:.3g}"),
                color=colour,
                ha="center",
                va="center",
                fontsize=7,
            )

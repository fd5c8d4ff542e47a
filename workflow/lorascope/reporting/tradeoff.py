"""The chart of what adapters gain against what they cost: drift, and what is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lorascope.reporting.figures import BASELINE, WIDTH, look_of, saved_figure

MOST_ROWS, MOST_COLUMNS = 6, 4
"""Panels in the picture; tradeoff.csv has all."""
KL = "KL(base || adapted) on {}\nnats per token"
KEPT = "kept of {} (%)"


@dataclass(frozen=True)
class Panel:
    """Points to be drawn: columns line, label, lora_scaling, x and y."""

    points: pd.DataFrame
    x: str
    y: str
    is_drift: bool


def tradeoff_chart(table: pd.DataFrame, title: str, svg: Path, png: Path) -> None:
    """Draw gains, one row a category, against drift and against what is kept of others.

    table: as ``drift.tradeoff_table`` returns it. What is to be kept (its ``kept`` is known) comes
    last, as its part against drift. A point is a scaling, labelled, those of one line connected in
    its order. Writes SVG and PNG; equal data give equal bytes.
    """
    moved = set(table.loc[table["kl"] > 0, "line"])
    table = table[table["line"].isin(moved)] if moved else table  # the base is where both are 0
    lines = list(dict.fromkeys(table["line"]))
    grid = [row[:MOST_COLUMNS] for row in _grid(table)][:MOST_ROWS]
    columns = max(map(len, grid), default=1)
    with saved_figure(title, svg, png) as figure:
        figure.set_size_inches(max(0.55, columns / 3) * WIDTH, 1.0 + 2.6 * max(len(grid), 1))
        if not grid:
            figure.text(0.5, 0.5, "nothing was asked under the same scalings", ha="center")
        places: Any = figure.subplots(max(len(grid), 1), columns, squeeze=False)
        for axes in places.flat:
            axes.set_visible(False)
        for row, panels in zip(places, grid, strict=False):
            for axes, panel in zip(row, panels, strict=False):
                axes.set_visible(True)
                _draw(axes, panel, lines)
        handles = [Line2D([], [], label=name, **look_of(n)) for n, name in enumerate(lines)]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))


def _grid(table: pd.DataFrame) -> list[list[Panel]]:
    """Return rows of panels: gains against drift and what is kept, then that against drift."""
    on, kept = list(dict.fromkeys(table["on"])), _kept(table)
    grid = []
    for category in _gained(table, kept):
        own = table[(table["category"] == category) & table["gain"].notna()]
        row = [*_against_drift(own, on, "gain", f"gain in {category}")]
        row += [_against_kept(own, table, metric, category) for metric in kept]
        grid.append([panel for panel in row if len(panel.points)])
    for metric in kept:
        own = table[(table["category"] == metric) & table["kept"].notna()]
        grid.append([*_against_drift(own, on, "kept", KEPT.format(metric))])
    return [row for row in grid if row]


def _kept(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table.loc[table["kept"].notna(), "category"]))


def _gained(table: pd.DataFrame, kept: Sequence[str]) -> list[str]:
    """Return the categories of new tasks: those of no experiment whose score is to be kept."""
    old = {*table.loc[table["category"].isin(kept), "experiment"]}
    return list(dict.fromkeys(table.loc[~table["experiment"].isin(old), "category"]))


def _against_drift(own: pd.DataFrame, on: Sequence[str], y: str, name: str) -> Iterator[Panel]:
    for text in on:
        points = own[own["on"] == text].rename(columns={"kl": "x", y: "y"}).dropna(subset=["x"])
        if len(points):
            yield Panel(_once(points), KL.format(text), name, True)


def _against_kept(own: pd.DataFrame, table: pd.DataFrame, metric: str, category: str) -> Panel:
    kept = table[table["category"] == metric].drop_duplicates(["line", "label"])
    points = own.merge(kept[["line", "label", "kept"]], on=["line", "label"], suffixes=("_", ""))
    points = points.rename(columns={"kept": "x", "gain": "y"}).dropna(subset=["x"])
    return Panel(_once(points), KEPT.format(metric), f"gain in {category}", False)


def _once(points: pd.DataFrame) -> pd.DataFrame:
    return points.drop_duplicates(["line", "label"])[["line", "label", "lora_scaling", "x", "y"]]


def _draw(axes: Axes, panel: Panel, lines: Sequence[str]) -> None:
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.axhline(100 if panel.y.startswith("kept") else 0, linestyle=":", **BASELINE)
    if panel.is_drift:
        axes.set_xscale("function", functions=(_root, _square))
    else:
        axes.axvline(100, linestyle=":", **BASELINE)
    for number, name in enumerate(lines):
        of_line = panel.points[panel.points["line"] == name]
        order = of_line.sort_values("lora_scaling", kind="stable")
        if order["lora_scaling"].isna().any():
            order = of_line
        axes.plot(order["x"], order["y"], zorder=3, **look_of(number))
        for x, y, label in zip(order["x"], order["y"], order["label"], strict=True):
            axes.annotate(label, (x, y), (3, 4), textcoords="offset points", fontsize=7)
    if panel.is_drift:
        top = float(panel.points["x"].max())
        axes.set_xlim(-0.002 * (top or 1.0), 1.12 * (top or 1.0))
    axes.margins(y=0.14)


def _root(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sign(values) * np.sqrt(np.abs(values))
    return found


def _square(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.sign(values) * np.square(values)
    return found

"""The chart of choices: scores of candidates, what is chosen, how good that is, and how often."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from lorascope.reporting.choices import Chosen, NotChosen
from lorascope.reporting.figures import COLOURS, WIDTH, saved_figure
from lorascope.reporting.measures import BETTER
from lorascope.reporting.panels import scaling_ticks

MOST_DRAWN = 6
"""Choices in the picture; choices.csv has all."""
_COLUMNS = 2
_MOST_NAMED = 20  # candidates whose names fit below an axis
_NAMED = 40  # characters


def choice_chart(made: Sequence[Chosen | NotChosen], title: str, svg: Path, png: Path) -> None:
    """Draw each choice: scores with intervals above, how often each candidate was chosen below.

    The chosen one is a star, the smallest scaling within one standard error a ring; a line with a
    band is the held-out score of the choice, with its interval. Writes SVG and PNG; equal data give
    equal bytes.
    """
    drawn = [one for one in made if isinstance(one, Chosen)][:MOST_DRAWN]
    columns = min(len(drawn), _COLUMNS) or 1
    rows = max(math.ceil(len(drawn) / columns), 1)
    with saved_figure(title, svg, png) as figure:
        figure.set_size_inches(WIDTH * (0.35 + 0.325 * columns), 0.9 + 3.7 * rows)
        if not drawn:
            figure.text(0.5, 0.5, "nothing is chosen", ha="center")
            return
        grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3, 1] * rows)
        for place, one in enumerate(drawn):
            row, column = divmod(place, columns)
            above = figure.add_subplot(grid[2 * row, column])
            _draw(above, figure.add_subplot(grid[2 * row + 1, column], sharex=above), one)
        handles = {label: handle for axes in figure.axes for handle, label in _handles(axes)}
        figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=2)


def _draw(above: Axes, below: Axes, one: Chosen) -> None:
    order = sorted(range(len(one.values)), key=lambda i: one.data.places[i])
    scalings = [one.data.scalings[i] for i in order]
    by_scaling = all(map(math.isfinite, scalings)) and len({*scalings}) == len(scalings)
    at = scalings if by_scaling else [float(i) for i in range(len(order))]
    places = dict(zip(order, at, strict=True))
    values = [one.values[i] for i in order]
    low, high = one.held_out_ends
    above.axhspan(*map(_drawable, (low, high)), color=COLOURS[1], alpha=0.12, linewidth=0)
    above.axhline(one.held_out, color=COLOURS[1], linewidth=1.3, label="held out, 95 % interval")
    ends = [one.intervals[i] for i in order]
    above.vlines(at, *zip(*[map(_drawable, end) for end in ends], strict=True), color=COLOURS[0],
                 alpha=0.6, linewidth=1.3)  # fmt: skip
    above.plot(at, values, "o-" if by_scaling else "o", color=COLOURS[0], markersize=4,
               linewidth=1, label="on all items, 95 % interval")  # fmt: skip
    best = one.found.chosen
    above.plot(places[best], one.values[best], "*", color=COLOURS[1], markersize=13, zorder=5,
               label="chosen")  # fmt: skip
    if one.smallest is not None:
        above.plot(places[one.smallest], one.values[one.smallest], "o", markersize=12,
                   markerfacecolor="none", markeredgecolor=COLOURS[2], markeredgewidth=1.6,
                   zorder=6, label="smallest within one standard error")  # fmt: skip
    measure = one.data.measure
    unit = " (%)" if measure.scale == "percent" else ""
    above.set_ylabel(f"{measure.title}{unit}, {BETTER[measure.higher_is_better]} is better")
    above.set_title(f"by {one.by}")
    above.tick_params(labelbottom=False)
    if by_scaling and len(at) > 1:
        scaling_ticks(below, at)
    shares = [100 * one.found.shares[i] for i in order]
    gap = min((b - a for a, b in pairwise(at)), default=1.0)
    below.bar(at, shares, width=0.6 * gap, color=COLOURS[1])
    below.set(ylim=(0, 105), ylabel="chosen (%)", xlabel="LoRA scaling" if by_scaling else "")
    if not by_scaling:
        step = math.ceil(len(at) / _MOST_NAMED)
        names = [one.data.names[i][:_NAMED] for i in order]
        below.set_xticks(at[::step], names[::step], rotation=30, ha="right")


def _drawable(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _handles(axes: Axes) -> Iterator[tuple[Artist, str]]:
    yield from zip(*axes.get_legend_handles_labels(), strict=True)

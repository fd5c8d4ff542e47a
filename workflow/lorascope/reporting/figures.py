"""How the charts of a report look, and the files that they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from lorascope.storage.records import atomic_path

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
            figure.set_layout_engine("none")  # both files have the places that the first one found


def look_of(number: int) -> dict[str, Any]:
    """Return what tells a series from the others, without colour alone."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[turn % len(LINES)],
        "markersize": 4,
        "linewidth": 1.6,
    }


def baseline_look(number: int) -> dict[str, Any]:
    """Return what tells a baseline from the others."""
    return {**BASELINE, "linestyle": DASHES[number % len(DASHES)]}

"""What a report shows beside its tables, as plain values: other pages of it show the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from lorascope.reporting.amounts import AXES, SCALING
from lorascope.reporting.scored import Scored
from lorascope.scoring.item_score import Measure

Levels = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Drawn:
    """What the charts show: the line of each experiment, points and levels, chance by category.

    ``swept`` says whether they are against the scaling, or what ``axis`` says. ``points`` and
    ``levels`` are those of ``tables.chart_points`` and ``baselines.drawn_levels``.
    """

    lines: Mapping[str, str]
    swept: bool
    points: pd.DataFrame
    levels: Levels
    chance: Mapping[str, float]
    axis: str = AXES[SCALING]


def shown(
    scored: Sequence[Scored],
    drawn: Drawn,
    measures: Mapping[str, Measure],
    title: str,
    notes: Sequence[str],
    remarks: Sequence[str],
    scorers: Mapping[str, str],
) -> dict[str, Any]:
    """Return, in JSON's values, what the report's manifest says of what it shows.

    A number that is none, or infinite, is None.
    """
    columns = [str(name) for name in drawn.points]
    rows = drawn.points.astype(object).to_numpy().tolist()
    return {
        "title": title,
        "notes": list(notes),
        "remarks": list(remarks),
        "scorers": dict(scorers),
        "swept": drawn.swept,
        "lines": dict(drawn.lines),
        "axis": drawn.axis,
        "strengths": {run.experiment: run.strength for run in scored if run.has_strength},
        "scalings": {run.experiment: _plain(run.lora_scaling) for run in scored},
        "measures": {category: asdict(measure) for category, measure in measures.items()},
        "chance": dict(drawn.chance),
        "points": {"columns": columns, "rows": [[_plain(cell) for cell in row] for row in rows]},
        "levels": {name: dict(of) for name, of in drawn.levels.items()},
    }


def _plain(cell: Any) -> Any:
    """Return a cell as JSON has it."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell

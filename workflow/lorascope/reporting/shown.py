"""What a report shows beside its tables, as plain values: other pages of it show the same."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lorascope.reporting.drawn import Drawn
from lorascope.reporting.gathered import Gathered


def shown(found: Gathered, drawn: Drawn, notes: Sequence[str]) -> dict[str, Any]:
    """Return, in JSON's values, what the report's manifest says of what it shows.

    A number that is none, or infinite, is None.
    """
    columns = [str(name) for name in drawn.points]
    rows = drawn.points.astype(object).to_numpy().tolist()
    return {
        "title": found.title,
        "notes": list(notes),
        "remarks": list(found.remarks),
        "scorers": dict(found.scorers),
        "swept": drawn.swept,
        "lines": dict(drawn.lines),
        "axis": drawn.axis,
        "strengths": {run.experiment: run.strength for run in found.every if run.has_strength},
        "scalings": {run.experiment: _plain(run.lora_scaling) for run in found.every},
        "measures": {category: asdict(measure) for category, measure in found.measures.items()},
        "chance": dict(drawn.chance),
        "points": {"columns": columns, "rows": [[_plain(cell) for cell in row] for row in rows]},
        "levels": {name: dict(of) for name, of in drawn.levels.items()},
    }


def _plain(cell: Any) -> Any:
    """Return a cell as JSON has it."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell

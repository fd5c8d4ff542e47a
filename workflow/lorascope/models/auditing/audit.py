"""An adapter looked into as a whole: a row for each module, a summary, and what is odd."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.models.auditing.adapters import Adapter, Part
from lorascope.models.auditing.intruders import cost_of, count_intruders
from lorascope.models.auditing.measures import change_of, norm_of
from lorascope.models.auditing.tensors import Stored
from lorascope.models.auditing.weights import Weights

log = logging.getLogger("lorascope")

Row = dict[str, Any]


@dataclass(frozen=True)
class Intruders:
    """How intruder dimensions are counted, see ``intruders.count_intruders``."""

    top: int
    cosine: float


def audit_rows(
    adapter: Adapter, tensors: Mapping[str, Stored] | None, intruders: Intruders | None = None
) -> list[Row]:
    """Return a row for each module of an adapter, in JSON's values.

    Beside what names the module and the numbers of ``measures.Change``, it has weight_norm and
    share, the norm of W and the norm of the change by it, and intruders; None where W is not known.
    ``tensors`` are the model's, None where it is not looked at.
    """
    weights = Weights(tensors or {})
    rows = [_row(part, weights.of(part)) for part in _ordered(adapter.parts)]
    if intruders:
        found = dict(_counted(adapter.parts, weights, intruders))
        rows = [{**row, "intruders": found.get(row["module"])} for row in rows]
    return rows


def summary_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the rows of an adapter come to as a whole.

    norm and share are those of all changes together, share over the modules whose W is known.
    """
    known = [row for row in rows if row["share"] is not None]
    weights = math.hypot(*(row["weight_norm"] for row in known))
    counted = [row["intruders"] for row in rows if row["intruders"] is not None]
    return {
        "modules": len(rows),
        "kinds": sorted({row["kind"] for row in rows}),
        "layers": len({(row["stack"], row["layer"]) for row in rows if row["layer"] is not None}),
        "parameters": sum(row["parameters"] for row in rows),
        "ranks": sorted({row["rank"] for row in rows}),
        "scalings": sorted({row["scaling"] for row in rows}),
        "norm": math.hypot(*(row["norm"] for row in rows if row["norm"] is not None)),
        "share": math.hypot(*(row["norm"] for row in known)) / weights if weights else None,
        "of_known_weight": len(known),
        "intruders": sum(counted) if counted else None,
    }


def _ordered(parts: Sequence[Part]) -> list[Part]:
    def place(part: Part) -> tuple[Any, ...]:
        stack, layer, kind = part.place
        return (layer is None, stack, layer or 0, kind)

    return sorted(parts, key=place)


def _row(part: Part, weight: Stored | None) -> Row:
    stack, layer, kind = part.place
    change = change_of(part)
    weight_norm = _finite(norm_of(weight)) if weight else None
    share = change.norm / weight_norm if weight_norm and change.norm is not None else None
    return {
        "module": part.module,
        "stack": stack,
        "layer": layer,
        "kind": kind,
        "rank": part.rank,
        "alpha": float(part.alpha),
        "scaling": float(part.scaling),
        "inputs": part.inputs,
        "outputs": part.outputs,
        "experts": part.experts,
        "parameters": part.down.size + part.up.size,
        **vars(change),
        "weight_norm": weight_norm,
        "share": share,
        "intruders": None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _counted(
    parts: Sequence[Part], weights: Weights, intruders: Intruders
) -> Iterator[tuple[str, int | None]]:
    """Yield modules of known W with their intruders; log how long the rest will take."""
    known = [(part, weight) for part in parts if (weight := weights.of(part))]
    total, done, began = cost_of(part for part, _ in known), 0.0, time.monotonic()
    said = began
    for number, (part, weight) in enumerate(known, 1):
        found = count_intruders(part, weight, intruders.top, intruders.cosine)
        done, now = done + cost_of([part]), time.monotonic()
        if number == 1 or now - said > 60:  # seconds between two lines
            said, left = now, (now - began) * (total / done - 1)
            log.info("intruders: %d of %d modules, %s left", number, len(known), _words(left))
        yield part.module, found


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"

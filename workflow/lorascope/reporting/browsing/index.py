"""The index of a dataset: of each item what is filtered by, and its scores in every experiment."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorascope.benchmarks.items import Item
from lorascope.reporting.browsing.scripts import column, column_if_any, or_none
from lorascope.scoring.item_score import ACCURACY, Measure
from lorascope.storage.records import table_note
from lorascope.study.categories import scored_category

if TYPE_CHECKING:
    import pyarrow as pa

LABEL = 80
"""Characters of the question that tell an item from others in a list."""
_LOOKED_AT = 10 * LABEL
_DECIMALS = 4  # of margins, in nats
UNJUDGED = "unjudged"


def items_part(items: Sequence[Item], clips: Mapping[str, str] | None) -> dict[str, Any]:
    """Return what the index says of the items; ``clips`` is clip -> file, None without clips."""
    files = None if clips is None else column([clips.get(item.clip) for item in items])
    return {
        "id": [item.item_id for item in items],
        "category": column(item.category for item in items),
        "clip": files,
        "label": [label(item) for item in items],
    }


def label(item: Item) -> str:
    """Return the beginning of what an item asks, or of what it has besides."""
    texts = (item.question, *item.contexts, *item.continuations, item.answer, item.item_id)
    text = next(" ".join(text.lstrip()[:_LOOKED_AT].split()) for text in texts if text.strip())
    return text if len(text) <= LABEL else f"{text[: LABEL - 1].rstrip()}…"


def scores_part(table: "pa.Table", items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """Return metric -> its scores of the items, from an experiment's table of scores."""
    columns = table.to_pydict()
    named = table_note(table).get("measures", {})
    measures = {category: Measure(**found) for category, found in named.items()}
    return {
        metric: _metric(columns, rows, items, metric, measures)
        for metric, rows in _rows(columns, items).items()
    }


def _rows(columns: Mapping[str, Sequence[Any]], items: Sequence[Item]) -> dict[str, list[Any]]:
    """Return metric -> the row of each item, None where it has none."""
    places = {item.item_id: place for place, item in enumerate(items)}
    found: dict[str, list[Any]] = {}
    for row, (item_id, scored) in enumerate(
        zip(columns["item_id"], columns["category"], strict=True)
    ):
        place = places[item_id]
        metric = scored.removeprefix(items[place].category).removeprefix("-")
        found.setdefault(metric, [None] * len(items))[place] = row
    return found


def _metric(
    columns: Mapping[str, Sequence[Any]],
    rows: Sequence[int | None],
    items: Sequence[Item],
    metric: str,
    measures: Mapping[str, Measure],
) -> dict[str, Any]:
    def values(name: str) -> list[Any]:
        if name not in columns:
            return [None] * len(rows)
        return [None if row is None else columns[name][row] for row in rows]

    judged = [s != UNJUDGED for s in values("status")]
    credit = [number(c) if j else None for c, j in zip(values("credit"), judged, strict=True)]
    has = {item.category for item, row in zip(items, rows, strict=True) if row is not None}
    names = dict.fromkeys(item.category for item in items)
    own = {c: scored_category(c, metric) for c in names if c in has}
    best = {c: measures.get(scored, ACCURACY).has_best for c, scored in own.items()}
    right = zip(items, values("correct"), credit, strict=True)
    return {
        "categories": [own.get(category) for category in names],
        "credit": credit,
        "weight": or_none([number(w) for w in values("weight")], lambda w: w in (1, None)),
        "correct": "".join(_mark(best.get(i.category, False), c, value) for i, c, value in right),
        "status": column(values("status")),
        "reason": column(values("reason")),
        "choice": column_if_any(values("choice")),
        "margin": or_none([number(m, _DECIMALS) for m in values("margin")], lambda m: m is None),
        "judge": column_if_any(values("judge")),
    }


def _mark(has_best: bool, correct: bool | None, credit: float | None) -> str:
    if correct is None or credit is None or not has_best:
        return "-"
    return "1" if correct else "0"


def number(value: float | None, decimals: int | None = None) -> float | int | None:
    """Return a number as JSON has it, whole ones without a point; None for one that is none."""
    if value is None or not math.isfinite(value):
        return None
    if decimals is not None:
        value = round(value, decimals)
    return int(value) if value == int(value) else value

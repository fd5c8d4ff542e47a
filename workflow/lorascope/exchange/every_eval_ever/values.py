"""What both files of Every Eval Ever say alike: a model's name, values, and details as texts."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.exchange.answers import Answered, Score, plain
from lorascope.scoring.item_score import Measure

HARMLESS = "writes what was decided elsewhere"

SCHEMA = "0.3.0"
LOCAL = "local"
"""Developer of a model that has no one name on the hub."""
_LARGEST = 709.0  # exp of more is beyond double precision


def model_id(answered: Answered) -> str:
    """Return `<developer>/<model>`: the hub's name where the model is one repository's work.

    An adapter from the hub is its own; a model of several parts, from a folder or with an adapter
    from elsewhere has the names that the study gave.
    """
    sources = [answered.model.get(key) for key in answered.sources]
    if answered.adapter:
        sources = [answered.adapter.get("source")]
    if len(sources) == 1 and "/" in (hub := hub_of(sources[0])):
        return hub
    names = [answered.settings.get("model"), answered.settings.get("adapter")]
    return f"{LOCAL}/{'-'.join(filter(None, names)) or answered.id}"


def hub_of(source: Any) -> str:
    """Return the hub's name of a source, "" for a path."""
    return str(source["hub"]) if isinstance(source, Mapping) and source.get("hub") else ""


def value_of(measure: Measure, scores: Sequence[Score]) -> float | None:
    """Return the value of scores, None where it is no finite number.

    It is that of the table, a part of 1 instead of percent: of the judged ones.
    """
    judged = [s for s in scores if s.credit is not None or not (measure.is_share or s.is_unjudged)]
    credits = [math.nan if score.credit is None else score.credit for score in judged]
    weight = math.fsum(score.weight for score in judged)
    mean = math.fsum(credits) / weight if weight else math.nan
    if measure.scale == "exponential":
        mean = math.exp(mean) if mean < _LARGEST else math.inf
    return mean if math.isfinite(mean) else None


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as the texts that the schema asks for; other than texts as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
        for key, value in values.items()
        if value is not None
    }

"""Which metrics of a task are means over its items, and so can be compared item by item."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lm_eval.api import metrics
from lm_eval.api.registry import (
    AGGREGATION_REGISTRY,
    DEFAULT_METRIC_REGISTRY,
    METRIC_REGISTRY,
    get_metric_aggregation,
)

from lorascope.errors import UserError

Counted = tuple[float, float]
"""What an item adds to its category: credit and weight."""


@dataclass(frozen=True)
class Mean:
    """An aggregation that is a mean of the items', perhaps transformed.

    ``count`` turns a metric's value for one item into credit and weight; ``scale`` is that of
    ``lorascope.scoring.item_score.Measure``.
    """

    count: Callable[[Any], Counted]
    scale: Literal["plain", "exponential"] = "plain"


def _of_pair(value: Any) -> Counted:
    loglikelihood, weight = value
    return -float(loglikelihood), float(weight)


def _in_bits(value: Any) -> Counted:
    nats, weight = _of_pair(value)
    return nats / math.log(2), weight


def _but_nan(value: Any) -> Counted:
    return (0.0, 0.0) if math.isnan(value) else (float(value), 1.0)


MEANS: Mapping[Callable[..., Any], Mean] = {
    metrics.mean: Mean(lambda value: (float(value), 1.0)),
    metrics.nanmean: Mean(_but_nan),
    metrics.perplexity: Mean(lambda value: (-float(value), 1.0), "exponential"),
    metrics.weighted_perplexity: Mean(_of_pair, "exponential"),
    metrics.bits_per_byte: Mean(_in_bits),
    # The mean over items of what it gives for one.
    metrics.brier_score: Mean(lambda value: (float(metrics.brier_score([value])), 1.0)),
}
"""The harness's function -> what it is of the items. Other functions look at all items at once."""

SHARES = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em", "accuracy"}
"""Metrics, by name, whose values lie between 0 and 1; the range of others is not known."""


def kept_metrics(config: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the entries of a task's metric list that are means of items, and name -> why not.

    UserError for an entry that is none.
    """
    kept, left_out = [], {}
    for entry in _entries(config):
        name = metric_name(entry)
        if reason := _refusal(entry, name, callable(config.get("process_results"))):
            left_out[name] = reason
        else:
            kept.append(entry)
    return kept, left_out


def _entries(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    given = config.get("metric_list")
    if given is None:
        output_type = config.get("output_type") or "generate_until"
        yield from ({"metric": name} for name in DEFAULT_METRIC_REGISTRY[output_type])
        return
    for entry in given:
        if not isinstance(entry, dict) or "metric" not in entry:
            raise UserError(f"metric_list: {entry!r} names no metric; correct the task's file")
        yield dict(entry)


def metric_name(entry: Mapping[str, Any]) -> str:
    """Return the name by which an entry's metric is reported."""
    metric = entry["metric"]
    return metric.__name__ if callable(metric) else str(metric)


def _refusal(entry: Mapping[str, Any], name: str, own_results: bool) -> str:
    """Return why a metric is left out, "" for none."""
    computed = not own_results and not callable(entry["metric"])
    if computed and (entry.get("hf_evaluate") is True or name not in METRIC_REGISTRY):
        return "it is code that is fetched from the hub"
    if name == "likelihood":
        return "it is no number"
    aggregation = _aggregation(entry, name)
    if aggregation not in MEANS:
        called = getattr(aggregation, "__name__", entry.get("aggregation"))
        return f"its aggregation {called} is no mean of items"
    return ""


def _aggregation(entry: Mapping[str, Any], name: str) -> Any:
    given = entry.get("aggregation")
    if callable(given):
        return given
    return AGGREGATION_REGISTRY.get(given) if given else get_metric_aggregation(name)

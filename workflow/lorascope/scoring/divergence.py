"""How far an adapter moves a model on given texts, of the mode drift, by token.

The value of a category is the sum over its tokens divided by their number: no mean of items' means.
KL(base || adapted) is what the base's distribution loses where the adapted one takes its place, and
on new data goes with what is forgotten (Shenfeld et al. 2025, arXiv:2509.04259); KL(adapted ||
base) is the one that reinforcement learning penalises. Both, and both losses, are in nats.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Drift, Likelihoods
from lorascope.errors import UserError
from lorascope.scoring.item_score import DRIFT, ItemScore
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings, unique

Metric: TypeAlias = Literal["kl", "reverse_kl", "loss", "base_loss", "changed"]
_SUMS: Mapping[Metric, Callable[[Drift], float]] = {
    "kl": lambda drift: sum(drift.kl),
    "reverse_kl": lambda drift: sum(drift.reverse_kl),
    "loss": lambda drift: -sum(drift.adapted),
    "base_loss": lambda drift: -sum(drift.base),
    "changed": lambda drift: float(sum(drift.changed)),
}


class DivergenceSettings(ScorerSettings):
    """How far the adapter moves the model's distributions, lower being better."""

    by: Annotated[list[Metric], AfterValidator(unique)] = Field(
        [*get_args(Metric)],
        min_length=1,
        description="A metric each, by token: kl, KL(base || adapted); reverse_kl, KL(adapted || "
        "base); loss and base_loss, the negative log-likelihood with and without the adapter, all "
        "in nats; changed, the share whose likeliest token is another one.",
    )


def score_item(reply: Likelihoods, item: Item, by: list[Metric]) -> list[ItemScore]:
    """Return for each metric its sum over the item's tokens, with their number as weight.

    An item without tokens to look at does not count. UserError for a reply of another mode.
    """
    if reply.drift is None:
        raise UserError("it was answered in another mode; set mode: drift of the experiment")
    return [_score(metric, reply.drift) for metric in by]


def _score(metric: Metric, drift: Drift) -> ItemScore:
    total, tokens = _SUMS[metric](drift), len(drift.ids)
    unit = "likeliest tokens changed" if metric == "changed" else "nats"
    return ItemScore(
        metric,
        total + 0.0,
        "scored",
        None,
        f"{total:.6g} {unit} over {tokens} tokens{_farthest(metric, drift)}",
        weight=float(tokens),
        measure=DRIFT[metric],
    )


def _farthest(metric: Metric, drift: Drift) -> str:
    """Return the token at which a divergence is largest, in words."""
    values = {"kl": drift.kl, "reverse_kl": drift.reverse_kl}.get(metric, ())
    most = max(values, default=0.0)
    return f", at most {most:.3g} at {drift.words[values.index(most)]!r}" if most > 0 else ""


def _metrics(own: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(own["by"])


SCORER = Scorer(
    judges=("options", "texts", "nothing"),
    modes=("drift",),
    metrics=_metrics,
    score_item="lorascope.scoring.divergence:score_item",
    settings=DivergenceSettings,
    shares=False,
)

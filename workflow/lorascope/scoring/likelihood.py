"""Which option a model finds likeliest: the choice by log-likelihoods, of the mode choose.

``acc``, ``acc_norm`` and ``acc_bytes`` are those of lm-evaluation-harness 0.4.13 (its
``ConfigurableTask.process_results``): the greatest sum over an option's tokens, as it is or divided
by the option's length in characters or in bytes of UTF-8, without the blank before it.
``acc_tokens`` divides by the number of its tokens. The first of equal maxima is the choice.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.scoring.item_score import ItemScore
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings, unique

Unit: TypeAlias = Literal["sum", "character", "byte", "token"]
METRICS: Mapping[Unit, str] = {
    "sum": "acc",
    "character": "acc_norm",
    "byte": "acc_bytes",
    "token": "acc_tokens",
}
_LENGTHS: Mapping[Unit, Callable[[str, int], int]] = {
    "sum": lambda text, tokens: 1,
    "character": lambda text, tokens: len(text),
    "byte": lambda text, tokens: len(text.encode()),
    "token": lambda text, tokens: tokens,
}


class LikelihoodSettings(ScorerSettings):
    """Whether the right option is the one that the model finds likeliest."""

    by: Annotated[list[Unit], AfterValidator(unique)] = Field(
        ["sum", "character"],
        min_length=1,
        description="A metric each: sum (acc, the log-likelihood of the whole option), character "
        "(acc_norm, divided by its characters), byte (acc_bytes) and token (acc_tokens).",
    )


def score_item(reply: Likelihoods, item: Item, by: list[Unit]) -> list[ItemScore]:
    """Return for each metric whether the likeliest option is the right one.

    UserError for an option without a character.
    """
    return [_score(unit, reply, item) for unit in by]


def _score(unit: Unit, reply: Likelihoods, item: Item) -> ItemScore:
    values = _values(unit, reply, item)
    letters = [letter for letter, _ in item.options]
    gold, chosen = letters.index(item.gold), values.index(max(values))
    others = [value for place, value in enumerate(values) if place != gold]
    told = ", ".join(f"{letter} {value:.4g}" for letter, value in zip(letters, values, strict=True))
    return ItemScore(
        METRICS[unit],
        float(chosen == gold),
        "single",
        letters[chosen],
        f"log-likelihoods{'' if unit == 'sum' else f' per {unit}'}: {told}",
        margin=values[gold] - max(others) if others else None,
    )


def _values(unit: Unit, reply: Likelihoods, item: Item) -> list[float]:
    """Return each option's log-likelihood as the metric counts it; no number is the least.

    UserError for an option without a character, and where nobody counted tokens.
    """
    pairs = zip(item.continuations, item.options, strict=True)
    texts = [_without_blank(continuation, text) for continuation, (_, text) in pairs]
    lengths = [_LENGTHS[unit](*pair) for pair in zip(texts, reply.tokens, strict=True)]
    if not any(reply.tokens) and unit == "token":
        raise UserError(
            "of how many tokens an option is, is not known, so there is no acc_tokens; leave token "
            "out of the scorer's key by"
        )
    if not all(lengths):
        raise UserError("an option has no character; correct the data set, or leave out its row")
    return [
        -math.inf if math.isnan(one) else one / length
        for one, length in zip(reply.sums, lengths, strict=True)
    ]


def _without_blank(continuation: str, option: str) -> str:
    """Return what follows the question (an option's text or letter) without the blank between."""
    bare = continuation.lstrip()
    return option if bare == option.lstrip() else bare


def _metrics(own: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(METRICS[unit] for unit in own["by"])


SCORER = Scorer(
    judges=("options",),
    modes=("choose",),
    metrics=_metrics,
    score_item="lorascope.scoring.likelihood:score_item",
    settings=LikelihoodSettings,
)

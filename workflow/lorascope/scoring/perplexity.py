r"""How unlikely a model finds given texts: perplexities and bits per byte, of the mode loss.

The value of a category is exp(sum of -log-likelihoods / sum of lengths) over its texts: sums first,
no mean of perplexities. Words are counted as lm-evaluation-harness 0.4.13 does,
len(re.split(r"\s+", text)), so that white space at an end of the text counts one more; bytes are
those of UTF-8.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings, unique

Unit: TypeAlias = Literal["token", "word", "byte", "bits_per_byte"]
METRICS: Mapping[Unit, str] = {
    "token": "token_perplexity",
    "word": "word_perplexity",
    "byte": "byte_perplexity",
    "bits_per_byte": "bits_per_byte",
}
MEASURES: Mapping[Unit, Measure] = {
    "token": Measure("perplexity per token", "exponential", False, False),
    "word": Measure("perplexity per word", "exponential", False, False),
    "byte": Measure("perplexity per byte", "exponential", False, False),
    "bits_per_byte": Measure("bits per byte", "plain", False, False),
}


class PerplexitySettings(ScorerSettings):
    """How unlikely the model finds the text, lower being better."""

    by: Annotated[list[Unit], AfterValidator(unique)] = Field(
        ["token", "word", "byte", "bits_per_byte"],
        min_length=1,
        description="A metric each: token (token_perplexity, not comparable between tokenizers), "
        "word (word_perplexity), byte (byte_perplexity) and bits_per_byte.",
    )


def score_item(reply: Likelihoods, item: Item, by: list[Unit]) -> list[ItemScore]:
    """Return for each metric the text's negative log-likelihood, with its length as weight.

    Credits are nats; bits for bits_per_byte. UserError for an empty text, and for tokens that
    nobody counted.
    """
    (total,), (tokens,) = reply.sums, reply.tokens
    text = next(filter(None, item.answers), "") or item.continuations[0]
    if not text.strip():
        raise UserError("the text is empty; correct the data set, or leave out its row")
    if not tokens and "token" in by:
        raise UserError(
            "of how many tokens the text is, is not known, so there is no token_perplexity; name "
            "the other metrics in the scorer's key by"
        )
    size = len(text.encode())
    lengths: dict[Unit, int] = {"token": tokens, "word": len(re.split(r"\s+", text))}
    return [_score(unit, -total, lengths.get(unit, size)) for unit in by]


def _score(unit: Unit, nats: float, length: int) -> ItemScore:
    is_bits = unit == "bits_per_byte"
    return ItemScore(
        METRICS[unit],
        nats / math.log(2) if is_bits else nats,
        "scored",
        None,
        f"{nats:.6g} nats over {length} {'byte' if is_bits else unit}s",
        weight=float(length),
        measure=MEASURES[unit],
    )


def _metrics(own: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(METRICS[unit] for unit in own["by"])


SCORER = Scorer(
    judges=("texts", "nothing"),
    modes=("loss",),
    metrics=_metrics,
    score_item="lorascope.scoring.perplexity:score_item",
    settings=PerplexitySettings,
    shares=False,
)

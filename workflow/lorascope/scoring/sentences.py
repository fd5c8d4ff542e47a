"""BLEU and chrF of each response by sacrebleu: the mean over items, not the value of a corpus.

Both are defined for a corpus, whose value comes from counts of all its items together: no mean of
items is equal to it, so it is not among the values here, and these are not to be compared with
published ones of a corpus.
"""

# Planning reads the declarations below, and scores nothing.
# ruff: noqa: PLC0415

from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.study.declarations import Scorer
from lorascope.study.settings import READ, ScorerSettings

Tokenizer: TypeAlias = Literal["13a", "intl", "char", "zh", "none"]
BLEU_MEASURE = Measure("mean BLEU of sentences")
CHRF_MEASURE = Measure("mean chrF of sentences")


class BleuSettings(ScorerSettings):
    """BLEU of each response (of the n-grams that it can have), averaged: not BLEU of the corpus."""

    tokenize: Tokenizer = Field(
        "13a", description="sacrebleu's tokenizer: 13a is the usual one, zh is for Chinese."
    )
    lowercase: bool = Field(False, description="Compare in lower case.")


class ChrfSettings(ScorerSettings):
    """chrF of each response, averaged: not chrF of the corpus."""

    word_order: Annotated[int, Field(ge=0, le=2), READ] = Field(
        0, description="Longest n-grams of words that count, too; 2 is chrF++."
    )
    lowercase: bool = Field(False, description="Compare in lower case.")


def score_bleu(response: str, item: Item, tokenize: Tokenizer, lowercase: bool) -> list[ItemScore]:
    """Return the sentence BLEU (0 to 1) of a response, by all answers as its references."""
    found = _bleu(tokenize, lowercase).sentence_score(response, list(item.answers))
    return [_score("bleu", found, BLEU_MEASURE)]


def score_chrf(response: str, item: Item, word_order: int, lowercase: bool) -> list[ItemScore]:
    """Return the sentence chrF (0 to 1) of a response, best of all answers of the item."""
    found = _chrf(word_order, lowercase).sentence_score(response, list(item.answers))
    return [_score("chrf", found, CHRF_MEASURE)]


def _score(metric: str, found: Any, measure: Measure) -> ItemScore:
    # The score of an exact match is 100 but for rounding.
    credit = min(round(found.score / 100, 12), 1.0)
    return ItemScore(metric, credit, "scored", None, str(found), measure=measure)


@cache
def _bleu(tokenize: Tokenizer, lowercase: bool) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)


@cache
def _chrf(word_order: int, lowercase: bool) -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=word_order, lowercase=lowercase)


BLEU = Scorer(
    judges=("texts",),
    metrics=("bleu",),
    score_item="lorascope.scoring.sentences:score_bleu",
    settings=BleuSettings,
)
CHRF = Scorer(
    judges=("texts",),
    metrics=("chrf",),
    score_item="lorascope.scoring.sentences:score_chrf",
    settings=ChrfSettings,
)

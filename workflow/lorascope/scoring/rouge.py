"""ROUGE by the rouge-score package: the F-measure of each kind, best of all answers of the item."""

# Planning reads the declaration below, and scores nothing.
# ruff: noqa: PLC0415

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, listing, shown
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings, unique

Kind: TypeAlias = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]


class RougeSettings(ScorerSettings):
    """Overlap with the answers, by words, pairs of words, or the longest common subsequence."""

    kinds: Annotated[list[Kind], AfterValidator(unique)] = Field(
        ["rouge1", "rouge2", "rougeL"],
        min_length=1,
        description="A metric each: rouge1 (words), rouge2 (pairs of words), rougeL (the longest "
        "common subsequence), rougeLsum (that of each line).",
    )
    stemmer: bool = Field(False, description="Compare English words by their stems (Porter's).")


def score_item(response: str, item: Item, kinds: list[Kind], stemmer: bool) -> list[ItemScore]:
    """Return the F-measure of each kind.

    UserError for answers without a Latin letter or a figure, of which rouge-score reads nothing.
    """
    scorer = _scorer(tuple(kinds), stemmer)
    from rouge_score.tokenize import tokenize

    if not any(tokenize(answer, None) for answer in item.answers):
        raise UserError(
            f"the answer {listing(map(shown, item.answers))} has no Latin letter or figure, and "
            "rouge-score reads these alone; use a scorer of characters"
        )
    found = scorer.score_multi(item.answers, response)
    return [_score(kind, found[kind]) for kind in kinds]


def _score(kind: Kind, found: Any) -> ItemScore:
    reason = f"precision {found.precision:.3f}, recall {found.recall:.3f}"
    title = f"ROUGE-{kind.removeprefix('rouge')}"
    return ItemScore(kind, float(found.fmeasure), "scored", None, reason, measure=Measure(title))


@cache
def _scorer(kinds: tuple[Kind, ...], stemmer: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(kinds, use_stemmer=stemmer)


def _metrics(own: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(own["kinds"])


SCORER = Scorer(
    judges=("texts",),
    metrics=_metrics,
    score_item="lorascope.scoring.rouge:score_item",
    settings=RougeSettings,
    suits=("long texts", "words and their order, in common with the answer"),
)

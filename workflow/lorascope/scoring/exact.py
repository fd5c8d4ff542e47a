"""Exact match of the whole response with any of the answers, after named normalisations."""

from pydantic import Field

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.normalising import (
    MEANINGS,
    Name,
    Normalise,
    equal_after,
    right_texts,
)
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings


class ExactSettings(ScorerSettings):
    """Whether the whole response equals one of the answers, or names the right option."""

    normalise: Normalise = Field(
        ["unicode", "lower", "punctuation", "whitespace"],
        description=f"Normalisations of responses and answers: {MEANINGS}",
    )


def score_item(response: str, item: Item, normalise: list[Name]) -> list[ItemScore]:
    """Return whether a response equals an answer, or the right option's letter or text."""
    equal = equal_after(normalise)
    match = next((text for text in right_texts(item) if equal(response, text)), None)
    reason = "equals no answer" if match is None else f"equals {match!r}"
    return [ItemScore("", float(match is not None), "scored", None, reason)]


SCORER = Scorer(
    judges=("options", "texts"),
    score_item="lorascope.scoring.exact:score_item",
    settings=ExactSettings,
    undecided=("scored",),
)

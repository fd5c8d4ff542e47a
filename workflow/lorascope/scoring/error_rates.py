"""Word and character error rate: errors of a transcript by what was said, computed by jiwer.

Errors are substitutions, deletions and insertions of the cheapest alignment. A category's rate is
the sum of its errors by the sum of what its references hold, as for a corpus: not the mean of the
items' rates. It may be above 100 %.
"""

# Planning reads the declarations below, and scores nothing.
# ruff: noqa: PLC0415

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, shown
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.scoring.normalising import Name, Normalise, normalised
from lorascope.study.declarations import Scorer
from lorascope.study.settings import ScorerSettings, unique

Unit: TypeAlias = Literal["word", "character"]
METRICS: Mapping[Unit, str] = {"word": "wer", "character": "cer"}
MEASURES: Mapping[Unit, Measure] = {
    unit: Measure(f"{unit} error rate", "percent", higher_is_better=False, bounded=False)
    for unit in METRICS
}


class CharacterErrorSettings(ScorerSettings):
    """Errors in the characters of a transcript, by the characters of what was said."""

    normalise: Normalise = Field(
        ["lower", "punctuation", "whitespace"],
        description="Normalisations of transcripts and references, by the names of the scorer "
        "exact; numbers lets a 10 stand for ten.",
    )


class WordErrorSettings(CharacterErrorSettings):
    """Errors in the words of a transcript, by the words of what was said."""

    by: Annotated[list[Unit], AfterValidator(unique)] = Field(
        ["word"],
        min_length=1,
        description="What is counted: word (metric wer), character (metric cer), or both.",
    )


def score_words(
    response: str, item: Item, normalise: list[Name], by: list[Unit]
) -> list[ItemScore]:
    """Return a transcript's errors by the units, with those of the reference as weight.

    Of several references, the one with the lowest rate counts. UserError where one is empty.
    """
    said = normalised(response, normalise)
    references = [normalised(answer, normalise) for answer in item.answers]
    for reference, answer in zip(references, item.answers, strict=True):
        if not reference.strip():
            raise UserError(
                f"the reference {shown(answer)} has no word after the normalisations "
                f"{', '.join(normalise)}; correct the data set, or leave out its row"
            )
    return [_best(unit, references, said) for unit in by]


def score_characters(response: str, item: Item, normalise: list[Name]) -> list[ItemScore]:
    """Return what `score_words` does, of characters."""
    return score_words(response, item, normalise, ["character"])


def _best(unit: Unit, references: list[str], said: str) -> ItemScore:
    return min(
        (_errors(unit, reference, said) for reference in references),
        key=lambda score: score.credit / score.weight,
    )


def _errors(unit: Unit, reference: str, said: str) -> ItemScore:
    import jiwer

    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    found = process(reference, said)
    kinds = (found.substitutions, found.deletions, found.insertions)
    length = found.hits + found.substitutions + found.deletions
    reason = "{} substitutions, {} deletions, {} insertions".format(*kinds)
    return ItemScore(
        METRICS[unit],
        float(sum(kinds)),
        "scored",
        None,
        f"{reason} in {length} {unit}s",
        weight=float(length),
        measure=MEASURES[unit],
    )


def _metrics(own: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(METRICS[unit] for unit in own["by"])


WER = Scorer(
    judges=("texts",),
    metrics=_metrics,
    score_item="lorascope.scoring.error_rates:score_words",
    settings=WordErrorSettings,
    suits=("transcripts", "word error rate: lower is better"),
    shares=False,
)
CER = Scorer(
    judges=("texts",),
    metrics=("cer",),
    score_item="lorascope.scoring.error_rates:score_characters",
    settings=CharacterErrorSettings,
    shares=False,
)

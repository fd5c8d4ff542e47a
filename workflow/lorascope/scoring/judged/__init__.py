"""Scorers whose verdicts come from a judge of the study: alone, after rules, or by preference."""

from typing import Any

from pydantic import Field

from lorascope.study.declarations import Scorer
from lorascope.study.settings import Natural, ScorerSettings

HARMLESS = "declares; what decides a result lies in the functions that are named"

_SECOND = (
    "Name of a second judge that is asked the same, whose verdicts count nothing: how far the two "
    "agree is reported."
)


class JudgeScorer(ScorerSettings):
    """What a judge of the study says: right or wrong, or unjudged, which is neither."""

    judge: str = Field(description="Name of a judge of this study.")
    second: str | None = Field(None, description=_SECOND)


class RulesThenJudge(ScorerSettings):
    """What rules say where they decide, and what a judge says where they do not."""

    judge: str = Field(description="Name of a judge of this study.")
    rules: str | dict[str, Any] | None = Field(
        None,
        description="Scorer that is asked first, a name or a mapping with its own keys, with one "
        "metric of right and wrong: docs/judges.md lists them, and what each cannot decide. Null "
        "is the first that goes with the answers.",
    )
    agreement: Natural = Field(
        0,
        description="So many of the items that the rules decide are judged besides, spread over "
        "them: how far rules and judge agree is reported. Their scores are the rules'.",
    )
    second: str | None = Field(None, description=_SECOND)


class Preference(ScorerSettings):
    """Which of two responses a judge prefers, asked in both orders: win 1, tie 0.5, loss 0.

    A preference that changes with the order is a tie.
    """

    judge: str = Field(description="Name of a judge of this study.")
    against: str | None = Field(
        None,
        description="ID of the experiment, on the same dataset, whose responses are compared "
        "with; null is the study's baseline on that dataset.",
    )
    second: str | None = Field(None, description=_SECOND)


JUDGE = Scorer(
    judges=("options", "texts"),
    score_item="lorascope.scoring.judged.scorer:score_item",
    settings=JudgeScorer,
    asks="verdict",
)
RULES_THEN_JUDGE = Scorer(
    judges=("options", "texts"),
    score_item="lorascope.scoring.judged.scorer:score_item",
    settings=RulesThenJudge,
    asks="verdict",
)
PREFERENCE = Scorer(
    judges=("options", "texts"),
    metrics=("win",),
    score_item="lorascope.scoring.judged.scorer:score_preference",
    settings=Preference,
    asks="preference",
)

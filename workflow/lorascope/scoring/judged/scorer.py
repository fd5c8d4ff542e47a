"""Scores of what a judge said: its verdict, or none, which is neither right nor wrong."""

import math

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ACCURACY, UNJUDGED, ItemScore, Measure, Verdict

WINS = Measure("win rate")
CREDITS = {"correct": 1.0, "incorrect": 0.0, "better": 1.0, "tie": 0.5, "worse": 0.0}


def score_item(response: str, item: Item, verdict: Verdict | None) -> list[ItemScore]:
    """Return whether a judge finds a response correct; None is a response without a word."""
    return [_score("", ACCURACY, verdict)]


def score_preference(response: str, item: Item, verdict: Verdict | None) -> list[ItemScore]:
    """Return whether a judge finds a response better than the other one: win 1, tie 0.5, loss 0."""
    return [_score("win", WINS, verdict)]


def _score(metric: str, measure: Measure, verdict: Verdict | None) -> ItemScore:
    if verdict is None:
        return ItemScore(metric, 0.0, "none", None, "no word to judge", measure=measure)
    if verdict.verdict is None:
        return ItemScore(metric, math.nan, UNJUDGED, None, verdict.reason, measure=measure)
    credit = CREDITS[verdict.verdict]
    return ItemScore(metric, credit, "judged", None, verdict.reason, measure=measure)

"""F1 of the bag of words, as the official evaluation of SQuAD computes it; best of all answers."""

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.scoring.spans import f1_and_exact
from lorascope.study.declarations import Scorer

MEASURE = Measure("F1 of words")


def score_item(response: str, item: Item) -> list[ItemScore]:
    """Return the F1 (0 to 1) of a response."""
    f1, _ = f1_and_exact(response, item)
    reason = "the same words" if f1 == 1 else "some of the words" if f1 else "none of the words"
    return [ItemScore("f1", f1, "scored", None, reason, measure=MEASURE)]


SCORER = Scorer(judges=("texts",), metrics=("f1",), score_item="lorascope.scoring.f1:score_item")

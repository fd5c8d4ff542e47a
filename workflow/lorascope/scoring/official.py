"""The metrics of SQuAD v1.1 as its official evaluation script defines them.

The whole response counts, see `lorascope.scoring.spans.f1_and_exact`.
"""

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.spans import METRICS, f1_and_exact, span_scores
from lorascope.study.declarations import Scorer


def score_item(response: str, item: Item) -> list[ItemScore]:
    """Return the F1 and the exact match of a response, best of all answers of the item."""
    return span_scores(*f1_and_exact(response, item))


SCORER = Scorer(
    judges=("texts",),
    metrics=METRICS,
    score_item="lorascope.scoring.official:score_item",
    suits=("texts", "F1 and exact match of words, as SQuAD's"),
)

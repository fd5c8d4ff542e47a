"""The metrics of SQuAD v1.1 as its official evaluation script defines them.

The whole response counts. It and the answers are lower-cased and lose ASCII punctuation, the
articles a, an, the, and extra white space. F1 compares bags of words; each metric is the maximum
over the answers of all annotators. Computed by torchmetrics.
"""

# Planning reads the declaration below, and scores nothing.
# ruff: noqa: PLC0415

from fractions import Fraction

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.spans import METRICS, span_scores
from lorascope.study.declarations import Scorer

MOST_WORDS = 1_000
"""Of answer and response together, for F1 to be exact; beyond, it is so to six decimals."""


def score_item(response: str, item: Item) -> list[ItemScore]:
    """Return the F1 and the exact match of a response, best of all answers of the item."""
    from torchmetrics.functional.text import squad

    found = squad(
        {"id": item.item_id, "prediction_text": response},
        {"id": item.item_id, "answers": {"text": list(item.answers)}},
    )
    # torchmetrics computes in single precision; F1 is a ratio of two numbers of words.
    f1 = float(Fraction(found["f1"].item() / 100).limit_denominator(MOST_WORDS))
    return span_scores(f1, found["exact_match"].item() / 100)


SCORER = Scorer(
    judges=("texts",),
    metrics=METRICS,
    score_item="lorascope.scoring.official:score_item",
)

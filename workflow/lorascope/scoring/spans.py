"""The two metrics of extractive question answering, whatever the convention they follow."""

# Planning reads declarations that stand on this module, and scores nothing.
# ruff: noqa: PLC0415

from fractions import Fraction

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore

METRICS = ("f1", "em")
MOST_WORDS = 1_000
"""Of answer and response together, for F1 to be exact; beyond, it is so to six decimals."""


def f1_and_exact(response: str, item: Item) -> tuple[float, float]:
    """Return the F1 and the exact match (0 to 1) of a response by the official script of SQuAD.

    It and the answers are lower-cased and lose ASCII punctuation, the articles a, an, the, and
    extra white space. F1 compares bags of words; each is the maximum over the answers. Computed by
    torchmetrics.
    """
    from torchmetrics.functional.text import squad

    found = squad(
        {"id": item.item_id, "prediction_text": response},
        {"id": item.item_id, "answers": {"text": list(item.answers)}},
    )
    # torchmetrics computes in single precision; F1 is a ratio of two numbers of words.
    f1 = float(Fraction(found["f1"].item() / 100).limit_denominator(MOST_WORDS))
    return f1, found["exact_match"].item() / 100


def span_scores(f1: float, em: float) -> list[ItemScore]:
    """Return the F1 and the exact match (each 0 to 1) of one response as its scores."""
    reason = "exact match" if em else "partial" if f1 else "no overlap"
    credits = zip(METRICS, (f1, em), strict=True)
    return [ItemScore(metric, credit, "scored", None, reason) for metric, credit in credits]

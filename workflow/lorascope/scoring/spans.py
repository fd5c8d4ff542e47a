"""The two metrics of extractive question answering, whatever the convention they follow."""

from lorascope.scoring.item_score import ItemScore

METRICS = ("f1", "em")


def span_scores(f1: float, em: float) -> list[ItemScore]:
    """Return the F1 and the exact match (each 0 to 1) of one response as its scores."""
    reason = "exact match" if em else "partial" if f1 else "no overlap"
    credits = zip(METRICS, (f1, em), strict=True)
    return [ItemScore(metric, credit, "scored", None, reason) for metric, credit in credits]

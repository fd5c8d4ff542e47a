"""The categories that the tables count apart."""

MEAN = "mean"
"""What to choose by in place of one: the mean over categories, each counted once."""


def scored_category(category: str, metric: str) -> str:
    """Return the category that a metric of items has in the tables."""
    return f"{category}-{metric}" if metric else category

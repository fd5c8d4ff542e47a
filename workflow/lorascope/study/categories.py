"""The categories that the tables count apart."""


def scored_category(category: str, metric: str) -> str:
    """Return the category that a metric of items has in the tables."""
    return f"{category}-{metric}" if metric else category

"""How often this process did what costs: models loaded, clips encoded, tokens decoded.

A job's totals are the last line of its log.
"""

from collections import Counter
from collections.abc import Mapping

HARMLESS = "counts what was done, for logs"

_counts: Counter[str] = Counter()


def count(name: str, by: int = 1) -> None:
    """Add ``by`` to the number of ``name``, a plural in words ("model loads")."""
    _counts[name] += by


def counted() -> Mapping[str, int]:
    """Return name -> how often it was counted in this process."""
    return dict(sorted(_counts.items()))

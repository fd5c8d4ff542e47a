"""Scorers, looked up by name: pure functions from a response and its item to scores.

A scorer is a module with ``score_item(response, item) -> list[ItemScore]``: one score for each of
its metrics.
"""

from collections.abc import Callable
from importlib import import_module

SCORERS = {"choice": "lorascope.scoring.choice"}
CODE = {
    "choice": tuple(
        f"scoring/{name}.py"
        for name in (
            "choice",
            "context",
            "item_score",
            "letters",
            "lexicon",
            "mentions",
            "options",
            "text",
        )
    )
}
"""The modules, as paths within the package, whose logic decides a scorer's verdicts."""


def scorer(name: str) -> Callable:
    """Return the ``score_item`` function of the scorer registered under ``name``."""
    return import_module(SCORERS[name]).score_item

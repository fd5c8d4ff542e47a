"""Scorers, looked up by name: pure functions from a response and its item to scores.

A scorer is a module with ``score_item(response, item) -> list[ItemScore]``: one score for each of
its metrics.
"""

from collections.abc import Callable
from importlib import import_module

from lorascope.scoring import spans

SCORERS = {name: f"lorascope.scoring.{name}" for name in ("choice", "mindformers", "official")}
METRICS = {"choice": ("",), "mindformers": spans.METRICS, "official": spans.METRICS}
"""The metrics of each scorer, as its scores name them."""
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
    ),
    "mindformers": ("scoring/mindformers.py", "scoring/spans.py", "scoring/item_score.py"),
    "official": ("scoring/official.py", "scoring/spans.py", "scoring/item_score.py"),
}
"""The modules, as paths within the package, whose logic decides a scorer's verdicts."""


def scorer(name: str) -> Callable:
    """Return the ``score_item`` function of the scorer registered under ``name``."""
    return import_module(SCORERS[name]).score_item

"""Scorers, looked up by name: pure functions from a response and its item to a score."""

from collections.abc import Callable
from importlib import import_module

SCORERS = {"choice": "lorascope.scoring.choice"}


def scorer(name: str) -> Callable:
    """Return the ``score`` function of the scorer registered under ``name``."""
    return import_module(SCORERS[name]).score

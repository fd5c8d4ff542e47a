"""Benchmarks, looked up by name: each module turns published files into items.

A module imports nothing heavy and offers `CODE` (the modules, as paths within the package, whose
logic decides its items), `source_files`, `count_items` and `build_items`; see `sakura`.
"""

from importlib import import_module
from types import ModuleType

BENCHMARKS = {"sakura": "lorascope.benchmarks.sakura"}


def benchmark(name: str) -> ModuleType:
    """Return the benchmark module registered under ``name`` (KeyError if there is none)."""
    return import_module(BENCHMARKS[name])

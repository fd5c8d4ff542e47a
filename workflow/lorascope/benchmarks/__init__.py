"""Benchmarks: each module turns published files into items.

A module imports nothing heavy and offers `CODE` (the modules, as paths within the package, whose
logic decides its items), `source_files`, `count_items` and `build_items`; see `sakura`.
"""

from importlib import import_module
from types import ModuleType

from lorascope.errors import UserError

BENCHMARKS = ("sakura",)


def benchmark(name: str) -> ModuleType:
    """Return the module of a benchmark; UserError when there is none of that name."""
    if name not in BENCHMARKS:
        raise UserError(f"benchmark: {name!r} is unknown; known are {', '.join(BENCHMARKS)}")
    return import_module(f"lorascope.benchmarks.{name}")

"""Benchmarks, looked up by name: each module turns published files into items.

A module imports nothing heavy and offers:

- `CODE`: the modules, as paths within the package, whose logic decides its items;
- `DEFAULT_SCORER`: name of the scorer where an experiment names none;
- `SETTINGS`: keys of the dataset in the study that decide its items;
- `categories(dataset)`: the categories of its items;
- `source_files(root, dataset, limit)`: the local files that decide its items;
- `count_items(root, dataset, limit)`: category -> number of items, without building them;
- `build_items(root, dataset, limit)`: the items, and notes for the log.

`root` is where the dataset's files lie, `dataset` maps `SETTINGS` to their values and `limit` is
how many items of a category a smoke run keeps (None: all). See `sakura` and `squad`.
"""

from importlib import import_module
from types import ModuleType

BENCHMARKS = {name: f"lorascope.benchmarks.{name}" for name in ("sakura", "squad")}


def benchmark(name: str) -> ModuleType:
    """Return the benchmark module registered under ``name`` (KeyError if there is none)."""
    return import_module(BENCHMARKS[name])

"""What training data is: the files that hold it, and a benchmark's settings for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.benchmarks import benchmark
from lorascope.identity import SourceIndex

FILLED_IN = {
    "squad": {"category": "squad", "items": None},
    "sakura": {"items_per_category": None, "audio": {}, "control": "none"},
}
"""What a benchmark wants to know of a dataset, and training data does not say."""


def as_dataset(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return training data in a benchmark's layout as a dataset of the study would say it."""
    return {**FILLED_IN[data["format"]], **data}


def data_identity(index: SourceIndex, data: Mapping[str, Any], source: Path) -> Any:
    """Return the identity of local training data, as the plan has it."""
    if data["format"] == "jsonl":
        return index.local(source)
    files = benchmark(data["format"]).source_files(source, as_dataset(data), data["limit"])
    return index.files(files, source)

"""What training data is: the files that hold it, which the plan identifies and the job checks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.identity import SourceIndex


def data_identity(index: SourceIndex, data: Mapping[str, Any], source: Path) -> Any:
    """Return the identity of the local files that ``train.data`` of an adapter is read from."""
    if data["format"] == "squad":
        from lorascope.benchmarks import squad

        source = squad.source_file(source, data["split"])
    return index.local(source)

"""SQuAD v1.1 from the hub, written in its published layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.benchmarks.squad.items import FILES, to_layout
from lorascope.errors import UserError
from lorascope.storage import hub
from lorascope.storage.records import write_json

_SPLITS = {"dev": "plain_text/validation-*.parquet", "train": "plain_text/train-*.parquet"}
_COLUMNS = ("id", "title", "context", "question", "answers")


def fetch(source: Mapping[str, Any], root: Path) -> str:
    """Fetch the data set that ``source`` names into ``root``; return its commit."""
    return download_squad(source["hub"], source["revision"], root)


def download_squad(repo: str, revision: str, destination: Path | str) -> str:
    """Fetch the data set `repo` and write it in the published layout of SQuAD v1.1.

    Makes the folder `destination` with dev-v1.1.json, train-v1.1.json and source.json, which says
    where they came from, whole or not at all; one that is there already is kept. Returns the
    commit.

    Raises UserError as `hub.fetch_data_set` does, and for data that is not laid out as SQuAD's.
    """

    def unpack(snapshot: Path, folder: Path) -> None:
        for split, pattern in _SPLITS.items():
            files = hub.matching(snapshot, [pattern])
            if not files:
                raise UserError(f"{repo} at revision {revision}: no {pattern}; {hub.REMEDY}")
            rows = (row for file in files for row in hub.rows(file, _COLUMNS))
            write_json(folder / FILES[split], to_layout(rows))

    patterns = [*_SPLITS.values()]
    return hub.fetch_data_set(repo, revision, patterns, Path(destination), unpack)

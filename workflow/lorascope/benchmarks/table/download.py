"""A table from the hub: the files of rows of a data set, and the clips beside them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.benchmarks.table.embedded import copy_table
from lorascope.benchmarks.table.files import SUFFIXES
from lorascope.storage import hub

CLIPS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".au")


def fetch(source: Mapping[str, Any], root: Path) -> str:
    """Fetch the data set that ``source`` names into ``root``; return its commit."""
    return download_table(source["hub"], source["revision"], root)


def download_table(repo: str, revision: str, destination: Path | str) -> str:
    """Fetch the files of rows and the clips of a data set, by the names that they have in it.

    Clips within a Parquet file become files, see `embedded.copy_table`. Makes the folder
    `destination`, with source.json that says where they came from, whole or not at
    all; one that is there already is kept. Returns the commit. Raises UserError as
    `hub.fetch_data_set` does.
    """

    def unpack(snapshot: Path, folder: Path) -> None:
        for file in hub.matching(snapshot, patterns):
            copy = folder / file.relative_to(snapshot)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix.lower() == ".parquet":
                copy_table(file, copy, folder)
            else:
                shutil.copyfile(file, copy)

    patterns = [f"*{suffix}" for suffix in (*SUFFIXES, *CLIPS)]
    return hub.fetch_data_set(repo, revision, patterns, Path(destination), unpack)

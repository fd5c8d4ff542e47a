"""Where a task's data are: files of the user's own, or a repository of the hub."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.study.settings import DATA_SET

BUILDERS = ("json", "csv", "parquet", "text", "arrow", "pandas", "xml")
"""What `datasets` calls the readers of files that a task names."""


def data_of(
    config: Mapping[str, Any], root: Path, repositories: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return where a task's data are, as `tasks.Task.data` has it; UserError for what is nowhere.

    root: the folder to which paths are relative. A repository that is not among ``repositories``
    is added to them.
    """
    path, given = config.get("dataset_path"), config.get("dataset_kwargs") or {}
    if not path:
        raise UserError("it names no data (dataset_path)")
    patterns = list(_patterns(given))
    for pattern in patterns:
        if "://" in pattern:
            raise UserError(f"its data are fetched from {pattern}; download them, name the file")
    if path in BUILDERS:
        if not patterns:
            raise UserError(f"it names no files (dataset_kwargs.data_files) for {path}")
        return {"kind": "builder", "builder": path, "patterns": patterns}
    if (root / path).is_dir():
        return {"kind": "folder", "path": path}
    if not re.fullmatch(DATA_SET, path):
        raise UserError(
            f"dataset_path: {path} is neither a folder below {root} nor a repository of the hub"
        )
    revision = str(given.get("revision") or "main")
    wanted = {"hub": path, "revision": revision, "files": patterns}
    if wanted not in repositories:
        repositories.append(wanted)
    return {"kind": "hub", "repository": repositories.index(wanted)}


def _patterns(given: Mapping[str, Any]) -> list[str]:
    """Return the files that a task names, or those of the folder that it names."""
    files, folder = given.get("data_files"), given.get("data_dir")
    if files is None:
        return [f"{folder}/**"] if folder else []
    found = list(files.values()) if isinstance(files, dict) else [files]
    names = [name for one in found for name in ([one] if isinstance(one, str) else one)]
    return [f"{folder}/{name}" if folder else str(name) for name in names]

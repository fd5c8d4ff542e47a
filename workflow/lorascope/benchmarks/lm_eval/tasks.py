"""One task of lm-evaluation-harness: where it is written, and where its data lie.

Planning reads this module to list files, so it imports nothing heavy.
"""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.storage.records import file_sha256

PACKAGE = "<lm_eval>"
"""Begins the path of a file that the harness brings along, wherever that is installed."""
FILES = "files"
"""The folder of a repository's own files within what was downloaded."""


OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
}
"""The environment in which the harness fetches nothing, and draws no bars into logs."""


@dataclass(frozen=True)
class Task:
    """A task, in JSON's values.

    yaml: its file, None for one that a group writes out itself (``inline``); ``overrides`` are what
    groups say otherwise. files: path -> SHA-256 of the YAML files and of the Python files with its
    functions. data: ``kind`` (builder, folder or hub), the builder's name or the path, ``patterns``
    of files, and for the hub which of the dataset's repositories.
    """

    name: str
    yaml: str | None
    inline: dict[str, Any] | None
    overrides: dict[str, Any]
    files: dict[str, str]
    data: dict[str, Any]

    @property
    def digest(self) -> str:
        """What decides the task, in 12 hex digits: contents, wherever the files lie."""
        contents = sorted((Path(path).name, sha) for path, sha in self.files.items())
        return digest([self.name, self.inline, self.overrides, contents])


def place(path: str) -> Path:
    """Return where a file of a task lies."""
    return _package() / path.removeprefix(f"{PACKAGE}/") if path.startswith(PACKAGE) else Path(path)


def portable(path: Path) -> str:
    """Return the path of a file of a task, the same on every machine for one of the harness."""
    path, package = path.resolve(), _package()
    if path.is_relative_to(package):
        return f"{PACKAGE}/{path.relative_to(package)}"
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@cache
def _package() -> Path:
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        raise UserError("lm-evaluation-harness is not installed here")
    return Path(spec.origin).parent.resolve()


def check_unchanged(task: Task) -> None:
    """Refuse a task whose files are not those that were looked at."""
    for name, sha in task.files.items():
        path = place(name)
        if not path.exists() or file_sha256(path) != sha:
            raise UserError(f"{path}: changed since this run was planned; run snakemake again")


def tasks_of(settings: Mapping[str, Any]) -> list[Task]:
    """Return the tasks of a dataset, as planning found them."""
    return [Task(**task) for task in settings["found"]]


def source_files(root: Path, settings: Mapping[str, Any], limit: int | None) -> list[Path]:
    """Return the user's own data files that the tasks read, there or not, each once."""
    found = (path for task in tasks_of(settings) for path in _local_files(task.data, root))
    return list(dict.fromkeys(found))


def _local_files(data: Mapping[str, Any], root: Path) -> Iterator[Path]:
    if data["kind"] == "folder":
        folder = root / data["path"]
        yield from sorted(p for p in folder.rglob("*") if p.is_file()) or [folder]
    if data["kind"] == "builder":
        for pattern in data["patterns"]:
            yield from matching(root, pattern)


def matching(root: Path, pattern: str) -> Sequence[Path]:
    """Return the files below ``root`` that a path or pattern means; itself where there are none."""
    if (root / pattern).exists() or not glob.has_magic(pattern):
        return [root / pattern]
    names = glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207  (takes a/../b)
    found = [root / name for name in sorted(names)]
    return [path for path in found if path.is_file()] or [root / pattern]

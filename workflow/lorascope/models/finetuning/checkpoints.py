"""Checkpoints of a training: one counts only when all of it is on the disk, byte for byte.

transformers writes a checkpoint's files one by one. When the last is there, a list of their hashes
is written beside them, with the digest of the adapter; a checkpoint without it, that differs from
it, or is another adapter's, is not resumed from.
"""

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from lorascope.errors import UserError
from lorascope.models.weights import first_line
from lorascope.storage.records import checked_document, file_sha256, write_document

log = logging.getLogger("lorascope")

COMPLETE = "complete.json"
KIND = "checkpoint"
_NAME = re.compile(r"checkpoint-(\d+)")


def mark_complete(checkpoint: Path, digest: str) -> None:
    """Say that every file of a checkpoint of the adapter ``digest`` has been written."""
    write_document(checkpoint / COMPLETE, KIND, digest, {"files": _hashes(checkpoint)})


def last_complete(folder: Path, digest: str) -> Path | None:
    """Return the last complete checkpoint of an adapter, after removing those that are not."""
    last = None
    for path in sorted(_checkpoints(folder), key=step_of):
        if problem := _problem(path, digest):
            log.warning("%s: %s; removed", path, problem)
            shutil.rmtree(path)
        else:
            last = path
    return last


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn what torch and safetensors say of a disk that is full into a UserError.

    It names ``path``; torch's own words, as "unexpected pos 64 vs 0", do not say what is wrong.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{path}: cannot be written ({first_line(error)}); is the disk full? Fix that and run "
            "snakemake again, what is finished is kept"
        ) from error


def step_of(checkpoint: Path) -> int:
    """Return the optimiser step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _checkpoints(folder: Path) -> list[Path]:
    return [p for p in folder.glob("checkpoint-*") if p.is_dir() and _NAME.fullmatch(p.name)]


def _problem(checkpoint: Path, digest: str) -> str | None:
    """Say why a checkpoint cannot be resumed from, None if it can."""
    if not (checkpoint / COMPLETE).exists():
        return "written in part only"
    try:
        listed = checked_document(checkpoint / COMPLETE, KIND, digest)["files"]
    except ValueError as error:
        return f"written in part only, or {error}"
    return None if listed == _hashes(checkpoint) else "written in part only, or damaged"


def _hashes(checkpoint: Path) -> dict[str, str]:
    """Return name -> SHA-256 of each file, but the list itself."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    named = {str(path.relative_to(checkpoint)): path for path in files}
    return {name: file_sha256(path) for name, path in named.items() if name != COMPLETE}

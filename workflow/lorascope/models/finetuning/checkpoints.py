"""Checkpoints of a training: one counts only when all of it is on the disk, byte for byte.

transformers writes a checkpoint's files one by one. When the last is there, a list of their hashes
is written beside them; a checkpoint without it, or that differs from it, is not resumed from.
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from lorascope.errors import UserError
from lorascope.models.weights import first_line
from lorascope.storage.records import read_json, write_json

log = logging.getLogger("lorascope")

COMPLETE = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def mark_complete(checkpoint: Path) -> None:
    """Say that every file of a checkpoint has been written."""
    write_json(checkpoint / COMPLETE, _hashes(checkpoint))


def last_complete(folder: Path) -> Path | None:
    """Return the last complete checkpoint in ``folder``, after removing those that are not."""
    last = None
    for path in sorted(_checkpoints(folder), key=step_of):
        if _is_complete(path):
            last = path
        else:
            log.info("%s: written in part only, or damaged; removed", path)
            shutil.rmtree(path)
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


def _is_complete(checkpoint: Path) -> bool:
    if not (checkpoint / COMPLETE).exists():
        return False
    try:
        listed = read_json(checkpoint / COMPLETE)
    except UserError:
        return False
    return listed == _hashes(checkpoint)


def _hashes(checkpoint: Path) -> dict[str, str]:
    """Return name -> SHA-256 of each file, but the list itself."""
    found = {}
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and path.name != COMPLETE:
            with path.open("rb") as content:
                found[path.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return found

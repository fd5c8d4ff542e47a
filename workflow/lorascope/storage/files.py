"""Reading a user's files: what would never end, or is no file, is an error before it is opened."""

import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from lorascope.errors import UserError

HARMLESS = "reads files as they are, or not at all"

SYSTEM = ("/proc", "/sys")
"""Folders of the kernel, whose files have no end or no content."""

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def regular(path: Path) -> Path:
    """Return the path of a file that can be read to its end; OSError for anything else."""
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "holds a NUL character, which no name has", str(path))
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise OSError(errno.EINVAL, f"is {kind}, where a file is expected", str(path))
    return not_of_the_system(path)


def not_of_the_system(path: Path) -> Path:
    """Return a path; OSError where it leads into a folder of the kernel."""
    real = os.path.realpath(path)
    if any(real == folder or real.startswith(f"{folder}/") for folder in SYSTEM):
        raise OSError(errno.EINVAL, "lies in a folder of the system", str(path))
    return path


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; OSError as from `regular`."""
    return regular(path).read_bytes()


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8; OSError as from `regular`, ValueError for no text."""
    return regular(path).read_text(encoding="utf-8")


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Return what JSON holds; ValueError where it is none, or holds what cannot be written again.

    ``options`` are those of ``json.loads``. JSON can escape half of a character (a surrogate of
    UTF-16 without its other half), which no file can hold.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text))
    try:
        found = json.loads(text, **options)
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a character, {error.object[error.start]!a}") from None
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file of a user's; UserError, naming it, where there is none."""
    try:
        content = parse_json(read_text(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}. Fix the file.") from error
    except ValueError as error:
        raise UserError(f"{path} is not readable JSON ({error}). Fix the file.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a JSON object.")
    return content

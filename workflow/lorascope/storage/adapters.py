"""Adapters on disk that a study made: beside peft's files, a list that says what they are."""

from collections.abc import Iterable
from pathlib import Path

from lorascope.errors import UserError, listing
from lorascope.storage.records import file_sha256, read_document, set_aside, write_document

HARMLESS = "checks files when they are read"

FILES = "files.json"
"""The list, which is written last."""
KIND = "adapter"
WEIGHTS = ("*.safetensors", "*.bin")


def write_list(folder: Path, digest: str, names: Iterable[str]) -> None:
    """Write the list of an adapter's files, by which `check_adapter` knows them again."""
    hashes = {name: file_sha256(folder / name) for name in sorted(names)}
    write_document(folder / FILES, KIND, digest, {"files": hashes})


def check_adapter(folder: Path, digest: str) -> dict[str, str]:
    """Return name -> SHA-256 of the files of an adapter, all of them as the training wrote them.

    UserError where the adapter is missing; one that is damaged, or another one, is moved aside
    with its whole folder first, so that the next run trains it again.
    """
    if not (folder / FILES).exists():
        raise UserError(f"{folder}: no whole adapter; run snakemake to make it")
    listed = read_document(folder / FILES, KIND, digest, part_of=folder)
    hashes: dict[str, str] = listed["files"]
    broken = [name for name, sha256 in hashes.items() if _sha256(folder / name) != sha256]
    if broken:
        set_aside(folder, f"{listing(broken)}: not as the training wrote it")
    for path in sorted(path for pattern in WEIGHTS for path in folder.glob(pattern)):
        if path.name not in hashes:
            set_aside(path, "not of this training, and would be taken for a part of the adapter")
    return hashes


def _sha256(path: Path) -> str | None:
    """Return the hash of a file, None where it is gone."""
    try:
        return file_sha256(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error

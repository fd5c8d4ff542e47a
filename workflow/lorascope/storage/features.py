"""Encoded clips on disk: safetensors files of one array per clip, with a checksum of each.

A file also notes of which clips the encoder did not hear all, and how many seconds it missed.
"""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lorascope.errors import UserError
from lorascope.storage.downloads import Commit, Noted
from lorascope.storage.records import (
    atomic_path,
    check_commits,
    check_read,
    seal,
    set_aside,
    unseal,
)

KEY = "lorascope"


def write_features(
    path: Path,
    clips: Mapping[str, np.ndarray],
    digest: str,
    lost: Mapping[str, float] | None = None,
    sources: Noted | None = None,
) -> None:
    """Write clip -> [frames, width] float32 atomically.

    ``lost`` is clip -> seconds not heard; ``sources`` are the downloads they were made of.
    """
    label = {
        "digest": digest,
        "lost": {clip: lost[clip] for clip in clips if lost[clip]} if lost else {},
        "sources": dict(sources or {}),
        "crc32": {clip: zlib.crc32(a.tobytes()) for clip, a in clips.items()},
    }
    with atomic_path(path) as temporary:
        try:
            save_file(dict(clips), temporary, metadata={KEY: seal(label)})
        except SafetensorError as error:  # so it calls a full disk
            raise OSError(str(error)) from error


def read_features(
    path: Path, digest: str, wanted: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Return clip -> [frames, width] float32 for the ``wanted`` clips that ``path`` holds.

    Raises UserError where the file is missing; a damaged or foreign file is moved aside first.
    """
    label, arrays = _read(path, digest, wanted)
    for clip, array in arrays.items():
        if zlib.crc32(array.tobytes()) != label["crc32"][clip]:
            set_aside(path, f"the features of {clip} are damaged")
    return arrays


def read_lost(path: Path, digest: str) -> dict[str, float]:
    """Return clip -> seconds of it that are not in its features; errors as ``read_features``.

    Clips that were heard as a whole are left out.
    """
    lost: dict[str, float] = _read(path, digest, ())[0]["lost"]
    return lost


def features_sources(path: Path, digest: str) -> dict[str, Commit]:
    """Return the downloads that features were made of; errors as ``read_features``."""
    sources: dict[str, Commit] = _read(path, digest, ())[0]["sources"]
    return sources


def _read(
    path: Path, digest: str, wanted: Iterable[str] | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file says of itself, and the wanted arrays."""
    if not path.exists():
        raise UserError(f"{path}: not found; run snakemake to make it")
    try:
        with safe_open(path, framework="numpy") as file:
            label = unseal(file.metadata()[KEY])
            held = label["crc32"].keys()
            clips = held if wanted is None else held & set(wanted)
            arrays = {clip: file.get_tensor(clip) for clip in sorted(clips)}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        check_read(path, error)
        set_aside(path, f"not readable as features ({' '.join(str(error).split())})")
    if label["digest"] != digest:
        set_aside(path, f"was written by other settings (digest {label['digest']}, not {digest})")
    check_commits(path, label["sources"])
    return label, arrays

"""Encoded clips on disk: safetensors files of one array per clip, with a checksum of each."""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lorascope.errors import UserError
from lorascope.storage.records import atomic_path, check_read, seal, set_aside, unseal

KEY = "lorascope"


def write_features(path: Path, clips: Mapping[str, np.ndarray], digest: str) -> None:
    """Write clip -> [frames, width] float32 atomically."""
    label = {
        "digest": digest,
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
    _check(path, label, digest, arrays)
    return arrays


def _check(path: Path, label: Mapping[str, Any], digest: str, arrays: Mapping[str, Any]) -> None:
    if label["digest"] != digest:
        set_aside(path, f"was written by other settings (digest {label['digest']}, not {digest})")
    for clip, array in arrays.items():
        if zlib.crc32(array.tobytes()) != label["crc32"][clip]:
            set_aside(path, f"the features of {clip} are damaged")

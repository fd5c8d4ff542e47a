"""The clips of a dataset: read once, hashed, decoded, and held against the audio condition."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorascope.benchmarks.audio import RATE, decode, read_bytes, resampled_length, too_long_error
from lorascope.benchmarks.conditions import Condition
from lorascope.errors import UserError


@dataclass(frozen=True)
class Clip:
    """A clip that decodes: path relative to the root, hash of the file, length, rate in Hz."""

    path: str
    sha256: str
    seconds: float
    samples: int
    rate: int


def read_clips(root: Path, named: Mapping[str, str], problems: list[UserError]) -> dict[str, Clip]:
    """Return path -> clip for the clips that are there and decode; add the others to ``problems``.

    named: path relative to ``root`` -> where the path stands, for messages.
    """
    clips = {}
    for path, where in named.items():
        try:
            data = read_bytes(root / path)
            wave, rate = decode(data, root / path)
        except UserError as error:
            problems.append(UserError(f"{where}: {error}"))
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        clips[path] = Clip(path, sha256, len(wave) / rate, len(wave), rate)
    return clips


def fitting(
    clips: Mapping[str, Clip],
    condition: Condition,
    category: str,
    problems: list[UserError],
    notes: list[str],
) -> dict[str, Clip]:
    """Return the clips that stay under the condition, as its ``too_long`` says.

    Those that are too long become ``problems``, or a line of the ``notes``, which names the
    ``category`` of all these clips.
    """
    too_long = {
        path: clip
        for path, clip in clips.items()
        if condition.is_too_long(resampled_length(clip.samples, clip.rate, RATE), RATE)
    }
    if not too_long:
        return dict(clips)
    if condition.too_long == "error":
        for clip in too_long.values():
            problems.append(too_long_error(clip.path, clip.seconds, condition))
        return dict(clips)
    done = "truncated" if condition.too_long == "truncate" else "skipped"
    notes.append(
        f"{category}: {len(too_long)} clips of {condition.target_len:g} s or more {done} "
        f"(audio.too_long: {condition.too_long})"
    )
    skipped = too_long if condition.too_long == "skip" else {}
    return {path: clip for path, clip in clips.items() if path not in skipped}

"""The training clips on disk, made in parts, each in its own process: they repeat for a seed."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lorascope.storage.records import atomic_path
from training_recipes.tiny_salmonn.clips import CLIPS_PER_LABEL, LABELS, make_clips

PARTS = 3
ATTRIBUTES = ("animal", "emotion", "gender", "language", "voice")


def make_training_set(folder: Path, seed: int) -> None:
    """Write `clips-<part>.npz` for the parts that are missing."""
    missing = [part for part in range(PARTS) if not _part_path(folder, part).exists()]
    context = multiprocessing.get_context("spawn")  # espeak-ng's state must start afresh
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for part in missing:
            pool.submit(_make_part, _part_path(folder, part), seed, part).result()


def load_samples(folder: Path) -> npt.NDArray[np.int16]:
    """The clips of all parts: [n, 32000] at 16 kHz."""
    return _concatenate(folder, "samples")


def load_columns(folder: Path) -> dict[str, npt.NDArray]:
    """What is known of each clip: columns of n strings, the track, the label and the attributes."""
    return {name: _concatenate(folder, name) for name in ("track", "label", *ATTRIBUTES)}


def _concatenate(folder: Path, name: str) -> npt.NDArray:
    return np.concatenate([np.load(_part_path(folder, part))[name] for part in range(PARTS)])


def _part_path(folder: Path, part: int) -> Path:
    return folder / f"clips-{part}.npz"


def _make_part(path: Path, seed: int, part: int) -> None:
    total = sum(CLIPS_PER_LABEL[track] * len(labels) for track, labels in LABELS.items())
    clips = make_clips("train", PARTS * seed + part, CLIPS_PER_LABEL)
    clips = list(tqdm(clips, f"clips, part {part + 1} of {PARTS}", total))
    columns = {name: np.array([clip.attributes()[name] for clip in clips]) for name in ATTRIBUTES}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            samples=np.stack([clip.samples for clip in clips]),
            track=np.array([clip.track for clip in clips]),
            label=np.array([clip.label for clip in clips]),
            **columns,
        )

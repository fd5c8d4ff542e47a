"""Whisper and BEATs learn to hear the attributes; their classification heads are thrown away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training_recipes.tiny_salmonn.augmentation import augment
from training_recipes.tiny_salmonn.clips import LABELS
from training_recipes.tiny_salmonn.optimisation import Schedule, minimise
from training_recipes.tiny_salmonn.training_set import ATTRIBUTES

# Emotion and language are the hard ones; the voice only keeps the encoders curious.
WEIGHTS = {"animal": 0.7, "emotion": 2.0, "gender": 0.7, "language": 1.5, "voice": 0.3}
FRAMES_PER_WINDOW = 8
BATCH = 64
IGNORED = -100

Frames = Callable[[Tensor], Tensor]


class Heads(nn.Module):
    """Linear classifiers of every attribute, on the clip's mean frame and on each window's."""

    def __init__(self, width: int, classes: dict[str, int]) -> None:
        super().__init__()
        self.clip = nn.ModuleDict({name: nn.Linear(width, n) for name, n in classes.items()})
        self.window = nn.ModuleDict({name: nn.Linear(width, n) for name, n in classes.items()})

    def loss(self, frames: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Weighted cross entropy of `frames` [batch, frames, width]; targets are [batch]."""
        windows = _windows(frames)
        total = frames.new_zeros(())
        for name, target in targets.items():
            if (target != IGNORED).any():
                clip = self.clip[name](frames.mean(1))
                window = self.window[name](windows).flatten(0, 1)
                repeated = target.repeat_interleave(windows.shape[1])
                total = total + WEIGHTS[name] * (
                    _cross_entropy(clip, target) + 0.5 * _cross_entropy(window, repeated)
                )
        return total


def _windows(frames: Tensor) -> Tensor:
    batch, count, width = frames.shape
    whole = count // FRAMES_PER_WINDOW
    frames = frames[:, : whole * FRAMES_PER_WINDOW]
    return frames.reshape(batch, whole, FRAMES_PER_WINDOW, width).mean(2)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits, target, ignore_index=IGNORED, label_smoothing=0.05)


def attribute_targets(columns: dict[str, npt.NDArray]) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Class indices [n] of every attribute (-100: does not apply), and the numbers of classes."""
    classes = {name: list(labels) for name, labels in LABELS.items()}
    classes["animal"].append("none")
    classes["voice"] = sorted(set(columns["voice"]) - {""})
    index = {name: {label: i for i, label in enumerate(classes[name])} for name in ATTRIBUTES}
    targets = {
        name: torch.tensor([index[name].get(str(value), IGNORED) for value in columns[name]])
        for name in ATTRIBUTES
    }
    return targets, {name: len(labels) for name, labels in classes.items()}


def pretrain(
    name: str,
    encoder: nn.Module,
    frames: Frames,
    width: int,
    spectrograms: npt.NDArray[np.float16],
    columns: dict[str, npt.NDArray],
    schedule: Schedule,
    seed: int,
) -> None:
    """Train `encoder`, whose forward pass is `frames`, on spectrograms [n, bins, frames]."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    targets, classes = attribute_targets(columns)
    heads = Heads(width, classes)
    batches = _batches(len(spectrograms), generator)

    def loss() -> Tensor:
        rows = next(batches)
        batch = torch.from_numpy(spectrograms[rows].astype(np.float32))
        return heads.loss(
            frames(augment(batch, generator)), {key: value[rows] for key, value in targets.items()}
        )

    encoder.train()
    minimise(name, loss, [*encoder.parameters(), *heads.parameters()], schedule)
    encoder.eval()


def _batches(count: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Whole batches of row numbers, shuffled anew for every pass."""
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        for start in range(0, count - BATCH + 1, BATCH):
            yield order[start : start + BATCH]

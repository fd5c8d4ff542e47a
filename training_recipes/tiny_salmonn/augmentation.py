"""Random changes to spectrograms that leave animal, emotion, gender and language audible."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augment(spectrograms: Tensor, generator: torch.Generator) -> Tensor:
    """Warp, equalise, add noise, roll and mask.

    Args:
        spectrograms: [batch, bins, frames], log power on Whisper's or BEATs' scale.
        generator: the source of all randomness.

    Returns:
        A new tensor of the same shape.

    """
    for change in (_warp_frequency, _equalise, _add_noise, _raise_floor, _roll, _mask):
        spectrograms = change(spectrograms, generator)
    return spectrograms


def _uniform(generator: torch.Generator, batch: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(batch, 1, 1, generator=generator)


def _warp_frequency(x: Tensor, generator: torch.Generator) -> Tensor:
    """Stretch and shift the frequency axis by up to 8 % and about 1 %: another vocal tract."""
    batch, bins, frames = x.shape
    place = torch.arange(float(bins))[None, :, None]
    place = place * _uniform(generator, batch, 0.92, 1.08)
    place = place + _uniform(generator, batch, -bins / 80, bins / 80)
    place = place.clamp(0, bins - 1.01)
    lower = place.long().expand(-1, -1, frames)
    fraction = place - place.long()
    return x.gather(1, lower) * (1 - fraction) + x.gather(1, lower + 1) * fraction


def _equalise(x: Tensor, generator: torch.Generator) -> Tensor:
    """A smooth random frequency response: another microphone."""
    curve = torch.randn(len(x), 1, 5, generator=generator) * 0.08
    curve = functional.interpolate(curve, x.shape[1], mode="linear", align_corners=True)
    return x + curve.transpose(1, 2)


def _add_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    strength = _uniform(generator, len(x), 0, 0.15)
    return x + torch.randn(x.shape, generator=generator) * strength


def _raise_floor(x: Tensor, generator: torch.Generator) -> Tensor:
    """For 30 % of the clips: a noise floor that hides the quiet parts."""
    floor = _uniform(generator, len(x), -1.7, 0.3).clamp(min=-1) * 0.6
    chosen = _uniform(generator, len(x), 0, 1) < 0.3
    return torch.where(chosen, torch.maximum(x, floor), x)


def _roll(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mostly by up to 15 % of the clip, for 30 % of the clips by any amount."""
    batch, bins, frames = x.shape
    near = (_uniform(generator, batch, -0.15, 0.15) * frames).long()
    far = (_uniform(generator, batch, 0, 1) * frames).long()
    shift = torch.where(_uniform(generator, batch, 0, 1) < 0.7, near, far)
    source = (torch.arange(frames)[None, None] + shift) % frames
    return x.gather(2, source.expand(-1, bins, -1))


def _mask(x: Tensor, generator: torch.Generator) -> Tensor:
    """SpecAugment (Park et al., 2019): two bands and two spans of up to 12 % set to zero."""
    for _ in range(2):
        for axis, shape in ((1, (1, -1, 1)), (2, (1, 1, -1))):
            size = x.shape[axis]
            start = _uniform(generator, len(x), 0, 0.95) * size
            width = _uniform(generator, len(x), 0, 0.12) * size
            index = torch.arange(size).view(shape)
            x = x.masked_fill((index >= start) & (index < start + width), 0.0)
    return x

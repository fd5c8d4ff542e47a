"""Which clips an encoder takes at once, and how they come to its device."""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def alike(shapes: Sequence[Hashable], device: torch.device) -> list[list[int]]:
    """Return the places of clips that are encoded at once: those of one shape.

    On the CPU each is alone: nothing is gained there, and the last bits of a product depend on the
    batch.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, shape in enumerate(shapes):
        groups.setdefault((shape, place if device.type == "cpu" else None), []).append(place)
    return list(groups.values())


def placed(rows: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return tensors of one shape as one, [rows, ...], on a device.

    A GPU takes it from pinned memory, so that nobody waits for it.
    """
    stacked = torch.stack(list(rows))
    if device.type == "cuda":
        return stacked.pin_memory().to(device, non_blocking=True)
    return stacked.to(device)

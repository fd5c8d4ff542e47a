"""The features of the clips that are asked about."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError
from lorascope.planning.told import InferJob
from lorascope.storage.features import read_features, read_lost

if TYPE_CHECKING:
    from torch import Tensor


class Clips:
    """What was encoded of some items' clips; UserError where it lacks some."""

    def __init__(self, job: InferJob, items: Iterable[Item]) -> None:
        wanted = {item.clip for item in items} if job.features else set()
        self._features: dict[str, Any] = {}
        self._lost: dict[str, float] = {}
        for chunk in job.chunks:
            self._features |= read_features(Path(chunk), str(job.features), wanted)
            self._lost |= read_lost(Path(chunk), str(job.features))
        if lacking := wanted - self._features.keys():
            folder = Path(job.chunks[0]).parent
            raise UserError(
                f"{folder}: lacks the features of {len(lacking)} clips ({min(lacking)}); "
                "delete it and run snakemake again"
            )

    def features(self, item: Item) -> "Tensor | None":
        """Return the features of an item's clip, None where it has none."""
        import torch  # noqa: PLC0415 - a job whose answers are all there ends without it

        return torch.from_numpy(self._features[item.clip]) if item.clip else None

    def heard(self, item: Item) -> dict[str, Any]:
        """Return what became of an item's clip ("" for none) before it was answered."""
        clip = item.clip
        return {
            "clip": clip,
            "clip_seconds": item.clip_seconds,
            "seconds_lost": self._lost.get(clip, 0.0),
            "clip_finite": not clip or bool(np.isfinite(self._features[clip]).all()),
        }

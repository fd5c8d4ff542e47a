"""Audio conditions: how the clips of a dataset are presented."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from lorascope.errors import UserError

Type: TypeAlias = Literal["source", "zero-padded", "noised"]
Position: TypeAlias = Literal["original", "early", "middle", "late"]
TooLong: TypeAlias = Literal["error", "truncate", "skip"]


def goes_with(position: str, kind: str) -> bool:
    """Tell whether a position goes with a type: original where nothing is padded, only there."""
    return (position == "original") == (kind == "source")


@dataclass(frozen=True)
class Condition:
    """How a clip is presented: as it is, or padded to a common length at a chosen place.

    type: `source` leaves the clip as it is; `zero-padded` and `noised` pad it to `target_len`
        seconds with zeros, or with Gaussian noise of standard deviation `noise_sigma` (full scale
        is 1). Only the padding is noise: the clip's own samples are the same in every condition.
    position: `original` for `source`; else where the clip lies: `early` (all padding after it),
        `middle` (padding // 2 samples before it) or `late` (all padding before it).
    too_long: what happens to a clip of `target_len` or more: `error`, `truncate` (its beginning is
        kept), or `skip` (the dataset stage leaves its items out and counts them in its log). Where
        a model hears less than the clip or its padding, only `truncate` lets it.
    seed: of the noise.
    silent: the clip itself is replaced by zeros of its own length first (the no-audio control).
    """

    type: Type = "source"
    position: Position = "original"
    target_len: float = 30.0
    noise_sigma: float = 0.005
    too_long: TooLong = "error"
    seed: int = 0
    silent: bool = False

    def __post_init__(self) -> None:
        _check_choice("type", self.type, get_args(Type))
        positions = [p for p in get_args(Position) if goes_with(p, self.type)]
        _check_choice(f"position with type {self.type}", self.position, positions)
        _check_choice("too_long", self.too_long, get_args(TooLong))
        if not (math.isfinite(self.target_len) and self.target_len > 0):
            raise UserError(f"audio: target_len must be above 0 seconds, not {self.target_len}")
        if not (math.isfinite(self.noise_sigma) and self.noise_sigma >= 0):
            raise UserError(f"audio: noise_sigma must be 0 or more, not {self.noise_sigma}")

    @classmethod
    def of_dataset(cls, dataset: Mapping[str, Any]) -> Condition:
        """Return the condition of a dataset of the study: its `audio` and whether it is silent."""
        return cls(**dataset["audio"], silent=dataset.get("control") == "silent")

    def target_samples(self, rate: int) -> int:
        """Return the padded length in samples at `rate` Hz."""
        return round(self.target_len * rate)

    def presented_samples(self, samples: int, rate: int) -> int:
        """Return the length of what is played of a clip of `samples` at `rate` Hz."""
        return samples if self.type == "source" else self.target_samples(rate)

    def lost_samples(self, samples: int, rate: int, heard: int) -> int:
        """Return how many of a clip's own samples a model misses that hears the first `heard`.

        They are cut off to fit into `target_len`, or lie behind what is heard.
        """
        kept = min(samples, self.presented_samples(samples, rate))
        start = self.start(kept, rate)
        return samples - max(0, min(kept, heard - start))

    def start(self, samples: int, rate: int) -> int:
        """Return how many samples of padding come before a clip of `samples`."""
        padding = self.presented_samples(samples, rate) - samples
        return {"early": 0, "middle": padding // 2, "late": padding}.get(self.position, 0)

    def is_too_long(self, samples: int, rate: int) -> bool:
        """Tell whether a clip of `samples` at `rate` Hz leaves no room for padding."""
        return self.type != "source" and samples >= self.target_samples(rate)


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"audio: {key} must be {' or '.join(choices)}, not {value!r}")

"""The rows of a lane that are decoded now, and how many more of it there is room for."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache

from lorascope.models.engine import rows_cache
from lorascope.models.engine.choosing import State, join_rows, keep_rows
from lorascope.models.engine.forward import Forward, real
from lorascope.models.profiles import Scaling
from lorascope.models.protocol import Room

AHEAD = 64
"""Columns that a mask is made for at once."""


@dataclass(frozen=True)
class Prompt:
    """What is read of one row before it answers.

    ``read`` gives it as ids [positions] or embeddings [positions, width], once the row enters;
    ``length`` is the number of its positions, known before. ``keys`` say what stands at each: equal
    ones are read alike; () where that is unknown.
    """

    length: int
    read: Callable[[], Tensor]
    keys: Sequence[Hashable] = ()
    seed: int = 0
    scaling: Scaling | None = None


def clip_keys(clip: str, positions: int) -> list[Hashable]:
    """Return what stands at the positions of a clip's features; "" is a clip like no other."""
    name: Hashable = clip or object()
    return [(name, i) for i in range(positions)]


@dataclass
class Running:
    """Rows that have been read, and have chosen a token at least.

    ``rows`` are their numbers in the lane, ``lengths`` how many positions each has in the cache,
    ``made`` how many tokens each has chosen, ``width`` how many columns the cache has. Of a row
    that is followed by several ``beams`` the cache holds each, one after the other.
    """

    rows: list[int]
    lengths: list[int]
    made: list[int]
    width: int
    cache: DynamicCache
    state: State
    beams: int = 1
    _mask: Tensor | None = field(default=None, init=False, repr=False)

    def told(self, name: str) -> list[Any]:
        """Return what the state says of each row."""
        said: list[Any] = self.state[name].tolist()
        return said

    def read(self, forward: Forward) -> Tensor:
        """Return the scores [rows x beams, vocabulary] after their last tokens, which are read."""
        mask = self._real() if min(self.lengths) < self.width else None
        length = self.state["length"].repeat_interleave(self.beams)
        output = forward.step(self.state["last"].flatten(), mask, length, self.cache)
        self.cache = output.past_key_values
        scores: Tensor = output.logits[:, -1]
        return scores

    def _real(self) -> Tensor:
        """Return which columns are real, with the one that is read, [rows x beams, columns]."""
        if self._mask is None or self._mask.shape[1] <= self.width:
            mask = real(self.lengths, self.width, self.state["last"].device)
            mask = mask.repeat_interleave(self.beams, 0)
            self._mask = pad(mask, (0, AHEAD), value=1)
        return self._mask[:, : self.width + 1]

    def keep(self, kept: Sequence[int]) -> None:
        """Keep these rows, by place, and no column that pads them all."""
        self.rows, self.lengths, self.made = (
            [several[i] for i in kept] for several in (self.rows, self.lengths, self.made)
        )
        self.width = max(self.lengths)
        places = torch.tensor(kept, device=self.state["last"].device)
        beams = torch.arange(self.beams, device=places.device).expand(len(kept), -1)
        rows_cache.keep(self.cache, in_cache(places, beams), self.width)
        self.state, self._mask = keep_rows(self.state, places), None

    def join(self, other: "Running") -> None:
        """Let other rows go on beside these."""
        self.rows += other.rows
        self.lengths += other.lengths
        self.made += other.made
        self.width = max(self.width, other.width)
        rows_cache.join(self.cache, other.cache, self.width)
        self.state, self._mask = join_rows(self.state, other.state), None

    def count(self) -> None:
        """Count the position that was read of each row, and the token that was chosen.

        Each beam goes on from what its source has read: they differ in what they said alone.
        """
        if self.beams > 1:
            rows = torch.arange(len(self.rows), device=self.state["source"].device)
            places = in_cache(rows, self.state["source"])
            rows_cache.move(self.cache, places, max(self.made))
        self.state["length"] += 1
        self.lengths = [length + 1 for length in self.lengths]
        self.made = [made + 1 for made in self.made]
        self.width += 1


def in_cache(rows: Tensor, beams: Tensor) -> Tensor:
    """Return the places in a cache of beams [rows, beams] of these rows."""
    return (rows[:, None] * beams.shape[1] + beams).flatten()


def admitted(
    running: Sequence[int], waiting: Iterable[int], room: Room, new: int, rest: int
) -> int:
    """Return how many of ``waiting`` enter, of whom ``rest`` are left, now that rows have left.

    ``running`` and ``waiting`` are the prompts' lengths, ``new`` is the most tokens of an answer.
    Rows enter when they are a quarter of what is decoded then, or the last ones: each entry costs
    a pass of its own, and a place that is free costs little for a while.
    """
    longest, rows = max(running, default=0), len(running)
    for length in waiting:
        longest = max(longest, length)
        if rows and not _fits(rows + 1, longest + new, room):
            break
        rows += 1
    entering = rows - len(running)
    return entering if not running or entering == rest or 4 * entering >= rows else 0


def _fits(rows: int, width: int, room: Room) -> bool:
    if room.rows is not None and rows > room.rows:
        return False
    return room.tokens is None or rows * width <= room.tokens

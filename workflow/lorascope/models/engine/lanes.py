"""The rows of a lane that are decoded now, and how many more of it there is room for."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from lorascope.models.engine import rows_cache
from lorascope.models.engine.choosing import State, join_rows, keep_rows
from lorascope.models.profiles import Scaling
from lorascope.models.protocol import Room


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
    ``made`` how many tokens each has chosen, ``width`` how many columns the cache has.
    """

    rows: list[int]
    lengths: list[int]
    made: list[int]
    width: int
    cache: DynamicCache
    state: State

    def keep(self, kept: Sequence[int]) -> None:
        """Keep these rows, by place, and no column that pads them all."""
        self.rows, self.lengths, self.made = (
            [several[i] for i in kept] for several in (self.rows, self.lengths, self.made)
        )
        self.width = max(self.lengths)
        places = torch.tensor(kept, device=self.state["last"].device)
        rows_cache.keep(self.cache, places, self.width)
        self.state = keep_rows(self.state, places)

    def join(self, other: "Running") -> None:
        """Let other rows go on beside these."""
        self.rows += other.rows
        self.lengths += other.lengths
        self.made += other.made
        self.width = max(self.width, other.width)
        rows_cache.join(self.cache, other.cache, self.width)
        self.state = join_rows(self.state, other.state)

    def count(self) -> None:
        """Count the position that was read of each row, and the token that was chosen."""
        self.lengths = [length + 1 for length in self.lengths]
        self.made = [made + 1 for made in self.made]
        self.width += 1


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

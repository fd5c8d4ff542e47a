"""Which items are answered together: lanes, and the batches that they are cut into.

A lane is the unit of sharding and, in half precision, all that an answer may depend on. So it
follows from items and settings alone, never from shards, the device or what is answered already.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from lorascope.benchmarks.items import Item

MOST_ROOMS = 8
"""Rows of a lane, in rows that are decoded at once. As answers end others begin, so that only the
last of a lane leave places empty: where the longest takes four times the mean, eight waste a third
of the steps, and one wastes three quarters."""
LEAST_LANES = 32
"""Lanes of a dataset, where it is large enough: then the largest of eight shards is at most a
quarter larger than the mean."""
CHARACTERS = 2
"""Characters of a position where no tokenizer is at hand: few, so that the guess is rather high."""

Thing = TypeVar("Thing")


def make_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return batches of at most ``batch_size`` indices into ``lengths``, the longest first.

    Neighbours in length share a batch, so that little is padded; equal lengths keep their order.
    The longest batch comes first, so that a lack of memory shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return list(cut(order, batch_size))


def cut(things: Sequence[Thing], size: int) -> Iterator[list[Thing]]:
    """Yield the things in their order, ``size`` at a time."""
    for start in range(0, len(things), size):
        yield [*things[start : start + size]]


def rows_at_once(positions: Sequence[float], batch_size: int | None, tokens_at_once: int) -> int:
    """Return how many rows are answered at once: ``batch_size``, or else a guess of what there is
    room for, by the positions that each takes.

    The mean one counts, so that a single long one does not make all batches small.
    """
    if batch_size is not None:
        return batch_size
    mean = sum(positions) / max(len(positions), 1)
    return max(int(tokens_at_once / max(mean, 1)), 1)


def make_lanes(
    lengths: Sequence[int], shared: Sequence[str], rows: int | None, of: int
) -> list[list[int]]:
    """Return the lanes of items that are answered in one way, as indices, the longest first.

    lengths: of the items, in characters. shared: what an item shares with others, as its clip (""
    for nothing): they follow one another, so that it is read once.
    rows: how many are decoded at once; a lane holds up to `MOST_ROOMS` times as many, fewer where
    that would make fewer than `LEAST_LANES` of the ``of`` items of the dataset. None where no
    answer depends on its neighbours (float32): a lane is then what shares something, for shards
    that are alike.
    """
    groups = _groups(lengths, shared)
    if rows is None:
        most = max(of // LEAST_LANES, 1)
        return [lane for group in groups for lane in cut(group, most)]
    rooms = min(max(of // (rows * LEAST_LANES), 1), MOST_ROOMS)
    return list(cut([i for group in groups for i in group], rows * rooms))


def part(lanes: Sequence[Thing], shard: int, shards: int) -> list[Thing]:
    """Return the lanes of a shard: one of each ``shards`` that follow one another.

    Which one, is drawn anew each time, the same for all, so that a shard is a sample of the items
    of every length, whatever the order is in which the source has them.
    """
    found: list[Thing] = []
    for block, start in enumerate(range(0, len(lanes), shards)):
        order = sorted(range(shards), key=partial(_drawn, block))
        place = start + order.index(shard)
        found += lanes[place : place + 1]
    return found


def _drawn(block: int, shard: int) -> bytes:
    return sha256(b"%d/%d" % (block, shard)).digest()


def _groups(lengths: Sequence[int], shared: Sequence[str]) -> Iterable[list[int]]:
    """Return the indices of what shares something, the longest of a group and of all first."""
    groups: dict[str | int, list[int]] = {}
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        groups.setdefault(shared[i] or i, []).append(i)
    return groups.values()


@dataclass(frozen=True)
class Batching:
    """What an experiment's settings say of what is answered together.

    ``batch_size`` is None where ``tokens_at_once`` decides; ``mode`` None where each item has its
    own. ``generation`` are the settings of generation, {} where nothing is generated.
    """

    dtype: str
    batch_size: int | None
    tokens_at_once: int
    mode: str | None
    generation: Mapping[str, Any]

    def lanes(self, items: Sequence["Item"]) -> list[list["Item"]]:
        """Return the lanes of a dataset's items, those of each answered in one way."""
        return [
            [alike[i] for i in lane]
            for alike in by_way(items)
            for lane in make_lanes(
                [length(item) for item in alike],
                [item.clip or item.passage for item in alike],
                None if self.dtype == "float32" else self.rows(alike),
                len(items),
            )
        ]

    def rows(self, items: Sequence["Item"]) -> int:
        """Return how many of the items are answered at once, see `rows_at_once`."""
        return rows_at_once([*map(self._positions, items)], self.batch_size, self.tokens_at_once)

    def _positions(self, item: "Item") -> float:
        """Return about how many positions an item takes: those of a clip are not known here."""
        if (item.mode or self.mode) != "generate":
            return length(item) / CHARACTERS * max(len(item.continuations), 1)
        own = {**self.generation, **json.loads(item.generation or "{}")}
        return (length(item) / CHARACTERS + own["max_new_tokens"]) * own["num_beams"]


def by_way(items: Iterable["Item"]) -> Iterable[list["Item"]]:
    """Return the items that are answered in one way (mode and generation), in their order."""
    ways: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        ways.setdefault((item.mode, item.generation), []).append(item)
    return ways.values()


def length(item: "Item") -> int:
    """Return how long an item is, in characters: the question, and the longest that may follow."""
    return len(item.question) + max(map(len, item.continuations), default=0)

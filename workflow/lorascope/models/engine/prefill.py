"""The reading of prompts, in which what several of a lane have in common is read once.

A prefix is read by itself, its rows of the cache are copied for those that share it, and what is
left of each prompt goes on from there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from lorascope.models.engine import rows_cache
from lorascope.models.engine.forward import Forward
from lorascope.models.engine.lanes import Prompt
from lorascope.models.prefixes import shared
from lorascope.models.profiles import Scaling
from lorascope.running.counters import count

LEAST = 64
"""Positions that a shared prefix must save beside its own, about what a pass of its own costs."""


@dataclass
class _Kept:
    """Prefixes that were read: the numbers of their groups, and their rows of a cache."""

    groups: list[int]
    lengths: list[int]
    cache: DynamicCache

    @property
    def width(self) -> int:
        return max(self.lengths)


class Prefill:
    """Reads the prompts of a lane.

    Which share a prefix is found for the whole lane, and these enter one after the other, so that
    a prefix that was read has to stay only until the last of its rows has entered.
    """

    def __init__(self, forward: Forward, prompts: Sequence[Prompt]) -> None:
        self.forward, self.prompts = forward, prompts
        self.groups: dict[int, int] = {}
        """Of each row that shares a prefix, the number of it."""
        self._lengths: dict[int, int] = {}
        self._kept: _Kept | None = None
        keys = [_keys(number, prompt) for number, prompt in enumerate(prompts)]
        for number, group in enumerate(shared(keys, LEAST) if len(prompts) > 1 else ()):
            if group.length:
                self._lengths[number] = group.length
                self.groups |= dict.fromkeys(group.rows, number)
        self._left = Counter(self.groups.values())

    def order(self) -> list[int]:
        """Return the rows, the longest first, with one those that share its prefix."""
        longest: dict[int, int] = {}
        for row, group in self.groups.items():
            longest[group] = max(longest.get(group, 0), self.prompts[row].length)

        def place(row: int) -> tuple[int, int, int]:
            group, length = self.groups.get(row, -1), self.prompts[row].length
            return -longest.get(group, length), group, -length

        return sorted(range(len(self.prompts)), key=place)

    def parts(self, rows: Sequence[int]) -> list[list[int]]:
        """Return the rows that are read together: those without a prefix, and those with one."""
        alone = [row for row in rows if row not in self.groups]
        sharing = [row for row in rows if row in self.groups]
        return [part for part in (alone, sharing) if part]

    def read(self, rows: Sequence[int], inputs: Sequence[Tensor]) -> tuple[Tensor, Any, int]:
        """Return the logits [rows, vocabulary] after prompts, their cache and its width.

        The cache is that of something else where it is not ``rows_cache.joinable``.
        """
        if rows[0] not in self.groups:
            return self._read(rows, inputs)
        first = {self.groups[row]: i for i, row in reversed([*enumerate(rows)])}
        new = [group for group in first if self._kept is None or group not in self._kept.groups]
        if new:
            starts = [inputs[first[group]][: self._lengths[group]] for group in new]
            logits, cache, width = self._read([rows[first[group]] for group in new], starts)
            if not rows_cache.joinable(cache):
                return logits, cache, width
            self._keep(_Kept(new, [len(start) for start in starts], cache))
        return self._go_on(rows, inputs)

    def _read(self, rows: Sequence[int], inputs: Sequence[Tensor]) -> tuple[Tensor, Any, int]:
        """Read rows from their beginnings on."""
        return self.forward.prompts(inputs, self._scalings(rows))

    def _go_on(self, rows: Sequence[int], inputs: Sequence[Tensor]) -> tuple[Tensor, Any, int]:
        """Read rows from the ends of their prefixes on."""
        kept = self._kept
        assert kept is not None
        places = [kept.groups.index(self.groups[row]) for row in rows]
        chosen = torch.tensor(places, device=inputs[0].device)
        cache = rows_cache.copied(kept.cache, chosen, kept.width)
        starts = [kept.lengths[place] for place in places]
        return self.forward.rests(inputs, starts, cache, kept.width, self._scalings(rows))

    def _scalings(self, rows: Sequence[int]) -> list[Scaling | None]:
        return [self.prompts[row].scaling for row in rows]

    def _keep(self, new: _Kept) -> None:
        count("prefixes shared", len(new.groups))
        if self._kept is None:
            self._kept = new
            return
        rows_cache.join(self._kept.cache, new.cache, max(self._kept.width, new.width))
        self._kept = _Kept(
            self._kept.groups + new.groups, self._kept.lengths + new.lengths, self._kept.cache
        )

    def entered(self, rows: Sequence[int]) -> None:
        """Let go of the prefixes that no row shares any more that is yet to enter."""
        self._left.subtract(self.groups[row] for row in rows if row in self.groups)
        if self._kept is None:
            return
        places = [i for i, group in enumerate(self._kept.groups) if self._left[group]]
        if not places:
            self._kept = None
        elif len(places) < len(self._kept.groups):
            groups = [self._kept.groups[i] for i in places]
            lengths = [self._kept.lengths[i] for i in places]
            rows_cache.keep(self._kept.cache, torch.tensor(places), max(lengths))
            self._kept = _Kept(groups, lengths, self._kept.cache)


def _keys(number: int, prompt: Prompt) -> Sequence[Any]:
    """Return what stands at each position of a prompt, at its scaling."""
    if not prompt.keys:
        return [(number,)]
    return [(prompt.scaling, prompt.keys[0]), *prompt.keys[1:]]

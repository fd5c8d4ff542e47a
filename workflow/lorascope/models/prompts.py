"""The prompts of a batch that is read, and what of them was read already."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from lorascope.models.engine import rows_cache
from lorascope.models.engine.forward import real
from lorascope.models.prefixes import Group, shared
from lorascope.models.profiles import Scaling

Continuations: TypeAlias = Sequence[Sequence[int]]
"""Of one prompt, as token ids."""
Found: TypeAlias = list[tuple[float, bool]]
"""Of each continuation of one prompt: its log-likelihood, and whether it is greedy."""

LEAST_SHARED = 32
"""Positions that a prefix must save to be read apart."""


@dataclass(frozen=True)
class Prompts:
    """Prompts as ids [positions] or embeddings [positions, width].

    ``keys`` has one key per position of each: what has equal keys is equal. ``scalings`` are their
    absolute LoRA scalings, None for the one in force.
    """

    rows: Sequence[Tensor]
    keys: Sequence[Sequence[Hashable]]
    scalings: Sequence[Scaling | None]

    @staticmethod
    def of(
        rows: Sequence[Tensor],
        keys: Sequence[Sequence[Hashable]] | None,
        scalings: Sequence[Scaling | None] | None,
    ) -> "Prompts":
        """Return prompts whose ids are their own keys; embeddings without any are like no other."""
        found = []
        for number, row in enumerate(rows):
            alone = [(number, i) for i in range(len(row))] if row.is_floating_point() else None
            found.append((keys and keys[number]) or alone or row.tolist())
        return Prompts(rows, found, scalings or [None] * len(rows))

    def chosen(self, which: Sequence[int]) -> "Prompts":
        """Return some of the prompts, in this order."""
        return self._cut([(i, None) for i in which])

    def prefixes(self, groups: Sequence[Group]) -> "Prompts":
        """Return the prefix of each group."""
        return self._cut([(group.rows[0], group.length) for group in groups])

    def _cut(self, ends: Sequence[tuple[int, int | None]]) -> "Prompts":
        return Prompts(
            [self.rows[i][:end] for i, end in ends],
            [self.keys[i][:end] for i, end in ends],
            [self.scalings[i] for i, _ in ends],
        )

    def parts(self) -> "list[tuple[list[int], list[Group]]]":
        """Return the prompts that begin as others do and their groups, then the rest and none.

        Alike are those of one scaling. Groups are of places in the part.
        """
        keys = [
            [(scaling, own[0]), *own[1:]]
            for own, scaling in zip(self.keys, self.scalings, strict=True)
        ]
        groups = [group for group in shared(keys, LEAST_SHARED) if group.length]
        alike = [i for group in groups for i in group.rows]
        place = {number: i for i, number in enumerate(alike)}
        moved = [Group(g.length, tuple(place[i] for i in g.rows)) for g in groups]
        rest = [i for i in range(len(keys)) if i not in place]
        return [part for part in ((alike, moved), (rest, [])) if part[0]]


@dataclass(frozen=True)
class Read:
    """What a model keeps of prompts, or of their beginnings, that it has read.

    The cache has ``width`` columns, of which the last ``lengths`` are a prompt's own; ``scores``
    [prompts, vocabulary] are of the token after each.
    """

    cache: DynamicCache
    lengths: Sequence[int]
    width: int
    scores: Tensor

    @property
    def mask(self) -> Tensor:
        """Int64 [prompts, width]: 1 where there is a position."""
        return real(self.lengths, self.width, self.scores.device)

    def chosen(self, which: Sequence[int]) -> "Read":
        """Return copies of what is kept of some of them, in this order."""
        rows = torch.tensor(which, device=self.scores.device)
        cache = rows_cache.copied(self.cache, rows, self.width)
        return Read(cache, [self.lengths[i] for i in which], self.width, self.scores[rows])


@dataclass(frozen=True)
class Begun:
    """Prompts whose beginnings were read: which of those in ``read`` is whose."""

    read: Read
    places: Sequence[int]

    @property
    def lengths(self) -> list[int]:
        """How many positions of each prompt were read."""
        return [self.read.lengths[place] for place in self.places]

    def of(self, which: Sequence[int]) -> "Begun":
        """Return some of the prompts, in this order."""
        return Begun(self.read, [self.places[i] for i in which])

    def chosen(self) -> Read:
        """Return copies of what is kept of the prompts' beginnings."""
        return self.read.chosen(self.places)


def scored(
    scores: Tensor, targets: Tensor, rows: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the log-likelihoods of targets [...] by scores [..., vocabulary], and which lead.

    With ``rows`` of scores [rows, vocabulary], one for each of targets [...], of those.
    """
    targets = targets.to(scores.device)
    logs, likeliest = scores.float().log_softmax(-1), scores.argmax(-1)
    if rows is None:
        found = logs.gather(-1, targets[..., None])[..., 0]
    else:
        found, likeliest = logs[rows, targets], likeliest[rows]
    return found.double().cpu(), (likeliest == targets).cpu()

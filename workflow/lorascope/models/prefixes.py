"""Which rows of a batch begin alike, so that what they share is read once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Group:
    """Rows, by index, whose first ``length`` keys are the same; 0: rows that share nothing."""

    length: int
    rows: tuple[int, ...]


@dataclass
class _Node:
    """A place where rows part: ``depth`` keys after which these rows, and those below, go on.

    ``gains[x]`` is the most that the rows below save where those in no group below are in one of
    ``x`` keys already.
    """

    depth: int
    rows: list[int] = field(default_factory=list)
    gains: NDArray[np.int64] = field(init=False)
    parent: "_Node | None" = None
    cut_below: int = 0
    """A group is made here where that of the rows above is shorter than this."""

    def __post_init__(self) -> None:
        self.gains = np.zeros(self.depth + 1, np.int64)


def shared(keys: Sequence[Sequence[Hashable]], least: int) -> list[Group]:
    """Return groups of rows, each row in one, whose prefixes are read once for all of a group.

    ``keys`` has one key per position of a row: what is equal is read alike. The last position of a
    row is never in its prefix, so that each has something left to read. The groups are those that
    save most positions where each costs ``least`` beside those of its prefix, so that each saves
    at least as many: with what all rows share and what some share more of, either or both. They
    come in the order of their first rows, and do not depend on the order of the rows otherwise;
    those that share nothing are one group of length 0.

    A row's place is one in the tree of all prefixes, and a group is one of the tree's nodes. What
    is best below a node depends on the length of the group above alone, and is found for each in
    turn from the leaves up; the cost is linear in the number of keys, beside sorting the rows.
    """
    nodes = _tree(keys, least)
    cuts: dict[int, _Node] = {}
    members: dict[int, list[int]] = {}
    for node in reversed(nodes):  # parents first
        above = nodes[-1] if node.parent is None else cuts[id(node.parent)]
        cut = node if above.depth < node.cut_below else above
        cuts[id(node)] = cut
        members.setdefault(id(cut), []).extend(node.rows)
    groups = [
        Group(node.depth, tuple(sorted(members[id(node)])))
        for node in nodes
        if members.get(id(node))
    ]
    return sorted(groups, key=lambda group: group.rows[0])


def _tree(keys: Sequence[Sequence[Hashable]], least: int) -> list[_Node]:
    """Return where rows part, children before their parents, the root of depth 0 last.

    The nodes are the intervals of common prefixes between neighbours in order.
    """
    rows = _numbered(keys)
    order = sorted(range(len(rows)), key=lambda i: rows[i].tobytes())
    alike = [_alike(rows[i], rows[j]) for i, j in pairwise(order)]
    stack, done = [_Node(0)], []
    for row, following in zip(order, [*alike, 0], strict=True) if order else ():
        if following > stack[-1].depth:
            stack.append(_Node(following))
        stack[-1].rows.append(row)
        while stack[-1].depth > following:
            node = stack.pop()
            if stack[-1].depth < following:
                stack.append(_Node(following))
            _close(node, stack[-1], least)
            done.append(node)
    return [*done, *stack]


def _close(node: _Node, parent: _Node, least: int) -> None:
    """Say where a group is made at a node, and add what its rows save to its parent's."""
    gains = node.gains + len(node.rows) * np.arange(node.depth + 1)
    made = gains[-1] - node.depth - least
    without = gains[: parent.depth + 1]
    # More is saved without a group, the longer the one above: the first ones are made.
    node.parent, node.cut_below = parent, int((without < made).sum())
    parent.gains += np.maximum(without, made)


def _numbered(keys: Sequence[Sequence[Hashable]]) -> list[NDArray[np.int64]]:
    """Return the keys of each row but its last as numbers, the same for the same key."""
    numbers: dict[Hashable, int] = {}
    return [
        np.array([numbers.setdefault(key, len(numbers)) for key in row[:-1]], np.int64)
        for row in keys
    ]


def _alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return how many keys two rows have in common from the first on."""
    least = min(len(one), len(other))
    differ = one[:least] != other[:least]
    return int(differ.argmax()) if differ.any() else least

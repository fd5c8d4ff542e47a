"""Null adapters that have the real one's layers in another order."""

import hashlib
import logging
import math
import re
from collections.abc import Iterable, Sequence

from lorascope.errors import UserError, listing
from lorascope.models.auditing.adapters import Part as Lora
from lorascope.models.deriving.modules import Module, config_of, modules_of
from lorascope.models.deriving.parts import Made, Part

log = logging.getLogger("lorascope")

LISTED = 100_000
"""Of no more orders than these, seeds that follow each other take different ones."""


def shuffled_null(parts: Sequence[Part], seed: int, draw: int) -> Made:
    """Return (A, B, s) exchanged among modules of one kind, shape and rank.

    All orders but the real one are equally likely: modules of some kinds may stay where they are,
    and those that have no like always do. UserError where there are fewer orders than draws.
    """
    [part] = parts
    modules = {module.lora.module: module for module in modules_of(part)}
    groups = _groups(part.adapter.parts)
    ways = orders(part.adapter.parts)
    if problem := refusal(part.name, ways, draw + 1):
        raise UserError(problem)
    if alone := [members[0].module for members in groups if len(members) == 1]:
        log.warning("no like of its kind, shape and rank, so not exchanged: %s", listing(alone))
    number, taken = 1 + _numbered(seed, ways), dict[str, Module]()
    for members in groups:
        number, own = divmod(number, math.factorial(len(members)))
        for to, place in zip(members, permutation(len(members), own), strict=True):
            taken[to.module] = modules[members[place].module]
    tensors = {
        module.names[side]: values
        for name, module in modules.items()
        for side, values in taken[name].values.items()
    }
    told = {"taken_from": {name: taken[name].lora.module for name in modules}, "ways": ways}
    return Made(config_of(part, {n: taken[n].lora for n in modules}), tensors, told)


def orders(parts: Iterable[Lora]) -> int:
    """Return how many orders there are beside the real one."""
    return math.prod(math.factorial(len(members)) for members in _groups(parts)) - 1


def refusal(name: str, ways: int, draws: int) -> str:
    """Say why an adapter of so many ``ways`` cannot be shuffled so often; "" where it can."""
    if not ways:
        return (
            f"{name} has no two modules of one kind, shape and rank to exchange; use kind: random"
        )
    if draws > ways:
        return (
            f"{name} can be shuffled in {ways} way{'s' * (ways > 1)}, which is fewer than draws; "
            "lower draws, or use kind: random"
        )
    return ""


def permutation(size: int, number: int) -> list[int]:
    """Return a permutation of ``size`` by its number in lexicographic order; 0 is the identity.

    >>> permutation(3, 0), permutation(3, 5)
    ([0, 1, 2], [2, 1, 0])
    """
    digits = []
    for base in range(1, size + 1):
        number, digit = divmod(number, base)
        digits.append(digit)
    left = [*range(size)]
    return [left.pop(digit) for digit in reversed(digits)]


def _numbered(seed: int, count: int) -> int:
    """Return which of ``count`` shuffles a seed takes."""

    def drawn(of: int) -> int:
        length = count.bit_length() // 8 + 9  # so that no shuffle is likelier than others
        return int.from_bytes(hashlib.shake_256(str(of).encode()).digest(length))

    if count > LISTED:
        return drawn(seed) % count
    return sorted(range(count), key=drawn)[seed % count]


def _groups(parts: Iterable[Lora]) -> list[list[Lora]]:
    """Return the modules that can change places: of one name but for numbers, and all shapes."""
    found: dict[tuple[object, ...], list[Lora]] = {}
    for one in parts:
        named = re.sub(r"(?<=\.)\d+(?=\.)", "*", f".{one.module}.")
        shapes = [tensor.shape for tensor in (one.down, one.up, one.bias) if tensor]
        found.setdefault((named, one.rank, one.experts, *shapes), []).append(one)
    return [*found.values()]

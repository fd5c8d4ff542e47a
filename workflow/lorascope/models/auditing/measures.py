"""What s B A of a module is, of its factors alone: never is the product formed.

With B = Q R and A' = P S (QR decompositions), B A = Q (R S') P', so that the singular values of the
product are those of the small core R S'. Parts of several experts act apart: theirs are all of
their singular values together. All numbers are computed in float64.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lorascope.models.auditing.adapters import Part
from lorascope.models.auditing.tensors import Array, Stored

PROBES = 8
"""Numbers by which the change of a module is compared with that of another adapter."""
KEPT = 16
"""Singular values that are kept of a module, the largest ones."""
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Change:
    """What an adapter does to a module's W: the change s B A, at the adapter's own s.

    norm: Frobenius norm; stable_rank: the square of it by the largest singular value; used_rank:
    the number of singular values above rounding in float32; probes: see `_probes`. Where values
    are not finite, ``nonfinite`` of them, there are no other numbers: values of A and B, or else
    singular values, which overflow. ``is_zero`` says that nothing is changed, bias included.
    """

    norm: float | None
    stable_rank: float | None
    used_rank: int | None
    singular_values: list[float]
    probes: list[float]
    nonfinite: int
    is_zero: bool


def change_of(part: Part) -> Change:
    """Return what an adapter does to a module."""
    down, up = part.factors()
    bias = part.bias.read() if part.bias else np.zeros(0)
    nonfinite = sum(int(np.count_nonzero(~np.isfinite(one))) for one in (down, up, bias))
    if nonfinite:
        return _broken(nonfinite)
    with np.errstate(all="ignore"):
        values = abs(part.scaling) * _singular_values(down, up)
        overflown = np.count_nonzero(~np.isfinite(values**2))
    if overflown:
        return _broken(int(overflown))
    largest = float(values[0])
    norm = float(np.linalg.norm(values))
    floor = EPSILON * max(part.inputs, part.outputs) * largest
    return Change(
        norm=norm,
        stable_rank=float(np.sum((values / largest) ** 2)) if largest else None,
        used_rank=int(np.count_nonzero(values > floor)),
        singular_values=[float(value) for value in values[:KEPT]],
        probes=[float(value) for value in part.scaling * _probes(down, up)],
        nonfinite=0,
        is_zero=not largest and not bias.any(),
    )


def _broken(nonfinite: int) -> Change:
    return Change(None, None, None, [], [], nonfinite, is_zero=False)


def norm_of(weight: Stored) -> float:
    """Return the Frobenius norm of a tensor, read block by block; not finite where a value is."""
    with np.errstate(all="ignore"):
        return math.sqrt(sum(float(block @ block) for block in weight.blocks()))


def _singular_values(down: Array, up: Array) -> Array:
    """Return the singular values of B A of all experts, from the largest to the smallest."""
    found = []
    for a, b in zip(down, up, strict=True):
        core = _triangle(b) @ _triangle(a.T).T
        finite = np.isfinite(core).all()
        found.append(np.linalg.svd(core, compute_uv=False) if finite else np.array([np.inf]))
    ordered: Array = np.sort(np.concatenate(found))[::-1]
    return ordered


def _triangle(matrix: Array) -> Array:
    """Return R of the QR decomposition of a matrix."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))


def _probes(down: Array, up: Array) -> Array:
    """Return u' B A v for pairs of vectors u, v of signs, the same ones for every adapter.

    The square of each has the squared Frobenius norm for its mean (Hutchinson 1990,
    doi:10.1080/03610919008812866), and so has the difference of two adapters': it vanishes for
    equal ones alone.
    """
    found = np.zeros(PROBES)
    for number, (a, b) in enumerate(zip(down, up, strict=True)):
        left, right = (_signs(s, n, number) for s, n in (("u", len(b)), ("v", a.shape[1])))
        found += np.sum((left @ b) * (right @ a.T), axis=1)
    return found


@lru_cache(maxsize=32)
def _signs(side: str, size: int, number: int) -> Array:
    """Return ``PROBES`` vectors of signs that follow from these arguments on every machine."""
    drawn = hashlib.shake_256(f"{side} {size} {number}".encode()).digest(-(-PROBES * size // 8))
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8))[: PROBES * size]
    return np.asarray(1 - 2 * bits.astype(np.float64)).reshape(PROBES, size)

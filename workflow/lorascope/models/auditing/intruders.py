"""Intruder dimensions: singular vectors of W + s B A that W has nothing like.

https://arxiv.org/abs/2410.21228, algorithm 1: of the ``top`` left singular vectors of W + s B A
with the largest singular values, those count whose cosine with every left singular vector of W is
below a threshold (the sign of a singular vector means nothing). Needs the whole singular value
decomposition of W, a minute for a matrix of a 7B model on a few cores.
"""

from collections.abc import Iterable

import numpy as np

from lorascope.models.auditing.adapters import Part
from lorascope.models.auditing.tensors import Array, Stored


def count_intruders(part: Part, weight: Stored, top: int, cosine: float) -> int | None:
    """Return how many of the largest left singular vectors are intruders; None if not finite."""
    stored = weight.read().reshape(weight.shape[0], -1)
    original = stored.T if part.transposed else stored
    down, up = part.factors()
    tuned = original + part.scaling * (up[0] @ down[0])
    if not np.isfinite(tuned).all():
        return None
    left = np.linalg.svd(original, full_matrices=False)[0]
    largest = _largest_left(tuned, min(top, *tuned.shape))
    return int(np.count_nonzero(np.abs(left.T @ largest).max(axis=0) < cosine))


def cost_of(parts: Iterable[Part]) -> float:
    """Return about how much work modules are, in operations of a decomposition."""
    return float(sum(p.inputs * p.outputs * min(p.inputs, p.outputs) for p in parts))


def _largest_left(matrix: Array, count: int) -> Array:
    """Return the left singular vectors with the largest singular values, [rows, count]."""
    rows, columns = matrix.shape
    wide = rows <= columns
    square = matrix @ matrix.T if wide else matrix.T @ matrix
    vectors = np.asarray(np.linalg.eigh(square)[1])[:, -count:]
    found = vectors if wide else matrix @ vectors
    return np.asarray(found / np.linalg.norm(found, axis=0))

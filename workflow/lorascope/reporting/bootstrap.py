"""Bounds of a mean or a ratio over clips that hold for few clips, and where all clips agree.

The Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338) gives each clip a random weight,
all of its items together, so that items that share a clip are never taken for independent ones.
For a bound, one more clip joins: as large as the largest, with the worst credits there can be
(Learned-Miller & Thomas 2019, arXiv:1905.06208, who conjecture that the bound holds for every
bounded distribution). It has two known tests as special cases: a share of items that are right or
wrong has the exact binomial bound (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404), and the
difference between two runs on such items is above 0 exactly if the exact McNemar test says so.

Nothing is drawn: the weights are gamma variables, so that a bound is where a weighted sum of
gamma variables is at most 0 with a given probability, which is an integral.
"""

# Few reports look for a root, and scipy.optimize is a tenth of the start of all of them.
# ruff: noqa: PLC0415

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

_STEP = 0.05  # of the integral, in asinh(distance / width)
_BLOCKS = np.arange(300).reshape(3, 100) * _STEP
_HEIGHTS, _WEIGHTS = np.sinh(_BLOCKS), np.cosh(_BLOCKS) * _STEP / np.pi
_WEIGHTS[0, 0] /= 2  # the integrand is symmetric
_NEGLIGIBLE = 1e-16
_ENDS = (1e-300, 1 - 1e-16)  # probabilities that ndtri tells from 0 and 1
_TOLERANCE = 1e-9


def clip_profiles(clips: ArrayLike, *values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct sums of ``values`` per clip, and how many clips have each.

    clips: [items]; values: [items] each. Returns profiles [distinct, values] and counts
    [distinct]. Sums are rounded to 9 decimals, so that the order of items cannot tell them apart.
    """
    _, clip = np.unique(np.asarray(clips), return_inverse=True)
    sums = [np.bincount(clip, weights=np.asarray(one, dtype=float)) for one in values]
    table = np.stack(sums, axis=1).round(9)
    table = table[np.lexsort(table.T[::-1])]  # many times faster than np.unique(axis=0)
    starts = np.flatnonzero(np.append(True, (table[1:] != table[:-1]).any(axis=1)))
    return table[starts], np.diff(np.append(starts, len(table)))


@dataclass(frozen=True)
class Ratio:
    """The ratio sum(over) / sum(under) of clips with random weights, one clip being imagined.

    over, under: [distinct] the sums of a clip; clips: [distinct] how many clips have them; worst:
    the sums of the imagined clip. The sum of ``under`` is positive whatever the weights.
    ``mirrored`` is for clips without bounds: the imagined one is then at least as far on the worse
    side of a ratio that is asked about as any clip is on either, so that n equal clips beyond it
    have the p-value of a sign test, 2 ** -n, however near to each other they are.
    """

    over: np.ndarray
    under: np.ndarray
    clips: np.ndarray
    worst: tuple[float, float]
    mirrored: bool = False

    def at_most(self, ratio: float) -> float:
        """Return the probability that the ratio is at most so large."""
        imagined = self.worst[0] - ratio * self.worst[1]
        off = self.over - ratio * self.under
        if self.mirrored:
            imagined = min(imagined, -float(np.abs(off).max()))
        factors = np.append(off, imagined)
        return probability_of_at_most_zero(factors, np.append(self.clips, 1))

    def quantile(self, level: float, least: float, most: float) -> float:
        """Return what the ratio is at most with probability ``level``, from least to most."""
        wanted = float(ndtri(level))

        def excess(ratio: float) -> float:
            probability = min(max(self.at_most(ratio), _ENDS[0]), _ENDS[1])
            return float(ndtri(probability)) - wanted

        from scipy.optimize import brentq

        if self.at_most(least) >= level:
            return least
        centre, spread = self._moments()
        if not spread:
            return centre
        start = min(max(centre + wanted * spread, least), most)
        short = excess(start)
        step = -1.2 * spread * short  # a normal distribution's, and somewhat beyond
        while True:
            end = min(max(start + step, least), most)
            if excess(end) * short <= 0:
                return float(brentq(excess, start, end, xtol=_TOLERANCE))
            if end in (least, most):
                return end
            step *= 2

    def _moments(self) -> tuple[float, float]:
        """Return about the mean and the standard deviation of the ratio."""
        over, under = np.append(self.over, self.worst[0]), np.append(self.under, self.worst[1])
        clips = np.append(self.clips, 1)
        centre = float(clips @ over / (clips @ under))
        spread = float(clips @ (over - centre * under) ** 2) ** 0.5 / float(clips @ under)
        return centre, spread


def probability_of_at_most_zero(factors: np.ndarray, shapes: np.ndarray) -> float:
    """Return P(sum(factors * gammas) <= 0) for independent gamma variables of these shapes.

    factors, shapes: [variables]. The moment generating function is integrated along the line
    through its saddle point, where the integrand has no oscillation (Rice 1980,
    doi:10.1137/0901032), so that tiny probabilities have their digits, too.
    """
    used = factors != 0
    factors, shapes = -factors[used], shapes[used]
    if not (factors < 0).any():
        return 1.0
    if not (factors > 0).any():
        return 0.0
    factors /= factors.max()
    saddle, width = _saddle(factors, shapes)
    top = float(-shapes @ np.log(1 - saddle * factors)) - math.log(saddle)
    total = 0.0
    for heights, weights in zip(_HEIGHTS, _WEIGHTS, strict=True):
        line = saddle + 1j * width * heights
        logs = -(np.log(1 - np.multiply.outer(line, factors)) @ shapes) - np.log(line)
        values = np.exp(logs - top).real * weights
        total += float(values.sum())
        if abs(values[-1]) < _NEGLIGIBLE:
            break
    return min(max(math.exp(top) * total * width, 0.0), 1.0)


def _saddle(factors: np.ndarray, shapes: np.ndarray) -> tuple[float, float]:
    """Return where in (0, 1) the integrand is smallest, and its width there.

    The largest factor is 1. Newton's method, halving the bracket where it would leave it.
    """
    low, high, at = 0.0, 1.0, 0.5
    for _ in range(60):
        rates = factors / (1 - factors * at)
        slope = float(shapes @ rates) - 1 / at
        low, high = (low, at) if slope > 0 else (at, high)
        after = at - slope / (float(shapes @ rates**2) + at**-2)
        after = after if low < after < high else (low + high) / 2
        done = abs(after - at) < 1e-2 * min(at, 1 - at)  # near is enough
        at = after
        if done:
            break
    rates = factors / (1 - factors * at)
    return at, (float(shapes @ rates**2) + at**-2) ** -0.5

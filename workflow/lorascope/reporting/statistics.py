"""How sure an accuracy is, and how sure a difference between two runs on the same items is.

An accuracy is the mean credit of its items, each 0 (wrong) to 1 (right); a metric such as F1
gives fractions. All accuracies, differences and interval ends are in percent (percentage
points). Every interval is at 95 % and two-sided, and ends where the test beside it has p = .05.

``make coverage`` measures how often the intervals hold the true value: at least 95 % of the time
for 5 to 500 items, right or wrong or in fractions, alone or 2 to 4 about a clip, with 0 to 50 %
of them lost, as far as simulating can tell; with clips of 1 and of 10 items, too, but not where
there are five of them and the large ones are lost more often (85 %). At few items they hold more
often, up to always: they are wide there, most of all where many questions share a clip and few of
them change. The score intervals of Wilson (1927) and Tango (1998) go down to 90 and 93 %, and a
percentile bootstrap to 0, so they are not used, but in ``published_difference``.

Means without natural ends (word error rates, log-likelihoods) have no worst clip that must be
right: the imagined one is an approximation (``beyond``, ``Ratio.mirrored``). For 10 to 500 items
about clips of their own, with words or tokens as weights, in 200 simulated studies of each kind and
size, intervals of the value held at least 96 % of the time, those of the difference at least 98 %,
and one-sided bounds of the retention at 95 % at least 94 %. The difference of word error rates held
less often where what moves it is rare: 92 % where 5 of 100 transcripts change, by half of their
words, and 90 % where 3 of 100 run on into three errors a word, both at 50 to 100 items.
"""

# Few reports look for a root, and scipy.optimize is a tenth of the start of all of them.
# ruff: noqa: PLC0415

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainccinv, betaincinv, ndtr, ndtri

from lorascope.reporting.bootstrap import Ratio, clip_profiles

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
_REACH = 2.0  # of an imagined clip, in distances of the farthest clip from the mean
_FARTHEST = 1e12  # a mean without bounds is looked for up to here
_MOST_DEVIATIONS = 37.0  # beyond it a p-value is 0 in double precision


@dataclass(frozen=True)
class PairedDifference:
    """One run minus another on the same items; ``difference`` and its interval in points."""

    gained: int  # items for which the first run is better
    lost: int  # items for which the second run is better
    difference: Fraction | float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class PublishedDifference:
    """A run minus a published accuracy; ``difference`` and its interval in points."""

    difference: Fraction
    low: float
    high: float
    p_value: float


def total_credit(credits: ArrayLike) -> Fraction:
    """Return the sum of the credits, rounded once and exact from there on.

    Whole credits have a whole sum. Of fractions, the correctly rounded sum is taken
    (``math.fsum``), and means the decimal it is written as: three thirds are 1, ten tenths, too,
    whatever the order of the items.
    """
    return Fraction(repr(math.fsum(np.asarray(credits, dtype=float))))


def is_whole(credits: ArrayLike) -> bool:
    """Return whether every credit is 0 or 1, so that an accuracy is a binomial proportion."""
    return bool(np.isin(credits, (0, 1)).all())


def accuracy_interval(credits: ArrayLike, clips: ArrayLike) -> tuple[float, float]:
    """Return the interval of 100 * mean(credits).

    credits: [items] 0 to 1; clips: [items] what items share. It is the one of ``Mean``,
    which is Clopper's and Pearson's where items are right or wrong and share nothing.
    """
    credits, clips = np.asarray(credits), np.asarray(clips)
    if is_alone(credits, clips):
        return clopper_pearson(int(total_credit(credits)), len(credits))
    return Mean(credits, clips, 0).interval()


def is_alone(credits: ArrayLike, clips: ArrayLike) -> bool:
    """Return whether items are right or wrong and share nothing: independent and binomial."""
    return is_whole(credits) and len(np.unique(clips)) == np.size(clips)


@lru_cache(maxsize=65_536)
def clopper_pearson(correct: int, total: int) -> tuple[float, float]:
    """Return the exact binomial interval of ``correct`` out of ``total``, in percent.

    It holds at least as often as it says at any count (Clopper & Pearson 1934,
    doi:10.1093/biomet/26.4.404).
    """
    wrong = total - correct
    low = betaincinv(correct, wrong + 1, TAIL) if correct else 0.0
    high = betainccinv(correct + 1, wrong, TAIL) if wrong else 1.0
    return 100 * float(low), 100 * float(high)


@lru_cache(maxsize=65_536)
def wilson(correct: int, total: int, tail: float = TAIL) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct`` out of ``total``, in percent.

    tail: the probability beyond each end (Wilson 1927, doi:10.1080/01621459.1927.10502953).
    """
    share, deviations = correct / total, -float(ndtri(tail))
    scale = 1 + deviations**2 / total
    centre = (share + deviations**2 / (2 * total)) / scale
    spread = math.sqrt(share * (1 - share) / total + deviations**2 / (4 * total**2))
    distance = deviations * spread / scale
    return 100 * max(0.0, centre - distance), 100 * min(1.0, centre + distance)


Worst: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, float]]
"""Weights and sums of distinct clips, and how many there are of each -> the least and the largest
sum that a clip could have that is as large as the largest."""


def beyond(reach: float | None, signed: bool) -> Worst:
    """Return how far a clip may go where nothing bounds its values.

    It is to a sum of ``reach`` (None: its weight), or twice as far off the mean as the farthest
    clip that there is, whichever is more; differences (``signed``) may go so far either way. Values
    of which none is below 0 are never. Further than that, see ``Ratio.mirrored``.
    """

    def ends(weights: np.ndarray, sums: np.ndarray, clips: np.ndarray) -> tuple[float, float]:
        size = float(weights.max())
        centre = float(clips @ sums / (clips @ weights))
        off = _REACH * float(np.abs(sums - centre * weights).max())
        least = size if reach is None else reach
        low, high = centre * size - off, max(centre * size + off, least)
        if signed:
            return min(low, -least), high
        return low if sums.min() < 0 else max(low, 0.0), high

    return ends


class Mean:
    """The mean of items that may share clips: what it may be.

    Its bounds are those of ``lorascope.reporting.bootstrap``, so they leave room where all values
    are equal, too.
    """

    def __init__(
        self,
        values: ArrayLike,
        clips: ArrayLike,
        least: float,
        weights: ArrayLike | None = None,
        worst: Worst | None = None,
        times: int = 1,
    ) -> None:
        """Take what items add to the mean, and what they share.

        values: [items], by weight between ``least`` and 1, unless ``worst`` says how far a clip
        may go. clips: [items]. weights: [items] what each item counts; None is 1. The mean is
        sum(values) / sum(weights). times: how many times over the clips are given, under other
        names; they count once in all.
        """
        each = np.ones(np.size(values)) if weights is None else weights
        profiles, given = clip_profiles(clips, each, values)
        sizes, sums = profiles.T
        counts = given / times
        size = float(sizes.max())
        low, high = worst(sizes, sums, counts) if worst else (size * least, size)
        floor = 0.0 if least == 0 and sums.min() >= 0 else -_FARTHEST
        self._ends = (floor, _FARTHEST) if worst else (least, 1.0)
        self._below = Ratio(sums, sizes, counts, (low, size), bool(worst))
        # of the negative mean
        self._above = Ratio(-sums, sizes, counts, (-high, size), bool(worst))

    def interval(self, tail: float = TAIL) -> tuple[float, float]:
        """Return the interval of 100 * the mean with probability ``tail`` beyond each end."""
        low, high = self.ends(tail)
        return 100 * low + 0.0, 100 * high + 0.0

    def ends(self, tail: float = TAIL) -> tuple[float, float]:
        """Return the interval of the mean with probability ``tail`` beyond each end.

        An end is infinite where there are too few clips to say: up to 5, of values without bounds.
        """
        least, most = self._ends
        low = self._below.quantile(tail, least, most)
        high = -self._above.quantile(tail, -most, -least)
        return _ended(low), _ended(high)

    def p_below(self, mean: float) -> float:
        """Return the one-sided p-value of the hypothesis that the mean is at most ``mean``."""
        return self._below.at_most(mean)

    def p_above(self, mean: float) -> float:
        """Return the one-sided p-value of the hypothesis that the mean is at least ``mean``."""
        return self._above.at_most(-mean)

    def p_value(self, mean: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the mean is ``mean``.

        It is below .05 exactly if the interval leaves ``mean`` out.
        """
        return min(1.0, 2 * min(self.p_below(mean), self.p_above(mean)))


def _ended(end: float) -> float:
    return math.copysign(math.inf, end) if abs(end) >= _FARTHEST else end


def paired_difference(a: ArrayLike, b: ArrayLike, clips: ArrayLike) -> PairedDifference:
    """Compare two runs on the same items (arXiv:2411.00640, section 4.2).

    a, b: [items] credits, 0 to 1, in the same order of items; the difference is a - b.
    clips: [items] what items share. Interval and p-value are those of the ``Mean`` of the items'
    differences: where items are right or wrong and share nothing, the p-value is the exact
    McNemar test's (McNemar 1947, doi:10.1007/BF02295996).
    Raises ValueError if the three differ in length or are empty.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    mean = _mean_difference(a, b, clips)
    low, high = mean.interval()
    return PairedDifference(
        gained=int((a > b).sum()),
        lost=int((a < b).sum()),
        difference=100 * (total_credit(a) - total_credit(b)) / len(a),
        low=low,
        high=high,
        p_value=mean.p_value(),
    )


def paired_p_value(a: ArrayLike, b: ArrayLike, clips: ArrayLike) -> float:
    """Return the p-value of ``paired_difference`` alone, at a fraction of the cost."""
    return _mean_difference(np.asarray(a, dtype=float), np.asarray(b, dtype=float), clips).p_value()


def _mean_difference(a: np.ndarray, b: np.ndarray, clips: ArrayLike) -> Mean:
    if not len(a) == len(b) == np.size(clips) or len(a) == 0:
        raise ValueError(
            f"want equally many, got {len(a)}, {len(b)} credits and {np.size(clips)} clips"
        )
    return Mean(a - b, clips, -1)


def published_difference(
    credits: ArrayLike, clips: ArrayLike, correct: int, total: int
) -> PublishedDifference:
    """Compare a run with a published accuracy: ``correct`` of ``total`` items, which do not pair.

    credits: [items] 0 to 1; clips: [items] what items share. Items that are right or wrong and
    share nothing have Newcombe's score interval for two independent proportions (Newcombe 1998,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10): the
    distances to the ends of both Wilson intervals, squared and added. Otherwise ``Mean``
    takes the place of the run's (Zou & Donner 2008, doi:10.1002/sim.3095). The p-value is twice
    the tail at which the interval ends at 0. It holds the truth at least 94 % of the time from 50
    items against 100 published ones on, except near 0 and 100 %; there and below, down to 90 %.
    """
    own, theirs = total_credit(credits) / np.size(clips), Fraction(correct, total)
    alone, mean = is_alone(credits, clips), Mean(credits, clips, 0)

    def ends(tail: float) -> tuple[float, float]:
        low, high = (
            wilson(int(own * np.size(clips)), np.size(clips), tail)
            if alone
            else mean.interval(tail)
        )
        their_low, their_high = wilson(correct, total, tail)
        ours, published = 100 * float(own), 100 * float(theirs)
        return (
            100 * float(own - theirs) - math.hypot(ours - low, their_high - published),
            100 * float(own - theirs) + math.hypot(high - ours, published - their_low),
        )

    def distance(deviations: float) -> float:
        low, high = ends(float(ndtr(-deviations)))
        return low if own > theirs else -high

    return PublishedDifference(100 * (own - theirs), *ends(TAIL), _two_sided(distance))


def _two_sided(distance: Callable[[float], float]) -> float:
    """Return the p-value of 0, from its distance to the interval by the latter's deviations."""
    from scipy.optimize import brentq

    if distance(0.0) <= 0:
        return 1.0
    if distance(_MOST_DEVIATIONS) >= 0:
        return 0.0
    return 2 * float(ndtr(-brentq(distance, 0.0, _MOST_DEVIATIONS)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given.

    Comparing them with a level bounds the chance of even one false finding in the family by
    that level, whatever the dependence (Holm 1979, https://www.jstor.org/stable/4615733).
    """
    order = np.argsort(p_values)
    stepped = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(p) for p in adjusted]

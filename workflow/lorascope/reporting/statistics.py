"""How sure an accuracy is, and how sure a difference between two runs on the same items is.

An accuracy is the mean credit of its items, each 0 (wrong) to 1 (right); a metric such as F1
gives fractions. All accuracies, differences and interval ends are in percent (percentage
points). scipy and statsmodels are imported on first use, so that planning stays light.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

CONFIDENCE = 0.95
RESAMPLES = 5_000
SEED = 20_240_601


@dataclass(frozen=True)
class PairedDifference:
    """One run minus another on the same items; ``difference`` and its interval in points."""

    gained: int  # items for which the first run has the larger credit
    lost: int  # items for which the second run has the larger credit
    difference: Fraction
    low: float
    high: float
    p_value: float | None  # exact McNemar; None for fractions and where items share clips


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
    """Return the 95 % interval of 100 * mean(credits).

    credits: [items] 0 to 1; clips: [items] what items share. Wilson's interval where items are
    right or wrong and share nothing, the clip-clustered bootstrap's otherwise.
    """
    credits, clips = np.asarray(credits), np.asarray(clips)
    if is_whole(credits) and len(np.unique(clips)) == len(clips):
        return wilson(int(total_credit(credits)), len(credits))
    return clustered_interval(credits, clips)


@lru_cache(maxsize=65_536)
def wilson(correct: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct`` out of ``total``, in percent.

    Unlike the normal approximation it holds at small counts and at 0 or all correct
    (Wilson 1927, doi:10.1080/01621459.1927.10502953; arXiv:2503.01747 for language models).
    Raises ValueError unless 0 <= correct <= total and total > 0.
    """
    interval = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


@lru_cache(maxsize=65_536)
def mcnemar_exact(gained: int, lost: int) -> float:
    """Return the two-sided exact McNemar p-value of the two discordant counts.

    The concordant pairs carry no information (McNemar 1947, doi:10.1007/BF02295996); without a
    discordant pair the value is 1.
    """
    if gained + lost == 0:
        return 1.0
    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def clustered_interval(
    values: ArrayLike,
    clips: ArrayLike,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of 100 * mean(values), resampling whole clips.

    values: [items] numbers, for instance credits or their paired differences.
    clips: [items] what items share; the questions about one clip are not independent, so they
    are drawn together (the cluster bootstrap, Davison & Hinkley 1997, section 3.8).

    Only a clip's number of items and their sum enter the mean, so clips with equal pairs are
    counted first and the bootstrap draws those counts from the multinomial distribution: the
    same distribution as drawing clips one by one, at a fraction of the cost. The seed is fixed:
    equal data give equal intervals. If all clips are alike the interval has no width.
    """
    profiles, counts = clip_profiles(clips, np.ones_like(values, dtype=float), values)
    clips_total = int(counts.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(clips_total, counts / clips_total, size=resamples) @ profiles
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [tail, 1 - tail])
    return 100 * float(low), 100 * float(high)


def clip_profiles(clips: ArrayLike, *values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct sums of ``values`` per clip, and how many clips have each.

    clips: [items]; values: [items] each. Returns profiles [distinct, values] and counts
    [distinct]. Sums are rounded to 9 decimals, so that the order of items cannot tell them apart.
    """
    _, clip = np.unique(np.asarray(clips), return_inverse=True)
    sums = [np.bincount(clip, weights=np.asarray(one, dtype=float)) for one in values]
    return np.unique(np.stack(sums, axis=1).round(9), axis=0, return_counts=True)


def paired_difference(
    a: ArrayLike, b: ArrayLike, clips: ArrayLike, confidence: float = CONFIDENCE
) -> PairedDifference:
    """Compare two runs on the same items (arXiv:2411.00640, section 4.2).

    a, b: [items] credits, 0 to 1, in the same order of items; the difference is a - b.
    clips: [items] what items share. The interval is clustered by it; the McNemar test cannot be,
    and knows right and wrong only, so it is left out where items share clips or have fractions.
    Raises ValueError if the three differ in length or are empty.
    """
    a, b, clips = np.asarray(a, dtype=float), np.asarray(b, dtype=float), np.asarray(clips)
    if not len(a) == len(b) == len(clips) or len(a) == 0:
        raise ValueError(
            f"want equally many, got {len(a)}, {len(b)} credits and {len(clips)} clips"
        )
    gained, lost = int((a > b).sum()), int((a < b).sum())
    low, high = clustered_interval(a - b, clips, confidence)
    difference = 100 * (total_credit(a) - total_credit(b)) / len(a)
    tested = is_whole(a) and is_whole(b) and len(np.unique(clips)) == len(clips)
    p_value = mcnemar_exact(gained, lost) if tested else None
    return PairedDifference(gained, lost, difference, low, high, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given.

    Comparing them with a level bounds the chance of even one false finding in the family by
    that level, whatever the dependence (Holm 1979, https://www.jstor.org/stable/4615733).
    """
    if len(p_values) == 0:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]

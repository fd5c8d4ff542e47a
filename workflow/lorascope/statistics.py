"""How sure an accuracy is, and how sure a difference between two runs on the same items is.

All accuracies, differences and interval ends are in percent (percentage points). scipy and
statsmodels are imported on first use, so that planning stays light.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
RESAMPLES = 5_000
SEED = 20_240_601


@dataclass(frozen=True)
class PairedDifference:
    """One run minus another on the same items; ``difference`` and its interval in points."""

    gained: int  # items only the first run answers correctly
    lost: int  # items only the second run answers correctly
    difference: float
    low: float
    high: float
    p_value: float


@lru_cache(maxsize=65_536)
def wilson(correct: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct`` out of ``total``, in percent.

    Unlike the normal approximation it holds at small counts and at 0 or all correct
    (Wilson 1927, doi:10.1080/01621459.1927.10502953; arXiv:2503.01747 for language models).
    Raises ValueError unless 0 <= correct <= total and total > 0.
    """
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


@lru_cache(maxsize=65_536)
def mcnemar_exact(gained: int, lost: int) -> float:
    """Return the two-sided exact McNemar p-value of the two discordant counts.

    The concordant pairs carry no information (McNemar 1947, doi:10.1007/BF02295996); without a
    discordant pair the value is 1.
    """
    from statsmodels.stats.contingency_tables import mcnemar

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

    values: [items] numbers, for instance correct flags or their paired differences.
    clips: [items] what items share; the questions about one clip are not independent, so they
    are drawn together (the cluster bootstrap, Davison & Hinkley 1997, section 3.8).

    Only a clip's number of items and their sum enter the mean, so clips with equal pairs are
    counted first and the bootstrap draws those counts from the multinomial distribution: the
    same distribution as drawing clips one by one, at a fraction of the cost. The seed is fixed:
    equal data give equal intervals. If all clips are alike the interval has no width.
    """
    values = np.asarray(values)
    _, clip = np.unique(np.asarray(clips), return_inverse=True)
    per_clip = np.stack([np.bincount(clip), np.bincount(clip, weights=values)], axis=1)
    profiles, counts = np.unique(per_clip, axis=0, return_counts=True)
    clips_total = int(counts.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(clips_total, counts / clips_total, size=resamples) @ profiles
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [tail, 1 - tail])
    return 100 * float(low), 100 * float(high)


def paired_difference(
    a: ArrayLike, b: ArrayLike, clips: ArrayLike, confidence: float = CONFIDENCE
) -> PairedDifference:
    """Compare two runs on the same items (arXiv:2411.00640, section 4.2).

    a, b: [items] correct flags in the same order of items; the difference is a - b.
    clips: [items] what items share. The interval is clustered by it; the McNemar test is not,
    so it wants items that share no clip, such as those of one category.
    Raises ValueError if the three differ in length or are empty.
    """
    a, b, clips = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool), np.asarray(clips)
    if not len(a) == len(b) == len(clips) or len(a) == 0:
        raise ValueError(f"want equally many, got {len(a)}, {len(b)} flags and {len(clips)} clips")
    gained, lost = int((a & ~b).sum()), int((b & ~a).sum())
    low, high = clustered_interval(a.astype(np.int64) - b, clips, confidence)
    difference = 100 * (gained - lost) / len(a)
    return PairedDifference(gained, lost, difference, low, high, mcnemar_exact(gained, lost))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values, in the order given.

    Comparing them with a level bounds the chance of even one false finding in the family by
    that level, whatever the dependence (Holm 1979, https://www.jstor.org/stable/4615733).
    """
    from statsmodels.stats.multitest import multipletests

    if len(p_values) == 0:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]

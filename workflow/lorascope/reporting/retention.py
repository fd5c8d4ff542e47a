"""How much of a score is kept after fine-tuning, and whether that is certainly enough.

Retention is a run's score divided by the base's on the same items. A point estimate alone is a
weak gate: a model whose true retention is exactly the one asked for passes it half the time. So
the verdict rests on bounds whose error rate is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lorascope.reporting.bootstrap import Ratio, clip_profiles
from lorascope.reporting.statistics import holm, total_credit

Verdict = Literal["pass", "fail", "undecided"]

_FARTHEST = -1e3  # a retention above chance is looked for from here on


@dataclass(frozen=True)
class Retained:
    """Shares of the base's score; None where the base leaves nothing to divide by.

    ``lower`` and ``upper`` are one-sided bounds of ``retention``, each at the confidence asked
    for. ``corrected`` is the retention of what exceeds chance, ``corrected_lower`` its bound; both
    None for a task without a chance level or a base that does not exceed it. ``p_below`` is the
    p-value against the retention being below what is asked for, ``p_above`` against its being
    that or more. ``verdict`` is that of this gate alone, ``point_verdict`` that of the estimate.
    """

    retention: float | None
    lower: float | None
    upper: float | None
    corrected: float | None
    corrected_lower: float | None
    p_below: float
    p_above: float
    verdict: Verdict
    point_verdict: Verdict


_NOTHING = Retained(None, None, None, None, None, 1.0, 1.0, "undecided", "undecided")


def retained(
    credits: ArrayLike,
    base: ArrayLike,
    clips: ArrayLike,
    at_least: float,
    confidence: float,
    chance: float | None = None,
) -> Retained:
    """Return how much of the base's mean credit a run keeps, and the verdict on it.

    credits, base: [items] 0 to 1, in the same order of items. clips: [items] what items share.
    at_least: the share to keep, such as 0.9. confidence: of each bound, such as 0.95.
    chance: the mean credit of guessing, where there is such a thing.

    The verdict is pass if the lower bound is at least ``at_least``, fail if the upper bound is
    below it, otherwise undecided; the point verdict compares the estimate alone. The bounds are
    those of ``lorascope.reporting.bootstrap``: for right and wrong answers of a perfect base, the
    lower one is the exact binomial bound.
    Raises ValueError if the three arrays differ in length or are empty.
    """
    credits, base = np.asarray(credits, dtype=float), np.asarray(base, dtype=float)
    if not len(credits) == len(base) == len(np.asarray(clips)) or len(base) == 0:
        raise ValueError(f"want equally many credits, got {len(credits)} and {len(base)}")
    score, whole, level = total_credit(credits), total_credit(base), len(base) * (chance or 0)
    if not whole:
        return _NOTHING
    retention = float(score / whole)
    most = len(base) / float(whole)  # no run keeps more than a full score
    below, above = _bounds(credits, base, clips)
    p_below = below.at_most(at_least)
    p_above = above.at_most(-at_least) if at_least <= most else 0.0
    tail, corrected, corrected_lower = 1 - confidence, None, None
    if chance is not None and whole > level:
        corrected = (float(score) - level) / (float(whole) - level)
        corrected_lower = _corrected_lower(credits, base, clips, chance, tail)
    return Retained(
        retention=retention,
        lower=below.quantile(tail, 0, most),
        upper=-above.quantile(tail, -most, 0),
        corrected=corrected,
        corrected_lower=corrected_lower,
        p_below=p_below,
        p_above=p_above,
        verdict=_verdict(p_below, p_above, confidence),
        point_verdict="pass" if retention >= at_least else "fail",
    )


def verdicts_together(gates: Sequence[Retained], confidences: Sequence[float]) -> list[Verdict]:
    """Return the verdicts on all gates of a study, which hold together.

    The p-values are adjusted for the number of gates (``holm``): the chance that even one gate
    passes that should not, or that even one fails that should not, is at most 1 - confidence, of
    however many gates.
    """
    below = holm([gate.p_below for gate in gates])
    above = holm([gate.p_above for gate in gates])
    return list(map(_verdict, below, above, confidences))


def _verdict(p_below: float, p_above: float, confidence: float) -> Verdict:
    if p_below <= 1 - confidence:
        return "pass"
    return "fail" if p_above <= 1 - confidence else "undecided"


def _bounds(credits: np.ndarray, base: np.ndarray, clips: ArrayLike) -> tuple[Ratio, Ratio]:
    """Return what bounds the retention from below, and what bounds its negative from below."""
    (_, runs, bases), counts, size = _profiles(credits, base, clips)
    below = Ratio(runs, bases, counts, (0.0, size))
    return below, Ratio(-runs, bases, counts, (-size, 0.0))


def _corrected_lower(
    credits: np.ndarray, base: np.ndarray, clips: ArrayLike, chance: float, tail: float
) -> float | None:
    """Return the lower bound of the retention above chance; None if the base may be below it.

    The probability that the base does not exceed chance is taken off ``tail``, for then there
    is no such retention.
    """
    (items, runs, bases), counts, size = _profiles(credits, base, clips)
    worst = (-chance * size, size - chance * size)
    over, under = runs - chance * items, bases - chance * items
    none = Ratio(under, items, counts, (worst[1], size)).at_most(0.0)
    bound = Ratio(over, under, counts, worst)
    if none >= tail or bound.at_most(_FARTHEST) >= tail - none:
        return None
    return bound.quantile(tail - none, _FARTHEST, -_FARTHEST)


def _profiles(
    credits: np.ndarray, base: np.ndarray, clips: ArrayLike
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return [3, distinct] items, credits, base's credits; how many clips; the largest's items."""
    profiles, counts = clip_profiles(clips, np.ones(len(base)), credits, base)
    return profiles.T, counts, float(profiles[:, 0].max())

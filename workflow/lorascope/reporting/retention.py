"""How much of a score is kept after fine-tuning, and whether that is certainly enough.

Retention is a run's score divided by the base's on the same items, or the other way round where
lower is better. A point estimate alone is a
weak gate: a model whose true retention is exactly the one asked for passes it half the time. So
the verdict rests on bounds whose error rate is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from lorascope.reporting.bootstrap import Ratio, clip_profiles
from lorascope.reporting.measures import Pair, mean_difference, reach_of
from lorascope.reporting.statistics import Mean, beyond, holm, total_credit
from lorascope.scoring.item_score import ACCURACY, Measure

Verdict = Literal["pass", "fail", "undecided"]

_FARTHEST = -1e3  # a retention above chance is looked for from here on
_MOST = 1e9  # a retention without bounds is looked for up to here
_LARGEST_LOG = math.log(_MOST)


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


NOTHING = Retained(None, None, None, None, None, 1.0, 1.0, "undecided", "undecided")


def retained(
    pair: Pair,
    at_least: float,
    confidence: float,
    chance: float | None = None,
    measure: Measure = ACCURACY,
) -> Retained:
    """Return how much of the base's value a run keeps, and the verdict on it.

    at_least: the share to keep, such as 0.9. confidence: of each bound, such as 0.95.
    chance: the mean credit of guessing, where there is such a thing. measure: what the credits are
    of. Where lower is better, what is kept is the base's value divided by the run's: 0.9 is kept of
    a perplexity of 18 if the run's is 20.

    The verdict is pass if the lower bound is at least ``at_least``, fail if the upper bound is
    below it, otherwise undecided; the point verdict compares the estimate alone. The bounds are
    those of ``lorascope.reporting.bootstrap``: for right and wrong answers of a perfect base, the
    lower one is the exact binomial bound. There is no verdict where a credit is missing or below
    0 (but as a log-likelihood), or the two values are 0.
    Raises ValueError if the arrays of the pair differ in length or are empty.
    """
    lengths = {len(pair.credits), len(pair.base), len(pair.clips)}
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError(f"want equally many credits, got {len(pair.credits)} and {len(pair.base)}")
    kept = None
    if pair.has_unit(measure) and not np.isnan(pair.credits + pair.base).any():
        way = _of_exponential if measure.scale == "exponential" else _of_ratio
        kept = way(measure, pair)
    if kept is None:
        return NOTHING
    p_below, p_above = kept.p_below(at_least), kept.p_above(at_least)
    tail, corrected, corrected_lower = 1 - confidence, None, None
    if chance is not None:
        corrected, corrected_lower = _above_chance(pair, chance, tail)
    return Retained(
        retention=kept.retention,
        lower=kept.lower(tail),
        upper=kept.upper(tail),
        corrected=corrected,
        corrected_lower=corrected_lower,
        p_below=p_below,
        p_above=p_above,
        verdict=_verdict(p_below, p_above, confidence),
        point_verdict="pass" if kept.retention >= at_least else "fail",
    )


def widened(found: Retained, worst: Retained, best: Retained, confidence: float) -> Retained:
    """Return what is retained where items are unjudged, whose credits nobody knows.

    found: on the items that are judged in both; worst, best: with all others against the run, and
    for it. The bounds and p-values are those of the extremes, so that no verdict hangs on what a
    judge failed on: pass or fail is what it would be whatever those items are.
    """
    p_below, p_above = (
        max(getattr(one, name) for one in (found, worst, best)) for name in ("p_below", "p_above")
    )
    return replace(
        found,
        lower=worst.lower,
        upper=best.upper,
        corrected_lower=worst.corrected_lower,
        p_below=p_below,
        p_above=p_above,
        verdict=_verdict(p_below, p_above, confidence),
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


class _Kept(Protocol):
    """A retention, and what it may be: p-values of its being at most and at least so much."""

    retention: float

    def p_below(self, share: float) -> float: ...
    def p_above(self, share: float) -> float: ...
    def lower(self, tail: float) -> float | None: ...
    def upper(self, tail: float) -> float | None: ...


@dataclass(frozen=True)
class _KeptOfRatio:
    """``below`` bounds the retention from below, ``above`` its negative; ``most`` can be kept."""

    retention: float
    below: Ratio
    above: Ratio
    most: float

    def p_below(self, share: float) -> float:
        return self.below.at_most(share)

    def p_above(self, share: float) -> float:
        return self.above.at_most(-share) if share <= self.most else 0.0

    def lower(self, tail: float) -> float:
        return self.below.quantile(tail, 0, self.most)

    def upper(self, tail: float) -> float | None:
        if math.isinf(self.retention):
            return None
        found = -self.above.quantile(tail, -self.most, 0)
        return None if found >= _MOST else found


def _of_ratio(measure: Measure, pair: Pair) -> _KeptOfRatio | None:
    """Return what is kept of a mean, None where that is no share of anything.

    Weights that differ are taken for constants in the sums that the means divide by.
    """
    credits, base = _by_common_weights(pair)
    over, under = (credits, base) if measure.higher_is_better else (base, credits)
    kept, whole = total_credit(over), total_credit(under)
    if min(credits.min(), base.min()) < 0 or (not whole and (not kept or measure.higher_is_better)):
        return None
    profiles, counts = clip_profiles(pair.clips, pair.common, over, under)
    sizes, overs, unders = profiles.T

    def largest(sums: np.ndarray) -> float:
        """Return the largest sum that a clip could have."""
        if measure.bounded:
            return float(sizes.max())
        return beyond(reach_of(measure, pair), signed=False)(sizes, sums, counts)[1]

    bounded = measure.bounded and measure.higher_is_better
    return _KeptOfRatio(
        retention=float(kept / whole) if whole else math.inf,
        below=Ratio(overs, unders, counts, (0.0, largest(unders)), not measure.bounded),
        above=Ratio(-overs, unders, counts, (-largest(overs), 0.0), not measure.bounded),
        # no run keeps more than a full score
        most=float(total_credit(pair.common) / whole) if bounded else _MOST,
    )


def _by_common_weights(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return [items] credits of run and base that have their means by the common weights."""
    if pair.alike:
        return pair.credits, pair.base
    whole = pair.common.sum()
    return pair.credits * whole / pair.weights.sum(), pair.base * whole / pair.base_weights.sum()


@dataclass(frozen=True)
class _KeptOfExponential:
    """``mean`` is what the log of the retention is, or its negative (``sign``)."""

    retention: float
    mean: Mean
    sign: int

    def p_below(self, share: float) -> float:
        log = math.log(share)
        return self.mean.p_below(log) if self.sign > 0 else self.mean.p_above(-log)

    def p_above(self, share: float) -> float:
        log = math.log(share)
        return self.mean.p_above(log) if self.sign > 0 else self.mean.p_below(-log)

    def lower(self, tail: float) -> float:
        low, high = self.mean.ends(tail)
        return _exp(low if self.sign > 0 else -high)

    def upper(self, tail: float) -> float | None:
        low, high = self.mean.ends(tail)
        found = _exp(high if self.sign > 0 else -low)
        return None if found >= _MOST else found


def _of_exponential(measure: Measure, pair: Pair) -> _KeptOfExponential:
    """Return what is kept of an exponential of a mean: the exponential of a difference."""
    sign = 1 if measure.higher_is_better else -1
    log = float((total_credit(pair.credits) - total_credit(pair.base)) / total_credit(pair.weights))
    return _KeptOfExponential(_exp(sign * log), mean_difference(measure, pair), sign)


def _exp(log: float) -> float:
    return math.exp(log) if log < _LARGEST_LOG else _MOST


def _above_chance(pair: Pair, chance: float, tail: float) -> tuple[float | None, float | None]:
    """Return the retention above chance and its lower bound; None where the base is not above."""
    level = len(pair.base) * chance
    score, whole = float(total_credit(pair.credits)), float(total_credit(pair.base))
    if whole <= level:
        return None, None
    return (score - level) / (whole - level), _corrected_lower(pair, chance, tail)


def _corrected_lower(pair: Pair, chance: float, tail: float) -> float | None:
    """Return the lower bound of the retention above chance; None if the base may be below it.

    The probability that the base does not exceed chance is taken off ``tail``, for then there
    is no such retention.
    """
    each = np.ones(len(pair.base))
    profiles, counts = clip_profiles(pair.clips, each, pair.credits, pair.base)
    items, runs, bases = profiles.T
    size = float(items.max())
    worst = (-chance * size, size - chance * size)
    over, under = runs - chance * items, bases - chance * items
    none = Ratio(under, items, counts, (worst[1], size)).at_most(0.0)
    bound = Ratio(over, under, counts, worst)
    if none >= tail or bound.at_most(_FARTHEST) >= tail - none:
        return None
    return bound.quantile(tail - none, _FARTHEST, -_FARTHEST)

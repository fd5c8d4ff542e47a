"""What the value of a category is, by the measure of its credits, and how sure it is.

With the mean, sum of credits / sum of weights, the value is 100 times the mean (percent), the mean
(plain) or its exponential, as ``Measure`` has it. All that is uncertain is the mean; intervals of
values are those of the mean, transformed.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from lorascope.reporting.statistics import (
    Mean,
    PairedDifference,
    Worst,
    accuracy_interval,
    beyond,
    paired_difference,
    paired_p_value,
    total_credit,
)
from lorascope.scoring.item_score import ACCURACY, Measure

Value: TypeAlias = Fraction | float
"""A category's value: exact, or rounded once; not a number where it has none."""
BETTER = {True: "higher", False: "lower"}
"""Whether higher is better -> in a word."""
_LARGEST = 709.0  # exp of more is beyond double precision


def counts_alike(measure: Measure, weights: np.ndarray) -> bool:
    """Return whether a value is a mean of shares in which every item counts the same."""
    return measure.is_share and bool((weights == 1).all())


def value_of(measure: Measure, credits: np.ndarray, weights: np.ndarray) -> Value:
    """Return the value of [items] credits and weights; not a number where a credit is missing.

    A perplexity that double precision cannot hold is infinite.
    """
    if np.isnan(credits).any():
        return math.nan
    mean = total_credit(credits) / total_credit(weights)
    if measure.scale == "exponential":
        return shown(measure, float(mean))
    return 100 * mean if measure.scale == "percent" else mean


def minus(value: Value, other: Value) -> Value:
    """Return the difference of two values, exact where both are."""
    if isinstance(value, Fraction) and isinstance(other, Fraction):
        return value - other
    return float(value) - float(other)


def rounded(value: Value, decimals: int) -> float:
    """Return a value to some decimals, rounded once."""
    return round(value, decimals) if isinstance(value, float) else float(round(value, decimals))


def shown(measure: Measure, mean: float) -> float:
    """Return the value that belongs to a mean."""
    if measure.scale == "exponential":
        return math.exp(mean) if mean < _LARGEST else math.inf
    return 100 * mean + 0.0 if measure.scale == "percent" else mean + 0.0


def value_interval(
    measure: Measure, credits: np.ndarray, weights: np.ndarray, clips: np.ndarray
) -> tuple[float, float]:
    """Return the interval of a value at 95 %: [items] credits, weights and what items share."""
    if np.isnan(credits).any():
        return math.nan, math.nan
    if counts_alike(measure, weights):
        return accuracy_interval(credits, clips)
    low, high = mean_of(measure, credits, weights, clips).ends()
    return shown(measure, low), shown(measure, high)


@dataclass(frozen=True)
class Pair:
    """Two runs on the same items, in the same order: [items] each, and what items share.

    Weights may differ where a reply decides them: of several references, each run is held against
    the one that it is nearest to.
    """

    credits: np.ndarray
    weights: np.ndarray
    base: np.ndarray
    base_weights: np.ndarray
    clips: np.ndarray

    @property
    def alike(self) -> bool:
        """Whether items weigh the same in both."""
        return np.array_equal(self.weights, self.base_weights)

    def has_unit(self, measure: Measure) -> bool:
        """Return whether the values of both have one unit: a rate by token has its tokenizer's."""
        return measure.scale == "percent" or self.alike

    @property
    def common(self) -> np.ndarray:
        """[items] weights for both, with the mean of their sums."""
        if self.alike:
            return self.weights
        sums = self.weights.sum(), self.base_weights.sum()
        weights: np.ndarray = (self.weights / sums[0] + self.base_weights / sums[1]) * sum(sums) / 4
        return weights

    @property
    def differences(self) -> np.ndarray:
        """[items] whose mean with the common weights is the difference of the means.

        Where weights differ, it is that of two ratios, to first order in the clips' random weights.
        """
        off: np.ndarray = self.credits - self.base
        if self.alike:
            return off
        sums = self.weights.sum(), self.base_weights.sum()
        means = self.credits.sum() / sums[0], self.base.sum() / sums[1]
        own = (self.credits - means[0] * self.weights) / sums[0]
        theirs = (self.base - means[1] * self.base_weights) / sums[1]
        off = (own - theirs) * sum(sums) / 2 + (means[0] - means[1]) * self.common
        return off


def difference(measure: Measure, pair: Pair) -> PairedDifference:
    """Compare a run with its base, as ``paired_difference`` does: its value less the base's.

    gained and lost count the items that are better and worse. What is tested is the difference of
    the means. Of an exponential, that is the log of the ratio of the values, r: the difference
    shown is the base's value * (r - 1), and so are its ends, the base's value being taken as it is.
    """
    if _counts_alike(measure, pair):
        return paired_difference(pair.credits, pair.base, pair.clips)
    found = mean_difference(measure, pair)
    low, high = (_difference_shown(measure, end, pair) for end in found.ends())
    ours, theirs = pair.credits * pair.base_weights, pair.base * pair.weights
    if pair.alike:
        ours, theirs = pair.credits, pair.base
    better, worse = int((ours > theirs).sum()), int((ours < theirs).sum())
    if not measure.higher_is_better:
        better, worse = worse, better
    value = value_of(measure, pair.credits, pair.weights)
    delta = minus(value, value_of(measure, pair.base, pair.base_weights))
    return PairedDifference(better, worse, delta, low, high, found.p_value())


def difference_p_value(measure: Measure, pair: Pair) -> float:
    """Return the p-value of ``difference`` alone, at a fraction of the cost."""
    if _counts_alike(measure, pair):
        return paired_p_value(pair.credits, pair.base, pair.clips)
    return mean_difference(measure, pair).p_value()


def mean_of(measure: Measure, credits: np.ndarray, weights: np.ndarray, clips: np.ndarray) -> Mean:
    """Return what the mean of [items] credits may be."""
    return Mean(credits, clips, 0, weights, worst_of(measure))


def worst_of(measure: Measure) -> Worst | None:
    """Return how far a clip that is not there yet may go; None where credits have ends."""
    if _is_bounded(measure):
        return None
    # Every word may be wrong.
    return beyond(None if measure.scale == "percent" else 0.0, signed=False)


def mean_difference(measure: Measure, pair: Pair) -> Mean:
    """Return what the difference of the means of a run and its base may be."""
    parts = (pair.differences, pair.clips)
    if _is_bounded(measure):
        return Mean(*parts, -1, pair.common)
    return Mean(*parts, -1, pair.common, beyond(reach_of(measure, pair), signed=True))


def reach_of(measure: Measure, pair: Pair) -> float | None:
    """Return how far a clip's sum may go in any case where nothing bounds it, as `beyond` has it.

    Of errors, as far as in the worst clip of either run, or as there are words where none is wrong.
    """
    if measure.scale != "percent":
        return 0.0
    _, clip = np.unique(pair.clips, return_inverse=True)
    sums = [np.bincount(clip, weights=credits).max() for credits in (pair.credits, pair.base)]
    return float(max(sums)) or None


def _is_bounded(measure: Measure) -> bool:
    return measure.bounded and measure.scale != "exponential"


def _counts_alike(measure: Measure, pair: Pair) -> bool:
    return counts_alike(measure, pair.weights) and pair.alike


def _difference_shown(measure: Measure, mean: float, pair: Pair) -> float:
    """Return the difference of values that belongs to one of means."""
    if measure.scale != "exponential":
        return shown(measure, mean)
    base = float(value_of(measure, pair.base, pair.base_weights))
    return base * math.expm1(mean) if mean < _LARGEST else math.inf


def measures_section(measures: Iterable[tuple[str, Measure]]) -> str:
    """Return what the categories measure, and which direction is better.

    measures: category and its measure. Nothing where all are accuracies.
    """
    groups: dict[Measure, list[str]] = {}
    for category, measure in measures:
        groups.setdefault(measure, []).append(category)
    if groups.keys() <= {ACCURACY}:
        return ""
    lines = [
        f"- {', '.join(names)}: {measure.title}{_unit(measure)}; "
        f"**{BETTER[measure.higher_is_better]} is better**."
        for measure, names in groups.items()
    ]
    return "\n\n".join(["## Measures", _READING, "\n".join(lines)])


_READING = (
    "Deltas are a run's value less its baseline's, whichever direction is better; gained and lost "
    "count the items that got better and worse."
)


def _unit(measure: Measure) -> str:
    if measure.scale == "exponential":
        return (
            ", the exponential of the mean negative log-likelihood; tests are of that mean, and a "
            "delta's interval takes the baseline's value as it is"
        )
    unit = ", in percent" if measure.scale == "percent" else ""
    return unit if measure.bounded else f"{unit}, without an upper bound"

"""How much of a score is kept after fine-tuning, and whether that is certainly enough.

Retention is a run's score divided by the base's on the same items. A point estimate alone is a
weak gate: a model whose true retention is exactly the one asked for passes it half the time. So
the verdict rests on bounds whose error rate is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lorascope.reporting.statistics import clip_profiles, total_credit

RESAMPLES = 5_000
SEED = 20_240_601
_BLOCK = 250  # resamples drawn at a time: their weights for 10,000 clips take 20 MB

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class Retained:
    """Shares of the base's score; None where the base leaves nothing to divide by.

    ``lower`` and ``upper`` are one-sided bounds of ``retention``, each at the confidence asked
    for. ``corrected`` is the retention of what exceeds chance, ``corrected_lower`` its bound; both
    None for a task without a chance level or a base that does not exceed it.
    """

    retention: float | None
    lower: float | None
    upper: float | None
    corrected: float | None
    corrected_lower: float | None
    verdict: Verdict
    point_verdict: Verdict


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
    below it, otherwise undecided; the point verdict compares the estimate alone.
    Raises ValueError if the three arrays differ in length or are empty.
    """
    credits, base = np.asarray(credits, dtype=float), np.asarray(base, dtype=float)
    if not len(credits) == len(base) == len(np.asarray(clips)) or len(base) == 0:
        raise ValueError(f"want equally many credits, got {len(credits)} and {len(base)}")
    score, whole, level = total_credit(credits), total_credit(base), len(base) * (chance or 0)
    if not whole:
        return Retained(None, None, None, None, None, "undecided", "undecided")
    retention = float(score / whole)
    lower, corrected_lower = _lower_bounds(credits, base, clips, confidence, chance or 0)
    # No run keeps more than a full score.
    upper = min(_upper_bound(credits, base, clips, confidence), len(base) / float(whole))
    corrects = chance is not None and whole > level
    return Retained(
        retention=retention,
        lower=lower,
        upper=upper,
        corrected=(float(score) - level) / (float(whole) - level) if corrects else None,
        corrected_lower=corrected_lower if corrects else None,
        verdict="pass" if lower >= at_least else "fail" if upper < at_least else "undecided",
        point_verdict="pass" if retention >= at_least else "fail",
    )


def _lower_bounds(
    credits: np.ndarray, base: np.ndarray, clips: ArrayLike, confidence: float, chance: float
) -> tuple[float, float | None]:
    """Return the lower bounds of the retention and of the chance-corrected one."""
    drawn = _resampled(credits, base, clips, worst=(0.0, 1.0))
    plain = np.quantile(_ratios(drawn, 0.0, -np.inf), 1 - confidence, method="lower")
    above = np.quantile(_ratios(drawn, chance, -np.inf), 1 - confidence, method="lower")
    return max(float(plain), 0.0), float(above) if np.isfinite(above) else None


def _upper_bound(
    credits: np.ndarray, base: np.ndarray, clips: ArrayLike, confidence: float
) -> float:
    """Return the upper bound of the retention; infinite if the base may well be 0."""
    drawn = _resampled(credits, base, clips, worst=(1.0, 0.0))
    return float(np.quantile(_ratios(drawn, 0.0, np.inf), confidence, method="higher"))


def _resampled(
    credits: np.ndarray, base: np.ndarray, clips: ArrayLike, worst: tuple[float, float]
) -> np.ndarray:
    """Return [resamples, 3]: items, and summed credit of the run and of the base, weighted.

    Clips are drawn together, both runs with the same weights: the Bayesian bootstrap (Rubin 1981,
    doi:10.1214/aos/1176345338) of the clips. One more clip, of mean size, has the credits
    ``worst`` of the run and of the base: the bound is then not too good on few clips,
    or when no clip happens to show a loss (Learned-Miller & Thomas 2019, arXiv:1905.06208, who
    conjecture that it holds for every bounded distribution; for right and wrong answers of a
    perfect base it is the exact binomial bound of Clopper and Pearson).

    Clips with equal sums are drawn at once: their Dirichlet weights add up to a gamma variable
    whose shape is their number. Divided by each other, the sums need no normalisation.
    """
    profiles, counts = clip_profiles(clips, np.ones(len(base)), credits, base)
    size = len(base) / counts.sum()
    profiles = np.vstack([profiles, size * np.array([1.0, *worst])])
    shapes = np.append(counts, 1)
    return np.concatenate([weights @ profiles for weights in _weights(shapes)])


def _weights(shapes: np.ndarray) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(SEED)
    for _ in range(RESAMPLES // _BLOCK):
        yield rng.standard_gamma(shapes, size=(_BLOCK, len(shapes)))


def _ratios(drawn: np.ndarray, chance: float, undefined: float) -> np.ndarray:
    """Return [resamples] run / base above ``chance``; ``undefined`` where the base is not."""
    items, run, base = drawn.T
    over, under = run - chance * items, base - chance * items
    ratios = np.full(len(drawn), undefined)
    np.divide(over, under, out=ratios, where=under > 0)
    return ratios

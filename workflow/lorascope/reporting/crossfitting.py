"""How good the best of several candidates is on new items: chosen on one part, scored on the other.

The score of a best candidate on the items that it was chosen on is too good. So the clips are dealt
to parts; each part is scored under what is chosen on all others, and the held-out scores of all
parts together are the score of the choice (cross-validation: Stone 1974,
doi:10.1111/j.2517-6161.1974.tb00994.x). Given its choosing part, a held-out score is unbiased for
the score on new items of what was chosen. It is the mean over many partitions, as one alone has a
choice that hangs on it.

The interval begins as that of one candidate's mean over clips. It is too short for a choice: parts
share the items that they choose on, and what is chosen differs. A bootstrap of the whole procedure
(random weights of clips, Rubin 1981, doi:10.1214/aos/1176345338) says by how much the score of the
choice misses the value of what is chosen on all items, and the interval is widened to that. ``make
coverage`` shows how often it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

REPEATS = 20
"""Partitions over which the score of a choice is averaged."""
DRAWS = 200
"""Of the bootstrap: its standard error is known to 5 %."""
MOST_UNITS = 400
"""Groups of clips that partitions and bootstrap move; fewer clips move one by one."""
NOTHING = -1
"""The choice where no candidate keeps enough."""
_DECIMALS = 12  # candidates that answer alike are equal, however their sums were rounded


@dataclass(frozen=True, eq=False)
class KeptSums:
    """A gate: [units, 4, candidates] sums of credits and of weights, and those of what is kept of.

    ``rises`` is whether higher is better, ``of_logs`` whether values are exponentials of means.
    """

    four: np.ndarray
    at_least: float
    rises: bool
    of_logs: bool

    def kept(self, own: np.ndarray) -> np.ndarray:
        """Return the part that is kept, from [..., 4, candidates] sums over some units.

        Of nothing, nothing (0 of 0) is kept whole, as nothing is lost.
        """
        sums, weights, base, base_weights = np.moveaxis(own, -2, 0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            run, of = sums / weights, base / base_weights
            if self.of_logs:
                return np.asarray(np.exp((run - of) if self.rises else (of - run)))
            return np.where((run == 0) & (of == 0), 1.0, run / of if self.rises else of / run)


@dataclass(frozen=True, eq=False)
class Sums:
    """What is chosen by: [units, candidates, categories] sums of credits and weights.

    A candidate's mean is the mean over categories of sums / weights. ``rises`` is whether higher is
    better. Of equal candidates the first is chosen.
    """

    sums: np.ndarray
    weights: np.ndarray
    rises: bool
    gates: tuple[KeptSums, ...] = ()

    def means(self, sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the means of [..., categories] sums; not a number where nothing is judged."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: np.ndarray = (sums / weights).mean(-1)
        return found

    def best(self, means: np.ndarray, passing: np.ndarray) -> np.ndarray:
        """Return [...] the best of [..., candidates] means that pass, or NOTHING."""
        goodness = means.round(_DECIMALS) * (1 if self.rises else -1)
        goodness = np.where(passing & np.isfinite(goodness), goodness, -np.inf)
        nothing = np.isneginf(goodness).all(-1)
        return np.where(nothing, NOTHING, goodness.argmax(-1))

    @cached_property
    def arrays(self) -> np.ndarray:
        """[units, columns] all that is summed over units, side by side."""
        units = len(self.sums)
        parts = [self.sums, self.weights, *(gate.four for gate in self.gates)]
        return np.concatenate([part.reshape(units, -1) for part in parts], axis=1)

    def split(self, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Return [rows, columns] totals as sums, weights and, by gate, [rows, 4, candidates]."""
        _, candidates, categories = self.sums.shape
        size = candidates * categories
        shape = (len(totals), candidates, categories)
        sums, weights = totals[:, :size].reshape(shape), totals[:, size : 2 * size].reshape(shape)
        rest = totals[:, 2 * size :].reshape(len(totals), len(self.gates), 4, candidates)
        return sums, weights, [*rest.swapaxes(0, 1)]

    def passing(self, gates: Sequence[np.ndarray], rows: int) -> np.ndarray:
        """Return [rows, candidates] whether all gates are passed, by what `split` has of them."""
        passed = np.ones((rows, self.sums.shape[1]), dtype=bool)
        for gate, own in zip(self.gates, gates, strict=True):
            passed &= gate.kept(own) >= gate.at_least
        return passed

    def choice(self, totals: np.ndarray) -> np.ndarray:
        """Return [rows] the choice by each of [rows, columns] totals."""
        sums, weights, gates = self.split(totals)
        return self.best(self.means(sums, weights), self.passing(gates, len(totals)))


def dealt(strata: np.ndarray, parts: int, times: int, seed: int = 0) -> np.ndarray:
    """Return [times, units] the part that each unit is dealt to, at random, each time anew.

    strata: [units]; each is dealt evenly, parts differ by one unit of it at most.
    """
    rng = np.random.default_rng(seed)
    found = np.empty((times, len(strata)), dtype=int)
    for row in found:
        order = np.lexsort((rng.random(len(strata)), strata))
        row[order] = np.arange(len(strata)) % parts
        row[:] = rng.permutation(parts)[row]
    return found


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """A choice, and how it scores: means, in the unit of credits by weight.

    chosen: the candidate that all items choose, or NOTHING. choices: [repeats, parts] those of the
    parts' choosing items. mean: the held-out mean; error: the standard error of its difference from
    the mean on new items of ``chosen``. kept: by gate, the part that is kept on held-out items.
    """

    chosen: int
    passing: np.ndarray
    means: np.ndarray
    parts: np.ndarray
    choices: np.ndarray
    mean: float
    error: float
    kept: tuple[float, ...]

    @property
    def shares(self) -> np.ndarray:
        """[candidates] how often each was chosen, of 1."""
        counts = np.bincount(self.choices[self.choices != NOTHING], minlength=len(self.means))
        return np.asarray(counts / self.choices.size)


def cross_fitted(data: Sums, strata: np.ndarray, parts: int, draws: int = DRAWS) -> CrossFitted:
    """Return the choice among candidates and its held-out mean; equal data give equal numbers.

    strata: [units] units of one are dealt evenly to parts.
    """
    units = len(strata)
    of = dealt(strata, parts, REPEATS)
    member = (of[:, None, :] == np.arange(parts)[:, None]).reshape(-1, units).astype(float)
    everything = data.arrays.sum(0, keepdims=True)
    sums, weights, gates = data.split(everything)
    means = data.means(sums, weights)
    passing = data.passing(gates, 1)
    chosen = int(data.best(means, passing)[0])
    choices, mean, kept = _held_out(data, member, np.ones(units))
    errors = _errors(data, member, means[0], draws)
    # of weights from an exponential distribution the variance is that of n + 1 units
    scale = ((units + 1) / max(units - 1, 1)) ** 0.5
    return CrossFitted(
        chosen=chosen,
        passing=passing[0],
        means=means[0],
        parts=of,
        choices=choices,
        mean=mean,
        error=float(errors.std()) * scale if len(errors) else float("nan"),
        kept=kept,
    )


def _held_out(
    data: Sums, member: np.ndarray, each: np.ndarray
) -> tuple[np.ndarray, float, tuple[float, ...]]:
    """Return [repeats, parts] choices, the mean of their held-out units, and what they keep.

    member: [repeats * parts, units] 1 for the units of a part; each: [units] what a unit counts.
    """
    inside = (member * each) @ data.arrays
    whole = each @ data.arrays
    choices = data.choice(whole - inside)
    rows, taken = np.arange(len(choices)), np.maximum(choices, 0)
    used = (choices != NOTHING).astype(float)
    sums, weights, gates = data.split(inside)

    def together(of: np.ndarray) -> np.ndarray:
        """Return [repeats, ...] sums over the parts of what was chosen there."""
        own = of[rows, taken] * used[:, None]
        return np.asarray(own.reshape(REPEATS, -1, own.shape[-1]).sum(1))

    means = data.means(together(sums), together(weights))
    kept = [
        gate.kept(together(own.swapaxes(1, 2))[..., None])
        for gate, own in zip(data.gates, gates, strict=True)
    ]
    return choices.reshape(REPEATS, -1), _mean(means), tuple(_mean(one) for one in kept)


def _mean(values: np.ndarray) -> float:
    """Return the mean of the numbers among values."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _errors(data: Sums, member: np.ndarray, means: np.ndarray, draws: int) -> np.ndarray:
    """Return, of bootstrapped procedures, the held-out mean less that of what they choose.

    The latter is its mean on the items as they are, from which the procedures draw.
    """
    rng, errors = np.random.default_rng(1), []
    for _ in range(draws):
        each = rng.standard_exponential(len(data.sums))
        _, mean, _ = _held_out(data, member, each)
        chosen = int(data.choice((each @ data.arrays)[None])[0])
        if chosen != NOTHING and np.isfinite(mean):
            errors.append(mean - means[chosen])
    return np.array(errors)

"""How often intervals of other measures than accuracy hold the true value.

Word errors with the words of a reference as weights, and log-likelihoods with tokens: of values, of
differences between two runs on the same items, and of what is retained.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from lorascope.reporting.measures import Pair, mean_difference, mean_of
from lorascope.reporting.retention import retained
from lorascope.scoring.item_score import Measure
from tests.support.runs import TOKENS, WORDS

SIZES = (10, 20, 50, 100, 200, 500)
WHAT = ("value", "difference", "retention")
TAIL = 0.05 - 1e-9
MANY = 1_000_000
"""Items of which the true value is taken."""

Draw = Callable[[np.random.Generator, int], Pair]


def _pair(run: np.ndarray, base: np.ndarray, weights: np.ndarray, others: np.ndarray) -> Pair:
    return Pair(run.astype(float), weights, base.astype(float), others, np.arange(len(run)))


def words(rng: np.random.Generator, items: int) -> Pair:
    """One run with errors in 10 % of 3 to 30 words, unevenly; it repeats 2 of 5 in the other."""
    length = rng.integers(3, 31, items).astype(float)
    rate = rng.gamma(0.5, 0.2, items)
    base = rng.poisson(rate * length)
    run = np.where(rng.random(items) < 0.6, base, rng.poisson(1.2 * rate * length))
    return _pair(run, base, length, length)


def loops(rng: np.random.Generator, items: int) -> Pair:
    """Errors in 30 % of the words, and 3 of 100 replies that repeat themselves three times over."""
    length = rng.integers(3, 31, items).astype(float)
    base = rng.poisson(rng.gamma(1.5, 0.2, items) * length)
    run = base + np.where(rng.random(items) < 0.03, 3 * length, 0)
    return _pair(run, base, length, length)


def rare(rng: np.random.Generator, items: int) -> Pair:
    """A run that differs in 5 of 100 items, by half of their words."""
    length = rng.integers(3, 31, items).astype(float)
    base = rng.poisson(0.1 * length)
    more = np.where(rng.random(items) < 0.05, rng.poisson(0.5 * length), 0)
    return _pair(base + more, base, length, length)


def references(rng: np.random.Generator, items: int) -> Pair:
    """Several references: each run is held against one that is up to a fifth longer or shorter."""
    found = words(rng, items)
    lengths = [np.round(found.weights * rng.uniform(0.8, 1.2, items)).clip(1) for _ in range(2)]
    return _pair(found.credits, found.base, *lengths)


def nats(spread: float, off: float = 0.2, by: float = 0.1, skewed: bool = False) -> Draw:
    """Log-likelihoods by token of texts of about 55 tokens, log-normal over texts.

    The run is worse by about ``off`` nats a token, normal or (``skewed``) log-normal over texts.
    """

    def draw(rng: np.random.Generator, items: int) -> Pair:
        tokens = np.round(rng.lognormal(4, 0.6, items)).clip(2)
        base = rng.lognormal(1, spread, items)
        more = off * rng.lognormal(0, 1, items) if skewed else rng.normal(off, by, items)
        return _pair((base + more) * tokens, base * tokens, tokens, tokens)

    return draw


CASES: dict[str, tuple[Measure, Draw]] = {
    "word errors": (WORDS, words),
    "word errors with loops": (WORDS, loops),
    "word errors, rare changes": (WORDS, rare),
    "word errors, several references": (WORDS, references),
    "nats, spread 0.3": (TOKENS, nats(0.3)),
    "nats, spread 0.7, no change": (TOKENS, nats(0.7, off=0.0)),
    "nats, spread 1, skewed change": (TOKENS, nats(1.0, off=0.1, skewed=True)),
}


def covered(name: str, items: int, times: int) -> tuple[float, float, float]:
    """Return the part, in percent, of intervals that hold the truth.

    Of a run's value, of the difference, and of one-sided lower bounds of what is retained.
    """
    measure, draw = CASES[name]
    value, off, kept = _truth(name)
    rng = np.random.default_rng([items, *name.encode()])
    found = np.zeros(3)
    for _ in range(times):
        pair = draw(rng, items)
        own = mean_of(measure, pair.credits, pair.weights, pair.clips)
        found += [
            own.p_value(value) >= TAIL,
            mean_difference(measure, pair).p_value(off) >= TAIL,
            retained(pair, kept, 0.95, measure=measure).verdict != "pass",
        ]
    first, second, third = 100 * found / times
    return first, second, third


@cache
def _truth(name: str) -> tuple[float, float, float]:
    """Return the means' true value and difference, and the retention that belongs to them."""
    measure, draw = CASES[name]
    pair = draw(np.random.default_rng(1), MANY)
    run = pair.credits.sum() / pair.weights.sum()
    base = pair.base.sum() / pair.base_weights.sum()
    kept = math.exp(base - run) if measure.scale == "exponential" else base / run
    return run, run - base, kept


def measured_table(times: int) -> Iterator[str]:
    """Yield the rows of the table, as markdown."""
    yield f"| what | of | {' | '.join(map(str, SIZES))} |"
    yield "|---" * (2 + len(SIZES)) + "|"
    for name in CASES:
        found = [covered(name, items, times) for items in SIZES]
        for what, shares in zip(WHAT, zip(*found, strict=True), strict=True):
            yield f"| {name} | {what} | {' | '.join(f'{share:.1f}' for share in shares)} |"

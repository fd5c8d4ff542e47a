"""How often the interval of a choice holds the score of what is chosen, and its optimism.

Right and wrong answers, log-likelihoods, or fractions of several candidates about the same clips:
their true scores fall off from the middle one by ``step``. What is held, is the true score of what
all items choose (``chosen``), and the mean of what the choosing parts choose (``procedure``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtr

from lorascope.reporting.choices import held_out_ends
from lorascope.reporting.choosing import Data
from lorascope.reporting.crossfitting import MOST_UNITS, CrossFitted, cross_fitted
from lorascope.scoring.item_score import ACCURACY, Measure

NATS = Measure("nats", "plain", higher_is_better=False, bounded=False)
MANY = 400_000


@dataclass(frozen=True)
class Study:
    """Candidates of which each has ``clips`` of ``sizes`` items in each of ``categories``."""

    candidates: int
    clips: int
    step: float = 0.0  # in standard deviations of what a clip is to a candidate
    alike: float = 0.7  # correlation of two candidates on a clip
    middle: float = 0.5
    sizes: tuple[int, ...] = (1,)
    categories: int = 1
    kind: str = "right"

    def _scores(self, rng: np.random.Generator, clips: int) -> tuple[np.ndarray, np.ndarray]:
        """Return [clips, candidates, categories] sums and weights."""
        shape = (clips, self.candidates, self.categories)
        both = rng.standard_normal((clips, 1, self.categories))
        own = rng.standard_normal(shape)
        off = np.abs(np.arange(self.candidates) - self.candidates // 2)[:, None] * self.step
        level = self.alike**0.5 * both + (1 - self.alike) ** 0.5 * own + self.middle - off
        size = rng.choice(self.sizes, (clips, 1, 1))
        if self.kind == "nats":
            tokens = size * np.round(rng.lognormal(3, 0.4, (clips, 1, 1)))
            return np.exp(-level / 2) * tokens, np.broadcast_to(tokens, shape)
        if self.kind == "fractions":
            return ndtr(level) * size, np.broadcast_to(size, shape).astype(float)
        found = np.where(level > 0, size, 0) if len(self.sizes) == 1 else rng.binomial(
            np.broadcast_to(size, shape), ndtr(2 * level)
        )  # fmt: skip
        return found.astype(float), np.broadcast_to(size, shape).astype(float)

    @cache  # noqa: B019 (a study is small)
    def truth(self) -> np.ndarray:
        """[candidates] the true means."""
        sums, weights = self._scores(np.random.default_rng(5), MANY // self.candidates)
        found = (sums.sum(0) / weights.sum(0)).mean(-1)
        if not self.step:
            found[:] = found.mean()  # they are equal
        return found

    def draw(self, rng: np.random.Generator) -> Data:
        """Return one study's scores."""
        sums, weights = self._scores(rng, self.clips)
        names = [str(i) for i in range(self.candidates)]
        return Data(
            names=names,
            experiments=[(name,) for name in names],
            scalings=[float(i) for i in range(self.candidates)],
            measure=NATS if self.kind == "nats" else ACCURACY,
            items=self.clips,
            fewest_clips=self.clips,
            sums=sums,
            weights=weights,
            asked={},
            kept_sums=[],
            strata=np.zeros(self.clips, dtype=int),
            left_out=[],
        )


@dataclass(frozen=True)
class Held:
    """In percent: how often intervals hold; in hundredths: how far off scores are, on average.

    ``off`` is the held-out score less the true one of what parts choose, ``error`` the standard
    error of its mean over the studies; ``optimism`` is what the best is too good by, as printed,
    ``too_good`` in truth.
    """

    chosen: float
    procedure: float
    off: float
    error: float
    optimism: float
    too_good: float


def held(study: Study, times: int, parts: int = 5, draws: int = 100) -> Held:
    """Return what intervals and scores of ``times`` choices are."""
    rng, truth = np.random.default_rng([study.clips, study.candidates]), study.truth()
    sign = -1 if study.kind == "nats" else 1
    rows = []
    for _ in range(times):
        data = study.draw(rng)
        units, strata = data.units(MOST_UNITS)
        found = cross_fitted(data.sums_of(units), strata, parts, draws)
        low, high = held_out_ends(data, found, units)
        of_parts, of_all = _of_parts(found, truth), truth[found.chosen]
        best = found.means[found.chosen]
        rows.append(
            (
                low <= of_all <= high,
                low <= of_parts <= high,
                found.mean - of_parts,
                sign * (best - found.mean),
                sign * (best - of_all),
            )
        )
    chosen, procedure, off, optimism, too_good = 100 * np.mean(rows, axis=0)
    error = 100 * np.std([row[2] for row in rows]) / times**0.5
    return Held(chosen, procedure, off, float(error), optimism, too_good)


def _of_parts(found: CrossFitted, truth: np.ndarray) -> float:
    return float(truth[found.choices].mean())


CASES = {
    "right or wrong, all equal": {"middle": 0.5},
    "right or wrong, near each other": {"step": 0.05},
    "right or wrong, apart": {"step": 0.2},
    "right or wrong, independent and equal": {"alike": 0.0},
    "right or wrong, independent, apart": {"alike": 0.0, "step": 0.1},
    "nearly all right": {"middle": 1.8, "step": 0.05},
    "1 to 4 questions about a clip": {"sizes": (1, 2, 4), "step": 0.05},
    "mean of four categories": {"categories": 4, "step": 0.05},
    "fractions": {"kind": "fractions", "step": 0.05},
    "nats by token": {"kind": "nats", "step": 0.05},
}


def choices_table(times: int) -> Iterator[str]:
    """Yield the rows of the table, as markdown."""
    columns = "what | candidates | clips | chosen | procedure | off | its error | optimism | true"
    yield f"| {columns} |"
    yield "|---" * 9 + "|"
    for name, keys in CASES.items():
        for candidates, clips in ((2, 100), (5, 20), (5, 100), (5, 400), (17, 100)):
            one = held(Study(candidates, clips, **keys), times)  # type: ignore[arg-type]
            cells = [f"{one.chosen:.1f}", f"{one.procedure:.1f}"]
            cells += [f"{x:.2f}" for x in (one.off, one.error, one.optimism, one.too_good)]
            yield f"| {name} | {candidates} | {clips} | {' | '.join(cells)} |"

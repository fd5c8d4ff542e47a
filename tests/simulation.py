"""How often the intervals of the report hold the true value, and its verdicts are false.

``make coverage`` prints it for all cases, a test looks at some. Every case has its own seed, so
equal code gives equal numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

import numpy as np

from lorascope.reporting.retention import retained, verdicts_together
from lorascope.reporting.statistics import Mean
from tests.simulation_choices import choices_table
from tests.simulation_measures import measured_table
from tests.support.runs import pair

ITEMS = (5, 10, 20, 50, 100, 200, 500)
SHARES = (0, 0.01, 0.05, 0.1, 0.25, 0.5)
ALIKE = 0.9  # of clips: all of their questions go alike
TAIL = 0.05 - 1e-9  # what lies on the edge of an interval is in it

Kind = Literal["difference", "accuracy"]


@dataclass(frozen=True)
class Case:
    """Runs on ``items``, of which ``share`` are lost (or right, for an accuracy)."""

    kind: Kind
    shared: bool  # several items about a clip, most of which go alike
    fractions: bool
    items: int
    share: float
    gained: float = 0.0
    sizes: tuple[int, ...] = (2, 3, 4)  # of clips that items share, equally often

    @property
    def truth(self) -> float:
        """The mean that the interval is to hold."""
        mean = self.share if self.kind == "accuracy" else self.gained - self.share
        return mean / 2 if self.fractions else mean

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return [items] values, and the clips that they are about."""
        sizes = rng.choice(self.sizes if self.shared else [1], self.items)
        count = max(2, round(self.items / np.mean(self.sizes))) if self.shared else self.items
        clips = np.repeat(np.arange(count), sizes[:count])
        alike = (rng.random(count) < ALIKE)[clips]
        chance = np.where(alike, rng.random(count)[clips], rng.random(len(clips)))
        sign = 1.0 if self.kind == "accuracy" else -1.0
        values = np.where(chance < self.share, sign, np.where(chance > 1 - self.gained, 1.0, 0.0))
        if self.fractions:
            part = np.where(alike, rng.random(count)[clips], rng.random(len(clips)))
            values = values * part
        return values, clips


def coverage(case: Case, times: int) -> float:
    """Return the part of ``times`` intervals that hold the truth, in percent."""
    numbers = (case.items, 100 * case.share, 100 * case.gained, case.shared, case.fractions)
    rng = np.random.default_rng([case.kind == "accuracy", *map(round, numbers)])
    return 100 * sum(_holds(case, *case.draw(rng)) for _ in range(times)) / times


def _holds(case: Case, values: np.ndarray, clips: np.ndarray) -> bool:
    if not case.shared and not case.fractions:
        return _holds_counts(case, int((values > 0).sum()), int((values < 0).sum()))
    return _mean(case, values, clips).p_value(case.truth) >= TAIL


@cache
def _holds_counts(case: Case, above: int, below: int) -> bool:
    values = np.repeat([1.0, -1.0, 0.0], [above, below, case.items - above - below])
    return _mean(case, values, np.arange(case.items)).p_value(case.truth) >= TAIL


def _mean(case: Case, values: np.ndarray, clips: np.ndarray) -> Mean:
    return Mean(values, clips, 0 if case.kind == "accuracy" else -1)


def false_verdicts(studies: int, adapters: int = 20, items: int = 200) -> dict[str, float]:
    """Return the part of studies, in percent, with a false verdict on adapters at the gate."""
    rng, found = np.random.default_rng(8), {"alone": 0, "pass": 0, "fail": 0}
    for _ in range(studies):
        base = rng.random(items) < 0.8
        gates = []
        for _ in range(adapters):
            kept = base & (rng.random(items) < 0.875)
            kept |= ~base & (rng.random(items) < 0.1)  # 0.9 of 0.8 in all
            gates.append(retained(pair(kept, base), 0.9, 0.95))
        together = verdicts_together(gates, [0.95] * adapters)
        found["alone"] += any(gate.verdict == "pass" for gate in gates)
        found["pass"] += "pass" in together
        found["fail"] += "fail" in together
    return {name: 100 * count / studies for name, count in found.items()}


def cases() -> Iterator[list[Case]]:
    """Yield the cases that make a row of the table, which differ in their share alone."""
    for kind, gained in (("difference", 0), ("difference", 0.05), ("accuracy", 0)):
        for shared, fractions, items in product((False, True), (False, True), ITEMS):
            yield [Case(kind, shared, fractions, items, share, gained) for share in SHARES]


def row(line: list[Case], times: int) -> str:
    """Return a row of the table as markdown."""
    one, shares = line[0], [f"{coverage(case, times):.1f}" for case in line]
    clips = "of 2 to 4" if one.shared else "of its own"
    credits = "fractions" if one.fractions else "right or wrong"
    return (
        f"| {' | '.join([one.kind, clips, credits, f'{one.gained:g}', str(one.items), *shares])} |"
    )


def main() -> None:
    """Print how often intervals hold the truth, and studies have a false verdict."""
    print("Intervals of 95 % that hold the truth, in percent, by the share lost or right:\n")
    print(f"| what | an item's clip | credits | gained | items | {' | '.join(map(str, SHARES))} |")
    print("|---" * (5 + len(SHARES)) + "|")
    for line in cases():
        print(row(line, times=300), flush=True)
    print("\nOther measures, by the number of items:\n")
    print("\n".join(measured_table(times=400)))
    print("\nA choice among candidates: intervals of its held-out score, and its optimism:\n")
    print("\n".join(choices_table(times=300)))
    found = false_verdicts(studies=120)
    print(
        "\nStudies of 20 adapters exactly at the gate, confidence 95 %: a false pass in "
        f"{found['pass']:g} % (by each verdict alone in {found['alone']:g} %), a false fail in "
        f"{found['fail']:g} %."
    )


if __name__ == "__main__":
    main()

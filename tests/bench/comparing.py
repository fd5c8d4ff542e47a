"""Two ways to the same answers: run in turns, their answers held against each other."""

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from tests.bench.spending import Spent

Answers = Mapping[str, Any]
"""Name of an item (with its experiment) -> what was answered: a text, or numbers."""
NEAR = 2e-3
"""How far apart log-likelihoods may be that are the same: they are sums of rounded numbers."""
SHOWN = 3


@dataclass(frozen=True)
class Side:
    """One of two ways: ``work`` does it in a new, empty folder and returns what that cost.

    ``answers`` reads what it answered there. ``warm`` is a little of the same work, done before
    anything is measured.
    """

    name: str
    work: Callable[[Path], Spent]
    answers: Callable[[Path], Answers] = field(default=lambda folder: {})
    warm: Callable[[Path], object] = field(default=lambda folder: None)


@dataclass(frozen=True)
class Row:
    """What came out: of each way the Spent of its runs, and how many answers are equal.

    ``measure`` is which of what was spent is compared: "cpu" or "peak". ``bar`` is what its ratio
    should be at most, None where nothing was promised. ``scale`` is how many times the other's work
    ours is.
    """

    what: str
    ours: Sequence[Spent]
    other: str
    theirs: Sequence[Spent]
    equal: int = 0
    compared: int = 0
    bar: float | None = None
    scale: float = 1.0
    measure: Literal["cpu", "peak"] = "cpu"

    @property
    def wrong(self) -> bool:
        """Whether an answer differs."""
        return self.equal < self.compared

    def ratio(self, name: str) -> float:
        """Return the median over runs of ours / theirs: of "cpu", "wall" or "peak"."""
        return statistics.median(self.ratios(name))

    def ratios(self, name: str) -> list[float]:
        """Return ours / theirs of each run."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [getattr(a, name) / (getattr(b, name) * self.scale) for a, b in pairs]


def compare(what: str, ours: Side, theirs: Side, runs: int, bar: float | None = None) -> Row:
    """Run two sides in turns, each in new folders, and compare their answers in every run."""
    for side in (ours, theirs):
        _in_new_folder(side.warm)
    spent: dict[str, list[Spent]] = {"ours": [], "theirs": []}
    equal = compared = 0
    for number in range(runs):
        answers = {}
        for key, side in (("ours", ours), ("theirs", theirs)):
            cost, answers[key] = _in_new_folder(lambda f, s=side: (s.work(f), s.answers(f)))
            spent[key].append(cost)
            say(f"{what}, run {number + 1} of {runs}: {side.name} {cost.cpu:.2f} CPU-s")
        same, total = count_equal(answers["ours"], answers["theirs"], what)
        equal, compared = equal + same, compared + total
    return Row(what, spent["ours"], theirs.name, spent["theirs"], equal, compared, bar)


def _in_new_folder(work: Callable[[Path], Any]) -> Any:
    with TemporaryDirectory(prefix="lorascope-bench-") as folder:
        return work(Path(folder).resolve())


def count_equal(ours: Answers, theirs: Answers, what: str = "") -> tuple[int, int]:
    """Return how many answers are equal, of how many there are on either side; show some others."""
    items = sorted(ours.keys() | theirs.keys())
    other = [item for item in items if not same(ours.get(item), theirs.get(item))]
    for item in other[:SHOWN]:
        say(f"{what}: NOT EQUAL {item}: {ours.get(item)!r} | {theirs.get(item)!r}")
    return len(items) - len(other), len(items)


def same(one: Any, other: Any) -> bool:
    """Return whether two answers are the same: texts exactly, numbers up to rounding of sums."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=NEAR)
    return one is not None and type(one) is type(other) and bool(one == other)


UNITS = {"cpu": "CPU-s", "peak": "MiB"}
HEAD = (
    "| what | lorascope | against | it takes | ratio | of runs | wall ratio | bar | equal answers |"
    "\n|---|--:|---|--:|--:|--:|--:|--:|--:|"
)


def table(rows: Sequence[Row]) -> str:
    """Return rows as a markdown table; ratios are ours / theirs, so that less is better."""
    return "\n".join([HEAD, *map(_line, rows)])


def _line(row: Row) -> str:
    ratios = row.ratios(row.measure)
    cells = [
        row.what,
        _median(row.ours, row.measure),
        row.other,
        _median(row.theirs, row.measure),
        f"**{row.ratio(row.measure):.2f}**",
        f"{min(ratios):.2f}-{max(ratios):.2f}" if len(ratios) > 1 else "1 run",
        f"{row.ratio('wall'):.2f}" if row.measure == "cpu" else "",
        "" if row.bar is None else f"<= {row.bar:g}",
        f"{row.equal} of {row.compared}" + " WRONG" * row.wrong if row.compared else "-",
    ]
    return f"| {' | '.join(cells)} |"


def _median(spent: Sequence[Spent], measure: str) -> str:
    median = statistics.median(getattr(one, measure) for one in spent)
    return f"{median:,.{2 if measure == 'cpu' else 0}f} {UNITS[measure]}"


def say(line: str) -> None:
    """Tell how far things are, on stderr."""
    print(line, file=sys.stderr, flush=True)

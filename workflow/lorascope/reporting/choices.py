"""Choices among experiments: what is chosen, how good that is on other items, table and section."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lorascope.errors import listing
from lorascope.reporting.choosing import Data, NotChosenError, data_of
from lorascope.reporting.crossfitting import MOST_UNITS, NOTHING, REPEATS, CrossFitted, cross_fitted
from lorascope.reporting.measures import shown, worst_of
from lorascope.reporting.scored import Scored
from lorascope.reporting.statistics import Mean
from lorascope.reporting.tables import DECIMALS, markdown

CHOICE_COLUMNS = (
    *("choice", "candidate", "experiments", "lora_scaling", "score", "score_low", "score_high"),
    *("behind", "behind_error", "chosen_share", "is_chosen", "is_smallest", "held_out"),
    *("held_out_low", "held_out_high", "optimism", "note"),
)
_ROUNDING = 1e-9
_WORDS = ("choice", "candidate", "experiments", "is_chosen", "is_smallest", "note")
_MEANING = (
    "The best of several candidates looks better than it is on the items that it was chosen on. So "
    "it is chosen on some parts of the items and scored on the others, in turn, what is about one "
    f"clip in one part: held_out is the mean over {REPEATS} partitions, with an interval of 95 % "
    "that counts the choosing in, for the score of what is chosen on new items. score is that of "
    "each candidate on all items, behind how far it is behind the best, with the standard error of "
    "that difference; chosen_share says how often it was chosen. Every number is in choices.csv."
)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A choice that was made; values are in the unit of the measure.

    Candidates are those of ``data``, in its order. ``intervals`` are theirs; ``behind`` is
    [candidates] how far each mean is behind the best, with its standard error. ``smallest`` is the
    candidate of the smallest scaling within one standard error of the best, None without scalings.
    """

    by: str
    data: Data
    found: CrossFitted
    parts: int
    intervals: list[tuple[float, float]]
    held_out: float
    held_out_ends: tuple[float, float]
    behind: np.ndarray
    behind_error: np.ndarray
    smallest: int | None

    @property
    def values(self) -> list[float]:
        """The values of candidates on all items."""
        return [shown(self.data.measure, float(mean)) for mean in self.found.means]

    @property
    def optimism(self) -> float:
        """How much better than held out the chosen one is on the items that chose it."""
        sign = 1 if self.data.measure.higher_is_better else -1
        return sign * (self.values[self.found.chosen] - self.held_out)


@dataclass(frozen=True)
class NotChosen:
    """A choice that cannot be made, and why."""

    by: str
    why: str


def choices_of(
    scored: Sequence[Scored], planned: Sequence[Mapping[str, Any]]
) -> list[Chosen | NotChosen]:
    """Return the choices of a study, by the planned ``candidates``, ``by``, ``keep``, ``parts``."""
    made: list[Chosen | NotChosen] = []
    for entry in planned:
        try:
            made.append(chosen_of(data_of(scored, entry), entry["by"], entry["parts"]))
        except NotChosenError as error:
            made.append(NotChosen(entry["by"], str(error)))
    return made


def chosen_of(data: Data, by: str, parts: int) -> Chosen:
    """Return the choice by data; NotChosenError for too few clips, or if no candidate passes."""
    parts = min(parts, data.fewest_clips)
    if parts < 2:
        raise NotChosenError("a category has a single clip, so that no other could be chosen on")
    units, strata = data.units(MOST_UNITS)
    found = cross_fitted(data.sums_of(units), strata, parts)
    if found.chosen == NOTHING or math.isnan(found.mean):
        raise NotChosenError("no candidate keeps what it has to, or has a value")
    behind, error = behind_best(data, found)
    every = [_means(data, np.full((1, data.clips), i)) for i in range(len(data.names))]
    return Chosen(
        by=by,
        data=data,
        found=found,
        parts=parts,
        intervals=[_shown_ends(data, one.ends) for one in every],
        held_out=shown(data.measure, found.mean),
        held_out_ends=_shown_ends(data, held_out_ends(data, found, units)),
        behind=behind,
        behind_error=error,
        smallest=_smallest(data, found, behind <= error + _ROUNDING),
    )


@dataclass(frozen=True)
class _Means:
    """The mean of clips' scores, its standard error and ends for a choice that stands."""

    mean: float
    error: float
    ends: tuple[float, float]


def _means(data: Data, taken: np.ndarray) -> _Means:
    """Return the mean of what is [times, clips] taken of each clip: a candidate, or NOTHING.

    The clips are given ``times`` times over, and count once in all. Of several categories, each is
    moved to the mean of all: how far categories are apart is no error of their mean.
    """
    places = np.arange(data.clips)
    sums, weights = (of[places, np.maximum(taken, 0)] for of in (data.sums, data.weights))
    is_used = (taken != NOTHING) & (weights.sum(-1) > 0)
    ids = np.arange(taken.size).reshape(taken.shape)[is_used]
    sums, weights = sums[is_used], weights[is_used]  # [rows, categories]
    totals = weights.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        centres = sums.sum(0) / totals
    mean = float(centres.mean())
    if math.isnan(mean):
        return _Means(mean, math.nan, (math.nan, math.nan))
    scale = totals.sum() / (len(totals) * totals)
    under = weights @ scale
    over = (sums - centres * weights) @ scale + mean * under
    worst = worst_of(data.measure)
    if len(totals) > 1:
        low, high = mean - centres.max(), mean + 1 - centres.min()
        worst = lambda sizes, *_: (low * sizes.max(), high * sizes.max())  # noqa: E731
    else:
        over = sums[:, 0]  # exact
    times = len(taken)
    ends = Mean(over, ids, 0, under, worst, times=times).ends()
    rows = len(ids) / times
    squares = ((over - mean * under) ** 2).sum() / times * rows / max(rows - 1, 1)
    return _Means(mean, float(squares**0.5 / (under.sum() / times)), _bounded(data, ends))


def _bounded(data: Data, ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    least = 0.0 if data.sums.min() >= 0 else -math.inf
    most = 1.0 if data.measure.bounded and data.measure.scale != "exponential" else math.inf
    return max(low, least), min(high, most)


def held_out_ends(data: Data, found: CrossFitted, units: np.ndarray) -> tuple[float, float]:
    """Return the interval of the mean of what is chosen on new items; units: [clips] of each.

    It is that of a candidate that stands, as much wider as the procedure's error is larger.
    """
    held = _means(data, found.choices[np.arange(REPEATS)[:, None], found.parts[:, units]])
    factor = max(1.0, found.error / held.error) if held.error > 0 else 1.0
    low, high = (found.mean + factor * (end - held.mean) for end in held.ends)
    return _bounded(data, (low, high))


def _shown_ends(data: Data, ends: tuple[float, float]) -> tuple[float, float]:
    low, high = (shown(data.measure, end) for end in ends)
    return low, high


def behind_best(data: Data, found: CrossFitted) -> tuple[np.ndarray, np.ndarray]:
    """Return [candidates] how far means are behind the best one's, and its standard error.

    The error is that of the paired difference over clips, to first order in their weights.
    """
    totals = data.weights.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        centres = data.sums.sum(0) / totals
        off = ((data.sums - centres * data.weights) / totals).mean(-1)  # [clips, candidates]
    differences = off[:, [found.chosen]] - off
    used = int((data.weights.sum((1, 2)) > 0).sum())
    error = ((differences**2).sum(0) * used / max(used - 1, 1)) ** 0.5
    sign = 1 if data.measure.higher_is_better else -1
    behind: np.ndarray = sign * (found.means[found.chosen] - found.means)
    return behind, error


def _smallest(data: Data, found: CrossFitted, near: np.ndarray) -> int | None:
    """Return the smallest scaling, nearest to 0, of what is near enough and passes, if any."""
    there = [
        (abs(scaling), scaling, i)
        for i, scaling in enumerate(data.scalings)
        if near[i] and found.passing[i] and math.isfinite(scaling)
    ]
    return min(there)[2] if there else None


# ------------------------------------------------------------------------------- table and section


def choices_table(made: Sequence[Chosen | NotChosen]) -> pd.DataFrame:
    """Return a row for each choice and candidate (CHOICE_COLUMNS, and kept_ for each gate).

    score and its ends, behind, held_out and optimism are in the unit of the measure; the last ones
    stand in the row of what is chosen. kept is a part of 1, chosen_share in percent.
    """
    gates = dict.fromkeys(
        f"kept_{name}" for one in made if isinstance(one, Chosen) for name in one.data.gates
    )
    rows = [row for number, one in enumerate(made, 1) for row in _rows(f"{number}: {one.by}", one)]
    places = CHOICE_COLUMNS.index("chosen_share")
    columns = [*CHOICE_COLUMNS[:places], *gates, *CHOICE_COLUMNS[places:]]
    table = pd.DataFrame(rows, columns=columns)
    numbers = [name for name in columns if name not in _WORDS]
    table[numbers] = table[numbers].astype(float).round(DECIMALS)
    return table


def _rows(name: str, one: Chosen | NotChosen) -> Iterator[dict[str, Any]]:
    if isinstance(one, NotChosen):
        yield {"choice": name, "note": f"not chosen: {one.why}"}
        return
    scale = 100 if one.data.measure.scale == "percent" else 1
    found, of_logs = one.found, one.data.measure.scale == "exponential"
    values = one.values
    for i in sorted(range(len(values)), key=lambda i: one.data.places[i]):
        behind = abs(values[i] - values[found.chosen]) if of_logs else scale * one.behind[i]
        error = values[i] * one.behind_error[i] if of_logs else scale * one.behind_error[i]
        row = {
            "choice": name,
            "candidate": one.data.names[i],
            "experiments": " ".join(one.data.experiments[i]),
            "lora_scaling": one.data.scalings[i],
            "score": values[i],
            "score_low": one.intervals[i][0],
            "score_high": one.intervals[i][1],
            "behind": behind + 0.0,
            "behind_error": error,
            "chosen_share": 100 * found.shares[i],
            "is_chosen": i == found.chosen,
            "is_smallest": i == one.smallest,
            "note": "" if found.passing[i] else "keeps too little",
        }
        for gate, kept in one.data.kept.items():
            row[f"kept_{gate}"] = kept[i]
        if i == found.chosen:
            row |= {"held_out": one.held_out, "optimism": one.optimism}
            row |= dict(zip(("held_out_low", "held_out_high"), one.held_out_ends, strict=True))
        yield row


def choices_section(made: Sequence[Chosen | NotChosen], table: pd.DataFrame) -> str:
    """Return the section of choices; nothing without one."""
    if not made:
        return ""
    parts = ["## Choices", _MEANING]
    for number, one in enumerate(made, 1):
        if isinstance(one, NotChosen):
            parts.append(f"**By {one.by}:** nothing is chosen: {one.why}.")
            continue
        own = table[table["choice"] == f"{number}: {one.by}"]
        columns = ["candidate", "score", "score_low", "score_high", "behind", "behind_error"]
        columns += [f"kept_{gate}" for gate in one.data.gates]
        cells = own[[*columns, "chosen_share"]].round(2)
        parts += [" ".join(_sentences(one)), markdown(cells)]
    if any(isinstance(one, Chosen) for one in made):
        parts.append("![scores of candidates, what is chosen, and how often](choices.svg)")
    return "\n\n".join(parts)


def _sentences(one: Chosen) -> Iterator[str]:
    """Yield what a reader may quote of a choice."""
    data, found = one.data, one.found
    low, high = (number(data, end) for end in one.held_out_ends)
    value, unit = one.values[found.chosen], " %" if data.measure.scale == "percent" else ""
    yield (
        f"**{data.names[found.chosen]}** is chosen by {one.by} ({data.measure.title}) among "
        f"{len(data.names)} candidates. On items that had no part in the choice, what is chosen "
        f"has {number(data, one.held_out)}{unit} (95 % interval {low} to {high})."
    )
    yield (
        f"The naive score of the best, on all {data.items} items that chose it, is "
        f"{number(data, value)}{unit}: an optimism of {number(data, one.optimism)}."
    )
    share = found.shares[found.chosen]
    yield f"It is the choice of {share:.0%} of {REPEATS} times {one.parts} parts."
    if one.smallest is not None:
        yield (
            "The smallest scaling within one standard error of the best is "
            f"{data.scalings[one.smallest]:g}."
        )
    for (gate, entry), kept in zip(data.asked.items(), found.kept, strict=True):
        yield (
            f"Of {entry['of']}'s {gate} it keeps {kept:.3f} on items that had no part in the "
            f"choice; at least {entry['at_least']:g} was asked for."
        )
    if (none := (found.choices == NOTHING).mean()) > 0:
        yield (
            f"In {none:.0%} of the parts no candidate kept enough, so that nothing was chosen and "
            "their items are left out."
        )
    if data.left_out:
        yield f"Left out, as not all of their items have a value: {listing(data.left_out)}."


def number(data: Data, value: float) -> str:
    """Return a value as text, with as many digits as its unit has."""
    return f"{value:.1f}" if data.measure.scale == "percent" else f"{value:.4g}"

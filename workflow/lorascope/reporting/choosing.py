"""What a choice is made by: the scores of each candidate, summed by clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lorascope.errors import listing
from lorascope.reporting.crossfitting import KeptSums, Sums, dealt
from lorascope.reporting.scored import Scored
from lorascope.scoring.item_score import ACCURACY, Measure
from lorascope.study.choice_words import MEAN
from lorascope.study.order import natural


class NotChosenError(Exception):
    """Nothing can be chosen, as the message says."""


@dataclass(frozen=True, eq=False)
class Data:
    """Scores of candidates by clip: [clips, candidates, categories] sums of credits and weights.

    Candidates are in the order of their scalings, the nearest to 0 first: of equal ones, that is
    chosen. ``places`` is their order in tables. ``asked`` are the gates by metric, ``kept_sums``
    their sums by clip; ``strata`` tells clips apart by the categories that they have items in.
    ``left_out`` are candidates with items without a value.
    """

    names: list[str]
    experiments: list[tuple[str, ...]]
    scalings: list[float]
    measure: Measure
    items: int
    fewest_clips: int
    sums: np.ndarray
    weights: np.ndarray
    asked: dict[str, Mapping[str, Any]]
    kept_sums: list[KeptSums]
    strata: np.ndarray
    left_out: list[str]

    @property
    def clips(self) -> int:
        """How many clips there are; an item without one is one."""
        return len(self.strata)

    @property
    def gates(self) -> list[str]:
        """The metrics of which something is to be kept."""
        return [*self.asked]

    @property
    def places(self) -> list[Any]:
        """What to sort the candidates of a table by."""
        return [
            (np.isnan(scaling), 0.0 if np.isnan(scaling) else scaling, natural(name))
            for scaling, name in zip(self.scalings, self.names, strict=True)
        ]

    @cached_property
    def kept(self) -> dict[str, np.ndarray]:
        """Metric -> [candidates] what is kept of it on all items."""
        return {
            metric: gate.kept(gate.four.sum(0))
            for metric, gate in zip(self.asked, self.kept_sums, strict=True)
        }

    def units(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return [clips] the unit of each, at most so many, and the [units] strata of units."""
        if self.clips <= most:
            return np.arange(self.clips), self.strata
        unit = dealt(self.strata, most, 1)[0]
        has = np.zeros((most, self.strata.max() + 1), dtype=bool)
        has[unit, self.strata] = True
        return unit, np.unique(has, axis=0, return_inverse=True)[1].ravel()

    def sums_of(self, units: np.ndarray) -> Sums:
        """Return the sums by unit."""

        def summed(by_clip: np.ndarray) -> np.ndarray:
            found = np.zeros((units.max() + 1, *by_clip.shape[1:]))
            np.add.at(found, units, by_clip)
            return found

        gates = [replace(gate, four=summed(gate.four)) for gate in self.kept_sums]
        rises = self.measure.higher_is_better
        return Sums(summed(self.sums), summed(self.weights), rises, tuple(gates))


@dataclass(frozen=True)
class _Candidate:
    name: str
    experiments: tuple[str, ...]
    runs: list[Scored]

    @property
    def scaling(self) -> float:
        """The one scaling of its runs, not a number where they have several or none."""
        scalings = {run.lora_scaling for run in self.runs}
        return scalings.pop() if len(scalings) == 1 else float("nan")

    @property
    def categories(self) -> list[str]:
        return sorted({c for run in self.runs for c in run.rows}, key=natural)

    def of(self, category: str) -> list[Scored]:
        """Return its runs that have a category."""
        return [run for run in self.runs if category in run.rows]


def data_of(scored: Sequence[Scored], planned: Mapping[str, Any]) -> Data:
    """Return what a planned choice is made by; NotChosenError where none can be made."""
    candidates = _candidates(scored, planned["candidates"])
    categories, measure = _measured(candidates, planned["by"])
    frames = [[_frame(one.of(c), c) for c in categories] for one in candidates]
    _check_items(candidates, categories)
    whole = [all(frame["has_value"].all() for frame in own) for own in frames]
    left_out = [one.name for one, good in zip(candidates, whole, strict=True) if not good]
    frames = [own for own, good in zip(frames, whole, strict=True) if good]
    candidates = [one for one, good in zip(candidates, whole, strict=True) if good]
    if len(candidates) < 2:
        raise NotChosenError("fewer than two candidates have a value of every item")
    asked = {entry["metric"]: entry for entry in planned["keep"]}
    pairs = {metric: _pairs(scored, candidates, entry) for metric, entry in asked.items()}
    every = [frame for own in (*frames, *pairs.values()) for frame in own]
    index = pd.Index(sorted({clip for frame in every for clip in frame["clip"]}))
    sums, weights = _by_clip(frames, index)
    has = [weights.sum(1) > 0]
    gates = [_gate(pairs[metric], entry, candidates, index) for metric, entry in asked.items()]
    has += [gate.four[:, 3].sum(1, keepdims=True) > 0 for gate in gates]
    present = np.concatenate(has, axis=1)
    return Data(
        names=[one.name for one in candidates],
        experiments=[one.experiments for one in candidates],
        scalings=[one.scaling for one in candidates],
        measure=measure,
        items=max(sum(len(frame) for frame in own) for own in frames),
        fewest_clips=int(present.sum(0).min()),
        sums=sums,
        weights=weights,
        asked=asked,
        kept_sums=gates,
        strata=np.unique(present, axis=0, return_inverse=True)[1].ravel(),
        left_out=left_out,
    )


def _candidates(scored: Sequence[Scored], planned: Sequence[Mapping[str, Any]]) -> list[_Candidate]:
    """Return the candidates that are scored, the nearest to scaling 0 first."""
    runs: dict[str, list[Scored]] = {}
    for run in scored:
        runs.setdefault(run.base, []).append(run)
    found = [
        _Candidate(entry["name"], tuple(own), [run for name in own for run in runs[name]])
        for entry in planned
        for own in (entry["experiments"],)
        if all(name in runs for name in own)
    ]
    if len(found) < 2:
        raise NotChosenError("fewer than two candidates are scored")
    scaled = [(np.isnan(one.scaling), abs(one.scaling), one.scaling) for one in found]
    return [found[i] for i in sorted(range(len(found)), key=lambda i: (scaled[i][0], scaled[i], i))]


def _measured(candidates: Sequence[_Candidate], by: str) -> tuple[list[str], Measure]:
    """Return the categories to choose by, and what they measure."""
    categories = candidates[0].categories if by == MEAN else [by]
    for one in candidates:
        lacking = [c for c in categories if not one.of(c)]
        if lacking or (by == MEAN and one.categories != categories):
            raise NotChosenError(
                f"{one.name} does not have the categories of {candidates[0].name}"
                if by == MEAN
                else f"{one.name} has no category {by}, but {listing(one.categories)}"
            )
    measures = {run.measure(c) for one in candidates for c in categories for run in one.of(c)}
    if len(categories) > 1 and not all(measure.is_share for measure in measures):
        raise NotChosenError(
            "the mean over categories is one of shares, such as accuracies; name a category of "
            f"{listing(categories, 20)}"
        )
    if len(categories) > 1 and any(not r.counts_items_once for one in candidates for r in one.runs):
        raise NotChosenError(
            f"several metrics of the same items have no mean; name one of {listing(categories, 20)}"
        )
    return categories, measures.pop() if len(measures) == 1 else ACCURACY


def _frame(runs: Sequence[Scored], category: str) -> pd.DataFrame:
    """Return the judged items of a category: clip, credit and weight (means over runs).

    ``has_value`` is False where a credit is not a number.
    """
    parts = []
    for run in runs:
        rows = run.judged_rows[category]
        items = run.scores.iloc[rows]
        clip = items["clip"].fillna("")
        parts.append(
            pd.DataFrame(
                {
                    "item_id": items["item_id"],
                    "clip": clip.where(clip != "", items["item_id"]),
                    "credit": run.credits[rows],
                    "weight": run.weights[rows],
                }
            )
        )
    every = pd.concat(parts)
    every["has_value"] = every["credit"].notna()
    means = {"clip": "first", "credit": "mean", "weight": "mean", "has_value": "all"}
    return every.groupby("item_id", sort=True).agg(means)


def _check_items(candidates: Sequence[_Candidate], categories: Sequence[str]) -> None:
    """Refuse candidates that were not asked the same items."""

    def asked(one: _Candidate, category: str) -> set[str]:
        every = ((run.scores["item_id"], run.rows[category]) for run in one.of(category))
        return {item for items, rows in every for item in items.iloc[rows]}

    for category in categories:
        first = asked(candidates[0], category)
        for one in candidates[1:]:
            if odd := first ^ asked(one, category):
                raise NotChosenError(
                    f"{one.name} and {candidates[0].name} do not have the same items in "
                    f"{category} ({len(odd)} differ, for instance {min(odd)})"
                )


def _pairs(
    scored: Sequence[Scored], candidates: Sequence[_Candidate], entry: Mapping[str, Any]
) -> list[pd.DataFrame]:
    """Return for each candidate the items of a gate: its own scores and those that are kept of."""
    metric = entry["metric"]
    base = [run for run in scored if run.base == entry["of"] and metric in run.rows]
    if not base:
        raise NotChosenError(f"{entry['of']}, of which {metric} is to be kept, is not scored")
    of = _frame(base, metric)[["credit", "weight"]].add_suffix("_of")
    found = []
    for one in candidates:
        if not one.of(metric):
            raise NotChosenError(f"{one.name} has no category {metric}, of which is to be kept")
        own = _frame(one.of(metric), metric)
        found.append(own.join(of, how="inner"))
        if found[-1].empty:
            raise NotChosenError(f"{one.name} and {entry['of']} have no item of {metric} in common")
    return found


def _summed(frame: pd.DataFrame, column: str, index: "pd.Index[str]") -> np.ndarray:
    """Return [clips] the sums of a column."""
    places = index.get_indexer(pd.Index(frame["clip"]))
    return np.bincount(places, weights=frame[column].to_numpy(dtype=float), minlength=len(index))


def _by_clip(
    frames: Sequence[Sequence[pd.DataFrame]], index: "pd.Index[str]"
) -> tuple[np.ndarray, np.ndarray]:
    """Return [clips, candidates, categories] sums of credits and of weights."""
    shape = (len(index), len(frames), len(frames[0]))
    sums, weights = np.zeros(shape), np.zeros(shape)
    for i, own in enumerate(frames):
        for j, frame in enumerate(own):
            sums[:, i, j] = _summed(frame, "credit", index)
            weights[:, i, j] = _summed(frame, "weight", index)
    return sums, weights


def _gate(
    pairs: Sequence[pd.DataFrame],
    entry: Mapping[str, Any],
    candidates: Sequence[_Candidate],
    index: "pd.Index[str]",
) -> KeptSums:
    columns = ("credit", "weight", "credit_of", "weight_of")
    four = [[_summed(frame, name, index) for frame in pairs] for name in columns]
    measure = candidates[0].of(entry["metric"])[0].measure(entry["metric"])
    return KeptSums(
        np.moveaxis(np.array(four), -1, 0),
        at_least=entry["at_least"],
        rises=measure.higher_is_better,
        of_logs=measure.scale == "exponential",
    )

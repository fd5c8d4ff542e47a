"""Scored runs: the credits a report is made of, and each category's accuracy with its interval."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from lorascope.errors import UserError
from lorascope.reporting.statistics import accuracy_interval, total_credit
from lorascope.study.order import natural


@dataclass(frozen=True)
class CategoryScore:
    """The items of one category: summed credits, their number, the accuracy's 95 % interval.

    An unjudged item is in ``total`` and neither correct nor incorrect. ``low`` and ``high`` are
    in percent.
    """

    correct: Fraction
    incorrect: Fraction
    total: int
    low: float
    high: float

    @property
    def accuracy(self) -> Fraction:
        """Mean credit of all planned items in percent, exact."""
        return 100 * self.correct / self.total


@dataclass(frozen=True, eq=False)
class Scored:
    """One run of one experiment with the scores of all its planned items.

    ``base`` is the ID without its run suffix and ``run_num`` the run (0 first); ``lora_scaling``
    is the effective scaling. ``in_table`` is False for a run that only the charts show or that
    only serves as baseline. ``dataset`` is the name of its dataset, ``model`` that of its model.
    ``scores`` has one row per
    planned item and metric, and the columns item_id, category, clip (what items share; empty or
    None for an item on its own), options (their number, 0 for a free answer), credit (0 to 1;
    missing where a judge failed: unjudged), status (as ``ItemScore`` has it, or nonfinite) and
    finish_reason (as ``Answer`` has it).
    """

    experiment: str
    base: str
    run_num: int
    lora_scaling: float
    in_table: bool
    dataset: str
    scores: pd.DataFrame
    model: str = ""

    @cached_property
    def credits(self) -> np.ndarray:
        """[rows] float, 0 to 1; 0 for unjudged."""
        return self.scores["credit"].astype(float).fillna(0.0).to_numpy()

    @cached_property
    def clips(self) -> np.ndarray:
        """[rows] int: equal for items that share a clip."""
        clip = self.scores["clip"].fillna("")
        return pd.factorize(clip.where(clip != "", self.scores["item_id"]))[0]

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Category -> the positions of its rows, sorted by category."""
        groups = self.scores.groupby("category", observed=True).indices
        places = {str(category): np.asarray(rows) for category, rows in groups.items()}
        return {category: places[category] for category in sorted(places, key=natural)}

    @cached_property
    def measured(self) -> dict[str, CategoryScore]:
        """Category -> its accuracy, sorted by category."""
        return {category: self._measure(rows) for category, rows in self.rows.items()}

    @cached_property
    def counts_items_once(self) -> bool:
        """Whether each item is in one category: several metrics of an item are no mean."""
        return not self.scores["item_id"].duplicated().any()

    def _measure(self, rows: np.ndarray) -> CategoryScore:
        judged = int(self.scores["credit"].notna().to_numpy()[rows].sum())
        correct = total_credit(self.credits[rows])
        interval = accuracy_interval(self.credits[rows], self.clips[rows])
        return CategoryScore(correct, judged - correct, len(rows), *interval)


def pooled(runs: Sequence[Scored], category: str) -> CategoryScore:
    """Return the score of a category in which each item has its mean credit over the runs.

    Its interval is that of this mean: runs of the same items are not more items.
    """
    if len(runs) == 1:
        return runs[0].measured[category]
    parts = [
        run.scores.iloc[run.rows[category]].assign(credit=run.credits[run.rows[category]])
        for run in runs
    ]
    items = pd.concat(parts).groupby("item_id", sort=False, as_index=False)
    scores = items.agg({"clip": "first", "credit": "mean"}).assign(category=category)
    return replace(runs[0], scores=scores).measured[category]


def baseline_runs(scored: Iterable[Scored], experiments: Sequence[str]) -> dict[str, Scored]:
    """Return category -> the run that deltas in it refer to: run 0 of one of the experiments.

    Raises UserError if one is not among the scored ones, or if two have a category in common.
    """
    found: dict[str, Scored] = {}
    scored = list(scored)
    for experiment in experiments:
        run = first_run(scored, experiment)
        for category in run.rows:
            if category in found:
                raise UserError(
                    f"study key 'baseline': {found[category].experiment} and {experiment} both "
                    f"have category {category!r}; name one experiment for each category"
                )
            found[category] = run
    return found


def references(
    scored: Sequence[Scored], baselines: Sequence[str] | Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Scored]]:
    """Return experiment -> category -> the run that it is compared with.

    baselines: the experiments with which all runs are compared, or experiment -> those with which
    it is. Raises UserError as `baseline_runs` does.
    """
    if not isinstance(baselines, Mapping):
        baselines = dict.fromkeys((run.experiment for run in scored), baselines)
    groups = {names: baseline_runs(scored, names) for names in map(tuple, baselines.values())}
    return {experiment: groups[tuple(names)] for experiment, names in baselines.items()}


def require_baseline(run: Scored, category: str, known: Container[str]) -> None:
    """Raise UserError unless ``category`` of ``run`` is among the ``known`` ones."""
    if category not in known:
        raise UserError(
            f"study key 'baseline': no accuracy for category {category!r}, which "
            f"experiment {run.experiment} has; give one for each category, "
            "or name an experiment with the same categories as baseline"
        )


def first_run(scored: Iterable[Scored], experiment: str, key: str = "baseline") -> Scored:
    """Return run 0 of an experiment; UserError naming the study's ``key`` if there is none."""
    for run in scored:
        if run.base == experiment and run.run_num == 0:
            return run
    published = ", or give published accuracies" if key == "baseline" else ""
    raise UserError(
        f"study key {key!r}: no scored experiment is called {experiment!r}; "
        f"name one under 'experiments'{published}"
    )


def aligned_credits(reference: Scored, run: Scored, category: str) -> np.ndarray:
    """Return the reference's credits in a category, in the order of the run's items.

    Raises UserError if the two do not have the same items in it.
    """
    rows = reference.rows[category]
    theirs = pd.Index(reference.scores["item_id"].to_numpy()[rows])
    ours = pd.Index(run.scores["item_id"].to_numpy()[run.rows[category]])
    credits: np.ndarray = reference.credits[rows]
    if theirs.equals(ours):
        return credits
    order = theirs.get_indexer(ours)
    if len(theirs) != len(ours) or (order < 0).any():
        odd = theirs.symmetric_difference(ours)
        raise UserError(
            f"experiment {run.experiment} and the baseline {reference.experiment} do not have the "
            f"same items ({len(odd)} differ, for instance {odd[0]}), so they cannot be compared "
            "item by item: give both a dataset with the same items and limit (study keys "
            "'datasets', 'limit'), or give published accuracies under 'baseline'"
        )
    ordered: np.ndarray = credits[order]
    return ordered

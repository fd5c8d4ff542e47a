"""Scored runs: the credits a report is made of, and each category's value with its interval."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from lorascope.errors import UserError
from lorascope.reporting.measures import (
    Pair,
    Value,
    counts_alike,
    value_interval,
    value_of,
)
from lorascope.reporting.statistics import total_credit
from lorascope.scoring.item_score import ACCURACY, UNJUDGED, Measure
from lorascope.study.order import natural


@dataclass(frozen=True)
class CategoryScore:
    """The items of one category: its value, 95 % interval, number, and summed credits.

    ``value``, ``low`` and ``high`` are in the unit of its measure; an accuracy is the mean credit
    of all judged items in percent, exact. ``correct`` and ``incorrect`` are None where credits are
    no shares that count alike. An item that a judge failed on is in ``total`` and ``unjudged``, and
    in nothing else; where none is judged there is no value.
    """

    value: Value
    total: int
    low: float
    high: float
    correct: Fraction | None = None
    incorrect: Fraction | None = None
    unjudged: int = 0

    @property
    def if_wrong(self) -> Value:
        """Its value if all unjudged items were wrong."""
        return self._with(0)

    @property
    def if_right(self) -> Value:
        """Its value if all unjudged items were right."""
        return self._with(self.unjudged)

    def _with(self, more: int) -> Value:
        if not self.unjudged or self.correct is None:
            return self.value
        return 100 * (self.correct + more) / self.total


@dataclass(frozen=True, eq=False)
class Scored:
    """One run of one experiment with the scores of all its planned items.

    ``base`` is the ID without its run suffix and ``run_num`` the run (0 first); ``lora_scaling``
    is the effective scaling, not a number where it is not known, under a profile, of which
    ``profile`` is the label, and where the adapter is more than a LoRA and has a ``strength``
    instead. ``in_table`` is False for a run
    that only the charts show or that only serves as baseline. ``dataset`` is the name of its
    dataset, ``model`` that of its model. ``scores`` has one row per
    planned item and metric, and the columns item_id, category, clip (what items share; empty or
    None for an item on its own), options (their number, 0 for a free answer), credit (0 to 1 for
    an accuracy; missing where a judge failed), weight (1 where there is no such column),
    status (as ``ItemScore`` has it, or nonfinite), finish_reason (as ``Answer`` has it) and perhaps
    reason.
    ``measures`` are those of the categories that are no accuracy. ``adapter`` is the study's name
    of its adapter, None for the model as it is. ``group`` names the runs that have one baseline,
    ``of_baseline`` says whether it is a run of what others are compared with.
    Where ``judges`` were asked, there are the columns verdict and second (what the first and the
    second of them said) and by_rules (what rules decided before).
    """

    experiment: str
    base: str
    run_num: int
    lora_scaling: float
    in_table: bool
    dataset: str
    scores: pd.DataFrame
    model: str = ""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    adapter: str | None = None
    group: str = ""
    of_baseline: bool = False
    judges: tuple[str, ...] = ()
    profile: str = ""
    strength: float = math.nan

    @property
    def has_strength(self) -> bool:
        """Whether its adapter is more than a LoRA."""
        return not math.isnan(self.strength)

    @property
    def amount(self) -> float:
        """Its scaling or strength: 0 is the base model; not a number where it is not known."""
        return self.strength if self.has_strength else self.lora_scaling

    @property
    def has_scaling(self) -> bool:
        """Whether its scaling, or strength, is known, so that a chart has a place for it."""
        return not math.isnan(self.amount)

    @property
    def is_baseline(self) -> bool:
        """Whether others are compared with this very run."""
        return self.of_baseline and self.run_num == 0

    def judged_in(self, category: str) -> int:
        """Return how many items of a category have a credit; of all, where it is none of them."""
        judged = self.scores["credit"].notna().to_numpy()
        return int(judged[self.rows.get(category, slice(None))].sum())

    def measure(self, category: str) -> Measure:
        """Return what a category measures."""
        return self.measures.get(category, ACCURACY)

    @cached_property
    def credits(self) -> np.ndarray:
        """[rows] float; not a number where there is no value, or no verdict (`judged`)."""
        credits = self.scores["credit"].astype(float)
        return credits.replace([math.inf, -math.inf], math.nan).to_numpy()

    @cached_property
    def judged(self) -> np.ndarray:
        """[rows] bool: False where a judge failed, so that an item is neither right nor wrong."""
        missing = self.scores["credit"].isna()
        open_ones = [name for name, measure in self.measures.items() if not measure.is_share]
        failed = missing & ~self.scores["category"].isin(open_ones)
        if "status" in self.scores:
            failed = (missing & (self.scores["status"] == UNJUDGED)) | failed
        return ~failed.to_numpy()

    @cached_property
    def judged_rows(self) -> dict[str, np.ndarray]:
        """Category -> the positions of its judged rows; all categories, some without any."""
        return {category: rows[self.judged[rows]] for category, rows in self.rows.items()}

    @cached_property
    def weights(self) -> np.ndarray:
        """[rows] float: what each counts in its category."""
        if "weight" not in self.scores:
            return np.ones(len(self.scores))
        return self.scores["weight"].astype(float).fillna(1.0).to_numpy()

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
        """Category -> its value, sorted by category."""
        return {category: self._measure(category) for category in self.rows}

    @cached_property
    def counts_items_once(self) -> bool:
        """Whether each item is in one category: several metrics of an item are no mean."""
        return not self.scores["item_id"].duplicated().any()

    @cached_property
    def has_mean_of_all(self) -> bool:
        """Whether an average over all items means something: shares of one measure, counted alike.

        So it does not for several metrics of the same items.
        """
        measures = {self.measure(category) for category in self.rows}
        alike = all(counts_alike(measure, self.weights) for measure in measures)
        return len(self.rows) > 1 and len(measures) == 1 and alike and self.counts_items_once

    def _measure(self, category: str) -> CategoryScore:
        rows, measure = self.judged_rows[category], self.measure(category)
        credits, weights = self.credits[rows], self.weights[rows]
        total = len(self.rows[category])
        unjudged = total - len(rows)
        if not len(rows):
            none = Fraction(0) if measure.is_share else None
            return CategoryScore(math.nan, total, math.nan, math.nan, none, none, unjudged)
        if not weights.sum() > 0:
            raise UserError(
                f"experiment {self.experiment}, category {category}: the weights of its items add "
                f"up to 0, so there is no {measure.title}; leave out the items that count nothing"
            )
        value = value_of(measure, credits, weights)
        interval = value_interval(measure, credits, weights, self.clips[rows])
        if not counts_alike(measure, weights):
            return CategoryScore(value, total, *interval, unjudged=unjudged)
        correct = total_credit(credits)
        return CategoryScore(value, total, *interval, correct, len(rows) - correct, unjudged)


def pooled(runs: Sequence[Scored], category: str) -> CategoryScore:
    """Return the score of a category in which each item has its mean credit over the runs.

    Its interval is that of this mean: runs of the same items are not more items. Weights are means
    over the runs, too. Where some runs of an item are unjudged, its mean is that of the others.
    """
    judged = [run for run in runs if len(run.judged_rows[category])]
    if len(judged) <= 1:
        return [*judged, *runs][0].measured[category]
    parts = [
        run.scores.iloc[rows].assign(credit=run.credits[rows], weight=run.weights[rows])
        for run in judged
        for rows in (run.judged_rows[category],)
    ]
    every = pd.concat(parts)
    items = every.groupby("item_id", sort=False, as_index=False)
    scores = items.agg({"clip": "first", "credit": "mean", "weight": "mean"})
    lost = scores["item_id"].isin(every["item_id"][every["credit"].isna()])
    scores = scores.assign(category=category, credit=scores["credit"].mask(lost))
    return replace(runs[0], scores=scores).measured[category]


def check_measures(scored: Iterable[Scored]) -> None:
    """Raise UserError where two runs measure different things in one category."""
    first: dict[str, Scored] = {}
    for run in scored:
        for category in run.rows:
            other = first.setdefault(category, run)
            ours, theirs = (one.measure(category) for one in (run, other))
            if ours != theirs:
                raise UserError(
                    f"category {category!r} is {theirs.title} in experiment {other.experiment} and "
                    f"{ours.title} in {run.experiment}; give the dataset of one of them a category "
                    "of its own, or both the same scorer"
                )


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


def paired(
    reference: Scored, run: Scored, category: str, unjudged: tuple[float, float] | None = None
) -> Pair:
    """Return a run beside the reference in a category, in the order of the run's items.

    An item that is not judged in both is left out; with ``unjudged``, it has these credits instead,
    the run's and the reference's. Raises UserError if the two do not have the same items in it.
    """
    rows, own = reference.rows[category], run.rows[category]
    theirs = pd.Index(reference.scores["item_id"].to_numpy()[rows])
    ours = pd.Index(run.scores["item_id"].to_numpy()[own])
    order = np.arange(len(ours)) if theirs.equals(ours) else theirs.get_indexer(ours)
    if len(theirs) != len(ours) or (order < 0).any():
        odd = theirs.symmetric_difference(ours)
        raise UserError(
            f"experiment {run.experiment} and the baseline {reference.experiment} do not have the "
            f"same items ({len(odd)} differ, for instance {odd[0]}), so they cannot be compared "
            "item by item: give both a dataset with the same items and limit (study keys "
            "'datasets', 'limit'), or give published accuracies under 'baseline'"
        )
    base = rows[order]
    credits, bases = run.credits, reference.credits
    if unjudged:
        credits = np.where(run.judged, credits, unjudged[0])
        bases = np.where(reference.judged, bases, unjudged[1])
    else:
        both = run.judged[own] & reference.judged[base]
        own, base = own[both], base[both]
    return Pair(
        credits=credits[own],
        weights=run.weights[own],
        base=bases[base],
        base_weights=reference.weights[base],
        clips=run.clips[own],
    )


def have_one_unit(reference: Scored, run: Scored, category: str) -> bool:
    """Return whether the values of two runs have one unit, by ``Pair.has_unit``.

    Other items do not; where each has to be compared, ``paired`` refuses them.
    """
    if run.measure(category).scale == "percent":
        return True
    try:
        return paired(reference, run, category).has_unit(run.measure(category))
    except UserError:
        return False

"""What the values of each run are compared with, and what a reader has to know of it.

``compared`` is, in all functions, what the study's baseline means: for each group of runs a mapping
of ``of`` (the experiments in it), ``model`` (theirs, where each model has a baseline of its own),
``experiments`` (what they are compared with) and ``published`` (a published table instead, with its
accuracies, scorer and reproduction).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from lorascope.errors import UserError
from lorascope.reporting.measures import Value, minus, rounded
from lorascope.reporting.scored import Scored, baseline_runs, have_one_unit
from lorascope.reporting.tables import DECIMALS, markdown
from lorascope.study.order import natural

PUBLISHED = "published"
BASELINE, OTHER_MODEL = "baseline", "baseline_model"
_MOST_NAMED = 10


@dataclass(frozen=True)
class Level:
    """What a category's value is compared with, in its unit.

    ``name`` is an experiment's ID or ``published``; ``model`` is None where it is not known.
    ``value`` is not a number where it has another unit, or there is none.
    """

    name: str
    model: str | None
    value: Value


Levels = Mapping[str, Mapping[str, Level]]
"""Experiment -> category, of those that it has -> level."""


def levels_of(scored: Sequence[Scored], compared: Iterable[Mapping[str, Any]]) -> Levels:
    """Return what each run is compared with; UserError as `baseline_runs` raises it."""
    runs = {run.experiment: run for run in scored}
    found: dict[str, Mapping[str, Level]] = {}
    for group in compared:
        whole = {} if group["published"] else baseline_runs(scored, group["experiments"])
        for run in (runs[experiment] for experiment in group["of"] if experiment in runs):
            if group["published"]:
                found[run.experiment] = _published(group, run, runs)
            else:
                found[run.experiment] = {
                    c: _measured(whole[c], run, c) for c in run.measured if c in whole
                }
    return found


def _published(
    group: Mapping[str, Any], run: Scored, runs: Mapping[str, Scored]
) -> dict[str, Level]:
    table = group["published"]
    reproduction = runs.get(table["reproduction"])
    model = reproduction.model if reproduction else group["model"]
    _check_published(table, run)
    levels = _exact(table).items()
    return {c: Level(PUBLISHED, model, value) for c, value in levels if c in run.measured}


def _check_published(table: Mapping[str, Any], run: Scored) -> None:
    """Raise UserError for counts of what is no share, and for shares that are none."""
    for category, written in table["accuracies"].items():
        if category not in run.rows:
            continue
        measure, where = run.measure(category), f"study key 'baseline': category {category!r}"
        if isinstance(written, Mapping) and measure.scale != "percent":
            raise UserError(f"{where} is {measure.title}, which has no counts; give its value")
        if not isinstance(written, Mapping) and measure.is_share and not 0 <= written <= 100:
            raise UserError(
                f"{where} is {measure.title} in percent, which {written:g} is not; "
                "give a number from 0 to 100"
            )


def _exact(table: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return category -> published value, in percent and exact where it has counts.

    A number means the decimal it is written as.
    """
    return {
        category: Fraction(100 * value["correct"], value["total"])
        if isinstance(value, Mapping)
        else Fraction(str(value))
        for category, value in table["accuracies"].items()
    }


def published_counts(
    compared: Iterable[Mapping[str, Any]],
) -> dict[str, dict[str, tuple[int, int]]]:
    """Return experiment -> category -> published correct and total, where a table says both."""
    return {
        experiment: {
            category: (value["correct"], value["total"])
            for category, value in group["published"]["accuracies"].items()
            if isinstance(value, Mapping)
        }
        for group in compared
        if group["published"]
        for experiment in group["of"]
    }


def _measured(reference: Scored, run: Scored, category: str) -> Level:
    comparable = have_one_unit(reference, run, category)
    value = reference.measured[category].value if comparable else math.nan
    return Level(reference.experiment, reference.model, value)


def values_of(levels: Levels) -> dict[str, dict[str, Value]]:
    """Return experiment -> category -> the value that it is compared with."""
    return {
        experiment: {category: level.value for category, level in own.items()}
        for experiment, own in levels.items()
    }


def with_baselines(
    table: pd.DataFrame, scored: Iterable[Scored], levels: Levels, named: bool
) -> pd.DataFrame:
    """Return a table of experiments and categories that says what its rows are compared with.

    Its last columns are then baseline, the name of the level, if ``named``, and baseline_model, if
    some row is compared with another model than its own: that model, which marks the row.
    """
    models = {run.experiment: run.model for run in scored}
    names, others = [], []
    for experiment, category in zip(table["experiment"], table["category"], strict=True):
        own = levels.get(experiment, {})
        # A row over all items is compared with what its categories are.
        rows = [own[category]] if category in own else list(own.values())
        names.append(_joined(level.name for level in rows))
        others.append(_joined(filter(None, (_other(level, models[experiment]) for level in rows))))
    more = {BASELINE: names} if named else {}
    more |= {OTHER_MODEL: others} if any(others) else {}
    return table.assign(**more)


def _other(level: Level, model: str) -> str | None:
    """Return the model of a level if it is not ``model``."""
    return None if level.model == model else level.model


def _joined(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def drawn_levels(scored: Iterable[Scored], levels: Levels) -> dict[str, dict[str, float]]:
    """Return name -> category -> level, for charts.

    One level a category has the name "". Where a category has several, they have the name of the
    model of the runs that they are for or, if that leaves several, their own.
    """
    of_runs = [
        (run.model, c, level)
        for run in scored
        for c, level in _of(run, levels)
        if math.isfinite(level.value)
    ]
    ways = (
        [("", category, level) for _, category, level in of_runs],
        [(model, category, level) for model, category, level in of_runs],
        [(level.name, category, level) for _, category, level in of_runs],
    )
    return next(found for way in ways if (found := _single(way)) is not None)


def _single(
    named: Iterable[tuple[str, str, Level]],
) -> dict[str, dict[str, float]] | None:
    """Return name -> category -> level, None where a name has several in one."""
    found: dict[str, dict[str, Level]] = {}
    for name, category, level in named:
        if found.setdefault(name, {}).setdefault(category, level) != level:
            return None
    return {name: {c: float(level.value) for c, level in of.items()} for name, of in found.items()}


def _of(run: Scored, levels: Levels) -> Iterable[tuple[str, Level]]:
    return levels.get(run.experiment, {}).items()


# ------------------------------------------------------------------------------ in words


def remarks(
    scored: Sequence[Scored],
    levels: Levels,
    compared: Iterable[Mapping[str, Any]],
    scorers: Mapping[str, str],
) -> list[str]:
    """Return what stands beside the table: comparisons across models, and other scorers.

    scorers: experiment -> the scorer of its responses.
    """
    found = [*_across_models(scored, levels)]
    for group in compared:
        if group["published"]:
            found += _of_published(scored, group, scorers)
    return found


def _across_models(scored: Iterable[Scored], levels: Levels) -> Iterator[str]:
    """Yield a remark on the rows of each model that are compared with another model's."""
    across: dict[tuple[str, str, str], list[str]] = {}
    for run in scored:
        for level in dict(_of(run, levels)).values():
            if run.in_table and (other := _other(level, run.model)):
                key = (run.model, level.name, other)
                across.setdefault(key, []).append(run.experiment)
    for (model, name, other), experiments in across.items():
        yield (
            f"**Across models.** The rows of {_named(experiments)} are of the model {model}, but "
            f"compared with {_level_in_words(name)} of the model {other}: their deltas are "
            f"differences between models, too. The column {OTHER_MODEL} marks them. A baseline for "
            f"each model, or `own`, compares each with its own (study key `baseline`)."
        )


def _level_in_words(name: str) -> str:
    return "the published accuracies" if name == PUBLISHED else name


def _named(experiments: Iterable[str]) -> str:
    names = sorted(dict.fromkeys(experiments), key=natural)
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of_published(
    scored: Sequence[Scored], group: Mapping[str, Any], scorers: Mapping[str, str]
) -> Iterator[str]:
    """Yield what has to be known of a published table that runs are compared with."""
    table, runs = group["published"], [run for run in scored if run.experiment in {*group["of"]}]
    models = dict.fromkeys(run.model for run in runs if run.in_table)
    if len(models) > 1 and not table["reproduction"]:
        yield (
            f"**Across models.** One published table is the baseline of the models "
            f"{', '.join(models)}: for a model that it is not about, deltas are differences "
            "between models, too. A table for each model compares each with its own (study key "
            "`baseline`)."
        )
    ours = ", ".join(dict.fromkeys(scorers[run.experiment] for run in runs))
    of = f" of the model {group['model']}" if group["model"] else ""
    yield _scorers(ours, table["scorer"], of)
    for run in runs:
        if run.experiment == table["reproduction"]:
            yield from _offset(run, _exact(table), of)


def _scorers(ours: str, theirs: str | None, of: str) -> str:
    said = f"The answers of this study{of} were scored by {ours}"
    if theirs == ours:
        return f"**Scorers.** {said}, and so were the published ones."
    part = "a part of every delta is what the two scorers make of the same answers"
    if theirs is None:
        return (
            f"**Scorers.** {said}. What scored the published ones is not stated (study key "
            f"`baseline`, `scorer`) and may differ: then {part}."
        )
    return f"**Scorers.** {said}, the published ones by {theirs}: {part}."


def _offset(run: Scored, theirs: Mapping[str, Fraction], of: str) -> Iterator[str]:
    """Yield how far the run of what was published is from the published accuracies."""
    ours = {c: measured.value for c, measured in run.measured.items() if c in theirs}
    offset = {category: minus(value, theirs[category]) for category, value in ours.items()}
    yield (
        f"{run.experiment} runs here what was published{of}. Its offset from the published "
        f"accuracies, in {_points(run)}, is what scorer and set-up do, and a part of every delta:"
    )
    named: dict[str, Mapping[str, Value]]
    named = {run.experiment: ours, PUBLISHED: theirs, f"{run.experiment} - {PUBLISHED}": offset}
    rows = [
        {"accuracy": name, **{c: rounded(values[c], DECIMALS) for c in ours}}
        for name, values in named.items()
    ]
    yield markdown(pd.DataFrame(rows))


def _points(run: Scored) -> str:
    return "the unit of each" if run.measures else "percentage points"

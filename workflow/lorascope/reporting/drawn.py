"""What the charts of a report show: lines, points, levels, and chance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lorascope.identity.digests import canonical
from lorascope.planning.report import ReportRow
from lorascope.reporting import baselines, tables, verdicts
from lorascope.reporting.amounts import AXES, amount_of
from lorascope.reporting.drift import beside_kl
from lorascope.reporting.scored import Scored


@dataclass(frozen=True)
class Drawn:
    """The line of each experiment, points and levels, chance in percent by category.

    ``swept`` says whether they are against the scaling, or what ``axis`` says. ``points`` and
    ``levels`` are those of ``tables.chart_points`` and ``baselines.drawn_levels``.
    """

    lines: Mapping[str, str]
    swept: bool
    points: pd.DataFrame
    levels: Mapping[str, Mapping[str, float]]
    chance: Mapping[str, float]
    axis: str


def drawn(rows: Sequence[ReportRow], scored: Sequence[Scored], levels: baselines.Levels) -> Drawn:
    """Return what the charts show: values by scaling where one is swept, else by experiment."""
    series = _series(rows, scored)
    placed = [one for one in scored if one.has_scaling]
    scalings = {(series[one.experiment], one.amount) for one in placed}
    many = Counter(name for name, _ in scalings)
    swept = len(scalings) > len(many)
    # Sums at one scaling alone are points over their weights, not lines over scalings.
    sums = {row.id for row in rows if row.settings.get("weights")}
    placed = [o for o in placed if o.experiment not in sums or many[series[o.experiment]] > 1]
    points = tables.chart_points(placed if swept else scored, series, swept)
    return Drawn(
        lines=series,
        swept=swept,
        points=points[~points["category"].isin(beside_kl(scored))],
        levels=baselines.drawn_levels(scored, levels),
        chance=_chance(scored),
        axis=AXES[amount_of(scored)],
    )


def _series(rows: Sequence[ReportRow], scored: Sequence[Scored]) -> dict[str, str]:
    """Return ID -> the line the experiment belongs to, named by the settings that differ.

    Only what differs between experiments with a category in common tells lines of a panel apart:
    two benchmarks, and how each is answered, do not.
    """
    keys = dict.fromkeys(key for row in rows for key in row.series)
    labels = {row.id: [_label(row, key) for key in keys] for row in rows}
    panels: dict[str, list[list[str]]] = {}
    for one in scored:
        for category in one.rows:
            panels.setdefault(category, []).append(labels[one.experiment])
    differing = {
        i
        for lines in panels.values()
        for i, distinct in enumerate(zip(*lines, strict=True))
        # A key that other families do not have tells them not apart: they differ in the model.
        if len(set(distinct) - {""}) > 1
    }
    return {
        identifier: ", ".join(label[i] for i in sorted(differing) if label[i])
        for identifier, label in labels.items()
    }


def _label(row: ReportRow, key: str) -> str:
    """Return a setting in words; "" for a key that the experiment's family does not have."""
    if key not in row.series:
        return ""
    value = row.series[key]
    return f"no {key}" if value is None else f"{key} {canonical(value).strip(chr(34))}"


def _chance(scored: Sequence[Scored]) -> dict[str, float]:
    """Return the accuracy in percent of guessing among the options, by category."""
    options = pd.concat([run.scores for run in scored]).groupby("category")["options"]
    levels = {
        str(category): verdicts.chance_level(counts.to_numpy())
        for category, counts in options
        if all(str(category) not in run.measures for run in scored)
    }
    return {category: 100 * level for category, level in levels.items() if level is not None}

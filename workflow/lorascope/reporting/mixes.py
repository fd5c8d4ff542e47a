"""Sums of adapters over the weights of their parts: a table, panels, and the page's section."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lorascope.identity.digests import canonical
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import chart_points, markdown
from lorascope.reporting.values import SCREEN
from lorascope.scoring.item_score import ACCURACY, Measure
from lorascope.study.order import natural
from lorascope.study.weights import chart_axes

WEIGHT = "weight "
"""What the name of a column of weights begins with."""
_MEANING = (
    "Scores of sums of adapters, sum of weight x s B A with each adapter's own scaling s, by the "
    "weights. Where all are 0 it is the base model, and where a 1 stands alone that adapter. The "
    "best values of each category are framed in the picture: of several tries the best looks "
    "better than it is. mixes.csv has all of them, with 95 % intervals."
)


@dataclass(frozen=True)
class Summed:
    """An experiment's sum: its adapter's name and weights, and the settings ``beside`` them."""

    adapter: str
    weights: Mapping[str, float]
    beside: Mapping[str, Any]

    @property
    def picture(self) -> str:
        """What tells its picture from others: all but the weights."""
        return canonical([self.adapter, dict(self.beside)])


@dataclass(frozen=True)
class Panel:
    """The values of a category over weights: ``points`` have a column for each of ``axes``.

    Beside them are accuracy, low, high (percent, or the measure's unit) and is_best. There are one,
    two or three axes: a line, a plane, a triangle.
    """

    title: str
    axes: tuple[str, ...]
    points: pd.DataFrame
    measure: Measure


def mix_table(
    scored: Iterable[Scored], sums: Mapping[str, Summed], measures: Mapping[str, Measure]
) -> pd.DataFrame:
    """Return a row for each sum and category, where there are several sums of the same adapters.

    sums: base ID -> its sum. ``settings`` is what tells a row from those of other pictures,
    ``weight <part>`` is empty where a sum has no such part, ``is_best`` says that no other value of
    the picture and category is better.
    """
    sums = _several(sums)
    runs = [run for run in scored if run.base in sums]
    found = chart_points(runs, {run.experiment: "" for run in runs}, swept=False)
    labels = _labels(found, sums)
    parts = dict.fromkeys(part for one in sums.values() for part in one.weights)
    columns = {
        "adapter": [sums[name].adapter for name in found["experiment"]],
        "settings": [labels[sums[name].picture] for name in found["experiment"]],
        **found[["experiment", "runs", "category"]],
        **{
            f"{WEIGHT}{part}": [sums[name].weights.get(part) for name in found["experiment"]]
            for part in parts
        },
        **found[["accuracy", "low", "high"]],
        "is_best": _best(found, sums, measures),
    }
    return pd.DataFrame(columns)


def _several(sums: Mapping[str, Summed]) -> dict[str, Summed]:
    """Return the sums that do not stand alone in their picture."""
    weights: dict[str, set[str]] = {}
    for one in sums.values():
        weights.setdefault(one.picture, set()).add(canonical(dict(one.weights)))
    return {name: one for name, one in sums.items() if len(weights[one.picture]) > 1}


def _labels(found: pd.DataFrame, sums: Mapping[str, Summed]) -> dict[str, str]:
    """Return picture -> the settings that tell it from those with a category in common."""
    pictures = {one.picture: one for one in sums.values()}
    having: dict[str, set[str]] = {picture: set() for picture in pictures}
    for name, category in zip(found["experiment"], found["category"], strict=True):
        having[sums[name].picture].add(category)
    return {
        picture: _told(one, [pictures[o] for o, own in having.items() if own & having[picture]])
        for picture, one in pictures.items()
    }


def _told(one: Summed, others: Sequence[Summed]) -> str:
    written = {key: canonical(value) for key, value in one.beside.items()}
    differing = [
        key
        for key, value in written.items()
        if any(canonical(other.beside.get(key)) != value for other in others)
    ]
    return ", ".join(f"{key} {written[key].strip(chr(34))}" for key in differing)


def _best(
    found: pd.DataFrame, sums: Mapping[str, Summed], measures: Mapping[str, Measure]
) -> pd.Series:
    signs = found["category"].map(
        lambda name: 1.0 if measures.get(name, ACCURACY).higher_is_better else -1.0
    )
    values = found["accuracy"].astype(float).replace([math.inf, -math.inf], math.nan) * signs
    pictures = found["experiment"].map(lambda name: sums[name].picture)
    return values.eq(values.groupby([pictures, found["category"]]).transform("max"))


def mix_panels(
    table: pd.DataFrame, sums: Mapping[str, Summed], measures: Mapping[str, Measure]
) -> list[Panel]:
    """Return what can be drawn of the table, in order of categories."""
    keys = table["experiment"].map(lambda name: sums[name].picture)
    several = table["adapter"].nunique() > 1
    found = []
    categories = table["category"].astype(str)
    for (_, named), rows in table.groupby([keys, categories], sort=False):
        category = str(named)
        if axes := chart_axes([sums[name].weights for name in rows["experiment"]]):
            first = rows.iloc[0]
            told = [category, *([first["adapter"]] if several else []), first["settings"]]
            points = rows.rename(columns=lambda name: str(name).removeprefix(WEIGHT))
            measure = measures.get(category, ACCURACY)
            found.append(Panel(", ".join(filter(None, told)), axes, points, measure))
    return sorted(found, key=lambda panel: natural(panel.title))


def mix_section(table: pd.DataFrame, is_drawn: bool) -> str:
    """Return the section of sums of adapters; nothing without several of one."""
    if table.empty:
        return ""
    wide = _wide(table)
    drawn = "![scores of sums of adapters by their weights](mixes.svg)" if is_drawn else ""
    listed = markdown(wide) if len(wide) <= SCREEN else ""
    return "\n\n".join(filter(None, ["## Sums of adapters", _MEANING, drawn, listed]))


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each sum, with a column for each category."""
    weights = [str(name) for name in table if str(name).startswith(WEIGHT)]
    labels = [name for name in ("adapter", "settings") if table[name].nunique() > 1]
    rows: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in table.to_dict("records"):
        key = tuple(row[name] for name in (*labels, *weights))
        rows.setdefault(tuple(map(str, key)), dict(zip((*labels, *weights), key, strict=True)))
        rows[tuple(map(str, key))][str(row["category"])] = round(row["accuracy"], 2)
    categories = sorted({*table["category"]}, key=natural)
    return pd.DataFrame([*rows.values()]).reindex(columns=[*labels, *weights, *categories])

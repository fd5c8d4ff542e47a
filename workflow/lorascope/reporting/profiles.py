"""What profiles of scalings come to, beside the full adapter and beside the model without it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from lorascope.identity.digests import canonical
from lorascope.reporting.columns import with_settings
from lorascope.reporting.comparison import ALL_ITEMS, comparison_table
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import MEASURE_COLUMNS, markdown
from lorascope.study.order import natural
from lorascope.study.profiles import DEFAULT

PROFILE_COLUMNS = (
    *("experiment", "line", "profile", "category", "accuracy"),
    *("full", "full_accuracy", "full_delta", "full_low", "full_high"),
    *("base", "base_accuracy", "base_delta", "base_low", "base_high"),
)
SIDES = {"full": "the full adapter", "base": "the model without it"}
"""What a profile is compared with, by the beginning of its columns' names."""
_MEANING = (
    "What scaling parts of the model does (profiles.csv has the intervals): the value and, in "
    "parentheses, its change from the full adapter, which has the profile's scaling everywhere, "
    "and from the model without adapter. A part that is off loses what needs it, a part that is "
    "alone keeps what it can do by itself: that these add up is a property of linear models alone."
)
_OTHERWISE = {
    *("id", "lora_scaling", "table", "seed", "runs", "batch_size", "tokens_at_once"),
    *("strength",),
}
"""Keys in which a profile's experiment and those beside it may differ."""


@dataclass(frozen=True)
class Profiled:
    """A run under a profile: its label, its chart's line, and the runs it is compared with.

    ``full`` and ``base`` are IDs, None where the study has no such experiment.
    """

    run: Scored
    label: str
    line: str
    full: str | None
    base: str | None


def profiled(
    scored: Sequence[Scored],
    settings: Mapping[str, Mapping[str, Any]],
    profiles: Mapping[str, Any],
    lines: Mapping[str, str],
) -> list[Profiled]:
    """Return the runs under a profile, by line and in the order of the study's profiles.

    settings: experiment -> its settings, in the study's order. profiles: name -> the profile's
    parts and scalings. lines: experiment -> the settings that tell its line in charts.
    """
    found = []
    for run in scored:
        if run.profile:
            own = settings[run.experiment]
            written = own["lora_scaling"]
            parts = profiles.get(written) if isinstance(written, str) else written
            beside = [one for one in scored if not one.profile and one.run_num == 0]
            full = _first(beside, run, settings, parts)
            base = _first(beside, run, settings, None)
            found.append(Profiled(run, run.profile, lines[run.experiment], full, base))
    order = {name: place for place, name in enumerate(settings)}
    first: dict[str, int] = {}
    for one in sorted(found, key=lambda one: order[one.run.experiment]):
        first.setdefault(one.label, order[one.run.experiment])
    return sorted(found, key=lambda one: (natural(one.line), first[one.label]))


def _first(
    beside: Sequence[Scored],
    run: Scored,
    settings: Mapping[str, Mapping[str, Any]],
    parts: Mapping[str, float | None] | float | None,
) -> str | None:
    """Return the run that has the scaling of a profile's parts everywhere, or (None) scaling 0."""
    whole = {one.experiment: settings[one.experiment] for one in (*beside, run)}
    own = _alike(whole[run.experiment], with_adapter=parts is not None)
    for one in beside:
        if _alike(whole[one.experiment], with_adapter=parts is not None) == own:
            if parts is None:
                if one.lora_scaling == 0:
                    return one.experiment
            elif isinstance(parts, Mapping) and _is_full(one, whole[one.experiment], parts):
                return one.experiment
    return None


def _alike(settings: Mapping[str, Any], with_adapter: bool) -> str:
    out = _OTHERWISE if with_adapter else {*_OTHERWISE, "adapter"}
    return canonical({key: value for key, value in settings.items() if key not in out})


def _is_full(run: Scored, settings: Mapping[str, Any], parts: Mapping[str, float | None]) -> bool:
    """Return whether a run has, everywhere, the scaling of what is not off in a profile."""
    values = {value for value in (parts.get(DEFAULT), *parts.values()) if value != 0}
    if len(values) > 1 and parts.get(DEFAULT) != 0:
        values = {parts.get(DEFAULT)}
    if len(values) != 1:
        return False
    [value] = values
    if value is None:
        return settings["lora_scaling"] is None
    return run.lora_scaling == value


def profiles_table(
    found: Sequence[Profiled], scored: Sequence[Scored], newest: int
) -> pd.DataFrame:
    """Return a row for each run under a profile and category (PROFILE_COLUMNS and settings).

    Deltas are paired item by item, with 95 % intervals, as in ``comparison_table``.
    """
    if not found:
        return pd.DataFrame(columns=list(PROFILE_COLUMNS))
    runs = {run.experiment: replace(run, in_table=True) for run in scored}
    own = {one.run.experiment: one for one in found}
    tables = {side: _compared(own, side, runs, newest) for side in SIDES}
    rows = []
    for row in tables["full"].to_dict("records"):
        if row["category"] != ALL_ITEMS:
            one = own[row["experiment"]]
            key = (row["experiment"], row["category"])
            cells = {
                "experiment": row["experiment"],
                "line": one.line,
                "profile": one.label,
                "category": row["category"],
                "accuracy": row["accuracy"],
            }
            for side in SIDES:
                cells |= _cells(side, getattr(one, side), tables[side], key, runs)
            rows.append(cells | {name: row[name] for name in MEASURE_COLUMNS if name in row})
    more = [name for name in MEASURE_COLUMNS if rows and name in rows[0]]
    table = pd.DataFrame(rows, columns=[*PROFILE_COLUMNS, *more])
    order = {one.run.experiment: place for place, one in enumerate(found)}
    table = table.sort_values("experiment", key=lambda names: names.map(order), kind="stable")
    return with_settings(table.reset_index(drop=True), scored)


def _compared(
    own: Mapping[str, Profiled], side: str, runs: Mapping[str, Scored], newest: int
) -> pd.DataFrame:
    """Return how the runs under profiles differ from those that they are compared with."""
    against = {name: ref for name, one in own.items() if (ref := getattr(one, side))}
    chosen = [runs[name] for name in dict.fromkeys([*own, *against.values()])]
    baselines = {name: [runs[other].base] for name, other in against.items()}
    table = comparison_table(chosen, baselines, newest, partial=True)
    return table[table["experiment"].isin(own)].reset_index(drop=True)


def _cells(
    side: str,
    other: str | None,
    table: pd.DataFrame,
    key: tuple[str, str],
    runs: Mapping[str, Scored],
) -> dict[str, Any]:
    experiment, category = key
    value = runs[other].measured.get(category) if other else None
    [row] = table[(table["experiment"] == experiment) & (table["category"] == category)].to_dict(
        "records"
    )
    return {
        side: other,
        f"{side}_accuracy": float(value.value) if value else math.nan,
        f"{side}_delta": row.get("delta", math.nan),
        f"{side}_low": row.get("delta_low", math.nan),
        f"{side}_high": row.get("delta_high", math.nan),
    }


def profiles_section(table: pd.DataFrame) -> str:
    """Return the section of profiles; nothing without one."""
    if table.empty:
        return ""
    parts = [
        "## Parts of the model",
        _MEANING,
        "![change of each category by profile](profiles.svg)",
        markdown(pd.DataFrame([*_rows(table)])),
    ]
    if lacking := [*_lacking(table)]:
        parts.append("\n".join(lacking))
    return "\n\n".join(parts)


def _rows(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Yield a row for each profile of a line, its categories side by side."""
    several = table["line"].nunique() > 1
    categories = sorted(table["category"].unique(), key=natural)
    for (line, profile), rows in table.groupby(["line", "profile"], sort=False):
        first = rows.drop_duplicates("category").set_index("category")
        named = {"settings": str(line)} if several else {}
        cells = {c: _cell(first.loc[c]) if c in first.index else "" for c in categories}
        yield {**named, "profile": str(profile), **cells}


def _cell(row: pd.Series) -> str:
    percent = row.get(MEASURE_COLUMNS[0]) is None or row["accuracy"] != row["accuracy"]
    digits = ".1f" if percent or row["accuracy"] > 10 else ".3g"
    deltas = [row["full_delta"], row["base_delta"]]
    said = ["–" if pd.isna(one) else f"{one:+{digits}}" for one in deltas]
    return f"{row['accuracy']:{digits}} ({said[0]}; {said[1]})"


def _lacking(table: pd.DataFrame) -> Iterator[str]:
    """Yield which experiments have nothing to be compared with, and what would be."""
    remedies = {
        "full": "the same with the profile's scaling as a number",
        "base": "the same with lora_scaling 0, or without adapter",
    }
    for side, words in SIDES.items():
        names = table.loc[table[side].isna(), "profile"].unique()
        if len(names):
            shown = ", ".join(map(str, names[:5])) + (" and others" if len(names) > 5 else "")
            yield f"- {shown}: the study has no experiment of {words}: {remedies[side]}."

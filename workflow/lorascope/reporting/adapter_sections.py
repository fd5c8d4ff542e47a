"""The sections on adapters, whose tables and charts are written as they are made.

Most studies have few of them, and import the charts of no other.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.reporting import tables
from lorascope.reporting.baselines import Levels
from lorascope.reporting.mixes import Summed
from lorascope.reporting.profiles import Profiled
from lorascope.reporting.scored import Scored
from lorascope.scoring.item_score import Measure


@dataclass(frozen=True)
class Place:
    """The report that sections are of, and the folder of its tables and charts."""

    title: str
    folder: Path
    levels: Levels
    measures: Mapping[str, Measure]

    def paths(self, names: Sequence[str]) -> list[Path]:
        """Return where files of these names go."""
        return [self.folder / name for name in names]


def drift(
    place: Place,
    names: Sequence[str],
    scored: Sequence[Scored],
    settings: Mapping[str, Mapping[str, Any]],
    retain: Sequence[Mapping[str, Any]],
) -> str:
    """Return the section on drift; ``settings`` are experiments' by ID, ``retain`` the gates."""
    from lorascope.reporting.drift import drift_section, drift_table, points_of, tradeoff_table
    from lorascope.reporting.tradeoff import tradeoff_chart

    points = points_of(scored, settings)
    table = drift_table(scored, points)
    tradeoff = tradeoff_table(scored, points, table, place.levels, retain)
    own, both, svg, png = place.paths(names)
    tables.write_csv(table, own)
    tables.write_csv(tradeoff, both)
    tradeoff_chart(tradeoff, f"{place.title}: gain against drift", svg, png)
    return drift_section(table, tradeoff)


def nulls(
    place: Place,
    names: Sequence[str],
    scored: Sequence[Scored],
    planned: Sequence[Mapping[str, Any]],
) -> str:
    """Return the section of adapters among their nulls, as they are ``planned`` to be compared."""
    from lorascope.reporting.null_chart import null_chart
    from lorascope.reporting.nulls import compared, draws_table, null_section, null_table

    against = compared(scored, planned)
    table, draws = null_table(against, place.levels), draws_table(against, place.levels)
    csv, csv_of_draws, svg, png = place.paths(names)
    tables.write_csv(table, csv)
    tables.write_csv(draws, csv_of_draws)
    null_chart(draws, place.measures, f"{place.title}: adapters among their nulls", svg, png)
    return null_section(table, place.measures)


def mixes(
    place: Place, names: Sequence[str], scored: Sequence[Scored], sums: Mapping[str, Summed]
) -> str:
    """Return the section of sums of adapters, by the IDs of their experiments."""
    from lorascope.reporting.mix_chart import mix_chart
    from lorascope.reporting.mixes import mix_panels, mix_section, mix_table

    table = mix_table(scored, sums, place.measures)
    panels = mix_panels(table, sums, place.measures)
    csv, svg, png = place.paths(names)
    tables.write_csv(table, csv)
    if panels:
        mix_chart(panels, f"{place.title}: sums of adapters", svg, png)
    return mix_section(table, bool(panels))


def profiles(
    place: Place,
    names: Sequence[str],
    scored: Sequence[Scored],
    found: Sequence[Profiled],
    newest_runs: int,
) -> str:
    """Return the section of profiles; "" where no run has one."""
    from lorascope.reporting.profile_map import profile_map
    from lorascope.reporting.profiles import profiles_section, profiles_table

    table = profiles_table(found, scored, newest_runs)
    if len(table):
        csv, svg, png = place.paths(names)
        tables.write_csv(table, csv)
        profile_map(table, place.measures, f"{place.title}: parts", svg, png)
    return profiles_section(table)


def choices(
    place: Place,
    names: Sequence[str],
    scored: Sequence[Scored],
    planned: Sequence[Mapping[str, Any]],
) -> str:
    """Return the section of what is chosen; "" where nothing is."""
    if not planned:
        return ""
    from lorascope.reporting.choice_chart import choice_chart
    from lorascope.reporting.choices import choices_of, choices_section, choices_table

    made = choices_of(scored, planned)
    csv, svg, png = place.paths(names)
    table = choices_table(made)
    tables.write_csv(table, csv)
    choice_chart(made, f"{place.title}: choices", svg, png)
    return choices_section(made, table)


def searches(place: Place, name: str, decided: Iterable[tuple[str, list[Any]]]) -> str:
    """Return the section of searches by what they go by, of what is ``decided`` so far."""
    from lorascope.reporting.searches import searches_section, searches_table

    found = list(decided)
    table = searches_table(found)
    if found:
        tables.write_csv(table, place.folder / name)
    return searches_section(table)

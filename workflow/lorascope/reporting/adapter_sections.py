"""The sections on adapters, whose tables and charts are written as they are made.

Most studies have few of them, and import the charts of no other.
"""

# ruff: noqa: PLC0415

from collections.abc import Mapping, Sequence
from pathlib import Path

from lorascope.planning.report import CHOICES, DRIFT, MIXES, NULLS, PROFILES, SEARCH, ReportRow
from lorascope.reporting import tables
from lorascope.reporting.gathered import Gathered
from lorascope.reporting.mixes import Summed


def choices(found: Gathered, folder: Path) -> str:
    """Return the section of what is chosen among experiments; "" where nothing is."""
    planned = found.planned.get("choose", [])
    if not planned:
        return ""
    from lorascope.reporting.choice_chart import choice_chart
    from lorascope.reporting.choices import choices_of, choices_section, choices_table

    made = choices_of(found.scored, planned)
    csv, svg, png = _paths(folder, CHOICES)
    table = choices_table(made)
    tables.write_csv(table, csv)
    choice_chart(made, f"{found.title}: choices", svg, png)
    return choices_section(made, table)


def searches(found: Gathered, folder: Path) -> str:
    """Return the section of searches, of what is decided so far; "" where there are none."""
    if not found.searched:
        return ""
    from lorascope.reporting.searches import searches_section, searches_table

    table = searches_table(found.searched)
    tables.write_csv(table, folder / SEARCH)
    return searches_section(table)


def drift(found: Gathered, folder: Path) -> str:
    """Return the section of how far adapters move their models; "" where that was not read."""
    if not _is_planned(found, DRIFT):
        return ""
    from lorascope.reporting.drift import drift_section, drift_table, points_of, tradeoff_table
    from lorascope.reporting.tradeoff import tradeoff_chart

    points = points_of(found.scored, found.settings)
    table = drift_table(found.scored, points)
    retain = found.planned["retain"]
    tradeoff = tradeoff_table(found.scored, points, table, found.levels, retain)
    own, both, svg, png = _paths(folder, DRIFT)
    tables.write_csv(table, own)
    tables.write_csv(tradeoff, both)
    tradeoff_chart(tradeoff, f"{found.title}: gain against drift", svg, png)
    return drift_section(table, tradeoff)


def nulls(found: Gathered, folder: Path) -> str:
    """Return the section of adapters among their nulls; "" where there are none."""
    if not _is_planned(found, NULLS):
        return ""
    from lorascope.reporting.null_chart import null_chart
    from lorascope.reporting.nulls import compared, draws_table, null_section, null_table

    against = compared(found.every, found.job.nulls.get("compared", []))
    table, draws = null_table(against, found.levels), draws_table(against, found.levels)
    csv, csv_of_draws, svg, png = _paths(folder, NULLS)
    tables.write_csv(table, csv)
    tables.write_csv(draws, csv_of_draws)
    null_chart(draws, found.measures, f"{found.title}: adapters among their nulls", svg, png)
    return null_section(table, found.measures)


def mixes(found: Gathered, folder: Path) -> str:
    """Return the section of sums of adapters; "" where there are none."""
    if not _is_planned(found, MIXES):
        return ""
    from lorascope.reporting.mix_chart import mix_chart
    from lorascope.reporting.mixes import mix_panels, mix_section, mix_table

    sums = {row.base: _summed(row) for row in found.job.rows if row.settings.get("weights")}
    table = mix_table(found.scored, sums, found.measures)
    panels = mix_panels(table, sums, found.measures)
    csv, svg, png = _paths(folder, MIXES)
    tables.write_csv(table, csv)
    if panels:
        mix_chart(panels, f"{found.title}: sums of adapters", svg, png)
    return mix_section(table, bool(panels))


def profiles(found: Gathered, folder: Path, lines: Mapping[str, str]) -> str:
    """Return the section of profiles by the charts' ``lines``; "" where no run has one."""
    if not _is_planned(found, PROFILES):
        return ""
    from lorascope.reporting.profile_map import profile_map
    from lorascope.reporting.profiles import profiled, profiles_section, profiles_table

    named = found.planned.get("profiles", {})
    under = profiled(found.scored, found.settings, named, lines)
    table = profiles_table(under, found.scored, found.newest_runs)
    if len(table):
        csv, svg, png = _paths(folder, PROFILES)
        tables.write_csv(table, csv)
        profile_map(table, found.measures, f"{found.title}: parts", svg, png)
    return profiles_section(table)


def _is_planned(found: Gathered, names: Sequence[str]) -> bool:
    return names[0] in found.job.files


def _paths(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / name for name in names]


def _summed(row: ReportRow) -> Summed:
    beside = {key: value for key, value in row.series.items() if key != "adapter"}
    beside["lora_scaling"] = row.settings.get("lora_scaling")
    return Summed(str(row.settings["adapter"]), row.settings["weights"], beside)

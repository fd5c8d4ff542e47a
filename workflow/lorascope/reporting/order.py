"""The order of rows: what is compared with a baseline below it, by ID, numbers by their value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lorascope.reporting.scored import Scored
from lorascope.study.order import natural

Place = tuple[Any, ...]


def ordered(scored: Iterable[Scored], compared: Iterable[Mapping[str, Any]]) -> list[Scored]:
    """Return the runs in the order of every table, each knowing its group and its baseline.

    compared: as ``lorascope.reporting.baselines`` has it. Runs that are compared with the same
    baseline are a group; it begins with that baseline.
    """
    groups: dict[str, str] = {}
    baselines: set[str] = set()
    for group in compared:
        first = min(group["of"], key=natural, default="")
        groups |= dict.fromkeys(group["of"], first)
        baselines |= {*group["experiments"]}
    runs = [
        replace(
            run,
            group=groups.get(run.experiment, run.base),
            of_baseline=run.base in baselines,
        )
        for run in scored
    ]
    return in_order(runs)


def in_order(scored: Iterable[Scored]) -> list[Scored]:
    """Return the runs in the order of every table."""
    return sorted(scored, key=place)


def place(run: Scored, category: str = "") -> Place:
    """Return what to sort a run by, or its row of a category.

    By group, a baseline first, by base and category; the runs of an experiment from the newest on,
    but the one that is the baseline first.
    """
    of_base = natural(run.group), not run.of_baseline, natural(run.base)
    return *of_base, natural(category), not run.is_baseline, -run.run_num


def lines_in_order(scored: Sequence[Scored], series: Mapping[str, str]) -> list[str]:
    """Return the names of a chart's lines: those of baselines first, then by name.

    series: experiment -> the line it belongs to.
    """
    names = dict.fromkeys(series[run.experiment] for run in scored)
    first = {series[run.experiment] for run in scored if run.is_baseline}
    return sorted(names, key=lambda name: (name not in first, natural(name)))

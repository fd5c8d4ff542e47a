"""The last columns of every table in CSV: by which settings a row came about, and of how much."""

from collections.abc import Iterable

import pandas as pd

from lorascope.reporting.amounts import STRENGTH
from lorascope.reporting.scored import Scored

SETTINGS_COLUMNS = ("is_baseline", "model", "adapter", "lora_scaling", "dataset", "n")
"""Whether others are compared with the row's experiment; names of its model, adapter (empty for
the model as it is) and dataset; its effective scaling (empty where it is not known); and its judged
items. Where a study has adapters that are more than a LoRA, ``strength`` stands beside the
scaling."""


def with_settings(
    table: pd.DataFrame, scored: Iterable[Scored], category: str = "category"
) -> pd.DataFrame:
    """Return a table of experiments and categories with SETTINGS_COLUMNS as its last ones.

    category: the column that names the category; a row of none of the experiment's is of all.
    """
    runs = {run.experiment: run for run in scored}
    rows = zip(table["experiment"], table[category], strict=True)
    found = [_settings(runs[experiment], name) for experiment, name in rows]
    more = pd.DataFrame(found, columns=list(SETTINGS_COLUMNS), index=table.index)
    more["lora_scaling"] = more["lora_scaling"].astype(float)
    wider = table.assign(**{name: more[name] for name in SETTINGS_COLUMNS})
    if any(run.has_strength for run in runs.values()):
        strengths = [runs[experiment].strength for experiment in table["experiment"]]
        wider.insert(list(wider).index("lora_scaling") + 1, STRENGTH, strengths)
    return wider


def _settings(run: Scored, category: str) -> tuple[object, ...]:
    judged = run.judged_in(category)
    return run.is_baseline, run.model, run.adapter, run.lora_scaling, run.dataset, judged


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as the page has it: without SETTINGS_COLUMNS, and baselines marked as such."""
    named, first = table["experiment"], table["is_baseline"].astype(bool)
    marked = named.where(~first, named + " (baseline)")
    others = [name for name in (*SETTINGS_COLUMNS, STRENGTH) if name in table]
    return table.assign(experiment=marked).drop(columns=others)

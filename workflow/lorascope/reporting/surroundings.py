"""On what, and of what, the answers of a report were made."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lorascope.storage import downloads


def environments(columns: Iterable["pd.Series[str]"]) -> list[dict[str, Any]]:
    """Return each distinct device, precision and set of versions the answers came from.

    columns: JSON of the environment of each answer, by experiment.
    """
    found = {text for column in columns for text in column.unique()}
    every = [json.loads(text) for text in sorted(found)]
    return list({_kind(environment): environment for environment in every}.values())


def commits(ran: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return source of the hub -> the commits that the rows were made of, sorted."""
    found: dict[str, set[str]] = {}
    for environment in ran:
        for source, commit in environment.get("sources", {}).items():
            found.setdefault(source, set()).add(downloads.text(commit))
    return {source: sorted(found[source]) for source in sorted(found)}


def _kind(environment: Mapping[str, Any]) -> str:
    return json.dumps(
        {k: v for k, v in environment.items() if k not in ("host", "gpus")}, sort_keys=True
    )


def notes(ran: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return warnings where rows that the report compares came from different surroundings."""
    found = []
    for key in ("device", "dtype", "python", "versions"):
        values = sorted({json.dumps(environment[key]) for environment in ran})
        if len(values) > 1:
            found.append(f"Rows differ in {key}: {', '.join(values)}.")
    trained = [one["adapter"] for one in ran if "adapter" in one]
    for adapter in sorted({one["digest"] for one in trained}):
        if len({one["weights"] for one in trained if one["digest"] == adapter}) > 1:
            found.append(
                f"The adapter {adapter} was trained again between rows, and came out otherwise."
            )
    return found

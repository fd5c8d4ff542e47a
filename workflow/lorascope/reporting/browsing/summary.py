"""What the page says of the study as a whole: of its report's manifest, and its tables."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.study.order import natural
from lorascope.study.weights import adapter_label

VERSION = 1
"""Of the data; the page's scripts know which one they read."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_NAMES = {
    *("experiment", "base", "category", "of", "metric", "model", "adapter", "dataset", "baseline"),
    *("baseline_model", "outcome", "status", "verdict", "verdict_alone", "point_verdict", "note"),
}
"""Columns of texts, which may look like numbers."""


@dataclass(frozen=True)
class DatasetPart:
    """What the page has of a dataset: the categories of its tables, and where its items lie.

    ``condition`` is how its clips were heard, None without clips; ``note`` which are not here.
    ``answered`` is experiment -> number of items.
    """

    name: str
    place: int
    items: int
    chunk: int
    categories: Sequence[str]
    answered: Mapping[str, int]
    condition: str | None
    note: str

    @property
    def listed(self) -> dict[str, Any]:
        """What the study's data says of it."""
        return {
            "name": self.name,
            "index": f"index-{self.place}",
            "chunk": self.chunk,
            "chunks": -(-self.items // self.chunk),
            "items": self.items,
            "condition": self.condition,
            "clips_note": self.note,
        }


def summary(
    manifest: Mapping[str, Any],
    tables: Mapping[str, Mapping[str, Any]],
    datasets: Sequence[DatasetPart],
) -> dict[str, Any]:
    """Return the value of the data file ``study``; ``manifest`` is the report's."""
    planned, shown = manifest["fingerprint"], manifest["shown"]
    return {
        "version": VERSION,
        "study": planned["study"],
        "title": shown["title"],
        "description": planned["description"],
        "notes": shown["notes"],
        "remarks": shown["remarks"],
        "swept": shown["swept"],
        "axis": shown["axis"],
        "experiments": _experiments(manifest, tables, datasets),
        "categories": _categories(shown, datasets),
        "tables": tables,
        "points": shown["points"],
        "levels": shown["levels"],
        "datasets": [part.listed for part in datasets],
        "files": list(manifest["files"]),
    }


def _experiments(
    manifest: Mapping[str, Any],
    tables: Mapping[str, Mapping[str, Any]],
    datasets: Iterable[DatasetPart],
) -> list[dict[str, Any]]:
    """Return the experiments in the order of the table, and then those that it leaves out."""
    rows = {row["id"]: row for row in manifest["rows"]}
    others = sorted(rows, key=lambda name: (natural(rows[name]["base"]), rows[name]["run"]))
    order = dict.fromkeys([*_named(tables["accuracy"]), *others])
    baselines = {n for group in manifest["fingerprint"]["compared"] for n in group["experiments"]}
    answered = {name: count for part in datasets for name, count in part.answered.items()}
    return [
        _experiment(rows[name], manifest["shown"], name in baselines, answered[name])
        for name in order
        if name in rows
    ]


def _named(table: Mapping[str, Any]) -> list[str]:
    """Return the experiments of a table's rows."""
    place = table["columns"].index("experiment")
    return [row[place] for row in table["rows"]]


def _experiment(
    row: Mapping[str, Any], shown: Mapping[str, Any], is_baseline: bool, items: int
) -> dict[str, Any]:
    name, settings = row["id"], row["settings"]
    return {
        "id": name,
        "base": row["base"],
        "run": row["run"],
        "model": settings["model"],
        "adapter": adapter_label({"adapter": None, **settings}),
        "lora_scaling": shown["scalings"][name],
        **({"strength": shown["strengths"][name]} if name in shown["strengths"] else {}),
        "dataset": row["dataset"],
        "mode": settings.get("mode", "generate") or "task",
        "imported": bool(row.get("imported")),
        "scorer": shown["scorers"][name],
        "line": shown["lines"][name],
        "is_baseline": is_baseline,
        "in_table": row["table"],
        "settings": settings,
        "n": items,
    }


def _categories(shown: Mapping[str, Any], datasets: Sequence[DatasetPart]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "datasets": [part.name for part in datasets if name in part.categories],
            **measure,
            "chance": shown["chance"].get(name),
        }
        for name, measure in shown["measures"].items()
    ]


def read_csv(text: str) -> dict[str, Any]:
    """Return a table as the report wrote it, its numbers as numbers, an empty cell as None."""
    columns, *rows = csv.reader(io.StringIO(text, newline=""))
    return {
        "columns": columns,
        "rows": [
            [_cell(name, cell) for name, cell in zip(columns, row, strict=True)] for row in rows
        ],
    }


def _cell(name: str, cell: str) -> Any:
    if not cell:
        return None
    if name in _NAMES or not _NUMBER.fullmatch(cell):
        return cell
    return float(cell) if {".", "e", "E"} & {*cell} else int(cell)

"""Tables of a user's own: files of rows, and what the benchmark makes of them."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.table.items import build_items
from lorascope.benchmarks.table.settings import TableDataset
from lorascope.errors import UserError
from lorascope.study.validation import validated

Rows = Sequence[Mapping[str, Any]]


def write_rows(path: Path, rows: Rows) -> Path:
    """Write rows in the form that the file's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        case ".json":
            path.write_text(json.dumps(list(rows)), encoding="utf-8")
        case ".parquet":
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
        case suffix:
            with path.open("w", encoding="utf-8", newline="") as file:
                delimiter = {".csv": ",", ".tsv": "\t"}[suffix]
                writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
                writer.writeheader()
                writer.writerows(rows)
    return path


def dataset(source: Path | str | Mapping[str, str], **keys: Any) -> dict[str, Any]:
    """Return a dataset of a study with its defaults; UserError as a study's."""
    named = dict(source) if isinstance(source, Mapping) else str(source)
    part = {"benchmark": "table", "source": named, **keys}
    return validated(TableDataset, part, "study.yaml", "datasets.own").model_dump()


def built(
    path: Path, rows: Rows | None = None, limit: int | None = None, **keys: Any
) -> list[Item]:
    """Return the items of a file, to which the rows are written if there are some."""
    if rows is not None:
        write_rows(path, rows)
    return build_items(path, dataset(path, **keys), limit)[0]


def refused(path: Path, rows: Rows | None = None, **keys: Any) -> str:
    """Return the message, of one line, with which a table is refused."""
    with pytest.raises(UserError) as caught:
        built(path, rows, **keys)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message

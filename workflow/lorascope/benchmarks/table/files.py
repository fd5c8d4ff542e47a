"""Files of rows: JSON lines, a JSON list of objects, CSV, TSV, Parquet and plain text.

A file is read once in a process, as long as it does not change.
"""

# Planning reads this module, and only a Parquet file needs its library.
# ruff: noqa: PLC0415

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lorascope.benchmarks.table.columns import below
from lorascope.benchmarks.table.texts import COLUMN, paragraphs
from lorascope.errors import UserError, listing
from lorascope.storage.files import not_of_the_system, parse_json, read_bytes, regular

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_FILES = 500_000
"""In a folder and below it, clips among them."""
PLAIN = ".txt"
Patterns: TypeAlias = str | Sequence[str] | None


@dataclass(frozen=True)
class Row:
    """One row: what it holds, and where it stands, "data/a.csv: line 3"."""

    values: Mapping[str, Any]
    where: str


# ------------------------------------------------------------------------------- finding


def find_files(root: Path, patterns: Patterns, key: str = "files") -> list[Path]:
    """Return the files that ``patterns`` choose of ``root``, in the order of their names.

    A pattern is held against a file's name in the folder, and * stands for "/", too. Without
    patterns, the file that ``root`` is, or the one that the folder holds; [] where there is none.
    UserError, naming the study's ``key``, where a pattern matches no file, or none of a known form,
    and for a folder of several files without a pattern.
    """
    if not root.is_dir():
        if patterns is not None:
            raise UserError(f"{root}: is no folder, in which {key} could be; leave {key} out")
        _reader(root)
        return [root]
    files = sorted(_data_files(root))
    names = {str(path.relative_to(root)): path for path in files}
    if patterns is None:
        # A text beside tables is their README or licence.
        files = [path for path in files if path.suffix.lower() != PLAIN] or files
        if len(files) > 1:
            raise UserError(
                f"{root}: holds {len(files)} files of rows ({listing(names)}); say which by {key}, "
                "a pattern such as 'test-*.parquet'"
            )
        return files
    chosen: set[Path] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = [path for name, path in names.items() if fnmatchcase(name, pattern)]
        if not found and files:
            raise UserError(f"{root}: {key}: no file matches {pattern!r}; it has {listing(names)}")
        chosen.update(found)
    return sorted(chosen)


def _data_files(root: Path) -> Iterator[Path]:
    """Yield the files of a known form in a folder and below it, hidden ones left out."""
    seen = 0
    for folder, folders, names in os.walk(_ours(root)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen += len(names)
        if seen > MOST_FILES:
            raise UserError(
                f"{root}: holds more than {MOST_FILES:,} files; name the folder of the rows, and "
                "that of clips by clips"
            )
        for path in (Path(folder, name) for name in names):
            # source.json is what a download writes about itself.
            if path.suffix.lower() in _READERS and path != root / "source.json":
                yield from [] if path.name.startswith(".") else [path]


def _ours(root: Path) -> Path:
    try:
        return not_of_the_system(root)
    except OSError as error:
        raise UserError(f"{root}: {error.strerror}; correct `source`") from None


def _reader(path: Path) -> Callable[[Path], list[Row]]:
    if path.suffix.lower() not in _READERS:
        raise UserError(
            f"{path}: of no form that is read; give one of {', '.join(_READERS)}, or a folder"
        )
    return _READERS[path.suffix.lower()]


# ------------------------------------------------------------------------------- reading


def read_rows(files: Sequence[Path]) -> list[Row]:
    """Return the rows of files, one after the other.

    UserError, naming file and row, for one that cannot be read, and where there is no row.
    """
    rows = [row for file in files for row in _rows_of(file, _stamp(file))]
    if not rows:
        raise UserError(f"{_first(files)}: holds no rows; give a file with one row an item")
    return rows


def known_columns(files: Sequence[Path]) -> list[str]:
    """Return the names of all columns, nested ones dotted; errors as of `read_rows`.

    Of Parquet no row is read.
    """
    found: dict[str, None] = {}
    for file in files:
        if file.suffix.lower() == ".parquet":
            found |= _of_schema(file, _stamp(file))[0]
        else:
            found |= _of_rows(file, _stamp(file))
    return list(found)


def count_rows(files: Sequence[Path]) -> int:
    """Return the number of rows; UserError as of `read_rows`. Of Parquet no row is read."""
    count = sum(
        _of_schema(file, _stamp(file))[1]
        if file.suffix.lower() == ".parquet"
        else len(_rows_of(file, _stamp(file)))
        for file in files
    )
    if not count:
        raise UserError(f"{_first(files)}: holds no rows; give a file with one row an item")
    return count


def _first(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files[:3]))


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        stat = regular(file).stat()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}; correct `source`") from None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


@lru_cache(maxsize=64)
def _rows_of(file: Path, stamp: tuple[int, ...]) -> list[Row]:
    """Return the rows of a file, which has a ``stamp`` as long as it stays."""
    return _reader(file)(file)


@lru_cache(maxsize=64)
def _of_rows(file: Path, stamp: tuple[int, ...]) -> dict[str, None]:
    found: dict[str, None] = {}
    for row in _rows_of(file, stamp):
        found |= below(row.values)
    return found


def _text(path: Path) -> str:
    """Return the text of a file without the mark that some editors begin it with."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; correct `source`") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from None


def _jsonl(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}: line {number}"
            rows.append(Row(_object(_json(line, where), where), where))
    return rows


def _plain_text(path: Path) -> list[Row]:
    found = paragraphs(_text(path))
    return [Row({COLUMN: text}, f"{path}: line {line}") for line, text in found]


def _json_list(path: Path) -> list[Row]:
    found = _json(_text(path), str(path))
    if not isinstance(found, list):
        raise UserError(f"{path}: holds no list; give a list of objects, or JSON lines as .jsonl")
    places = [f"{path}: row {number}" for number in range(1, len(found) + 1)]
    return [Row(_object(one, where), where) for one, where in zip(found, places, strict=True)]


def _json(text: str, where: str) -> Any:
    try:
        return parse_json(text, parse_constant=lambda _: None)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error}); correct it") from None


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: is no object; write it as {{column: value, ...}}")
    return value


def _separated(path: Path, delimiter: str) -> list[Row]:
    """Return the rows of a file whose first line names the columns."""
    csv.field_size_limit(sys.maxsize)  # a passage may be longer than the library's bound
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            where, line = f"{path}: line {line}", reader.line_num + 1
            if not fields:
                continue
            if not header:
                header = _header(fields, where)
                continue
            if len(fields) != len(header):
                raise UserError(
                    f"{where}: has {len(fields)} fields, and the header names {len(header)} "
                    "columns; quote what holds the separator, or add what is missing"
                )
            rows.append(Row(dict(zip(header, fields, strict=True)), where))
    except csv.Error as error:
        raise UserError(f"{path}: line {line}: {error}; correct the file") from None
    return rows


def _header(fields: list[str], where: str) -> list[str]:
    for name in fields:
        if not name.strip() or fields.count(name) > 1:
            what = f"two columns {name!r}" if name.strip() else "a column without a name"
            raise UserError(f"{where}: the header has {what}; correct it")
    return fields


# ------------------------------------------------------------------------------- Parquet


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; UserError for one that is none, or is damaged where it is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(regular(path)) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable Parquet file ({said}); replace it") from None


def _parquet_rows(path: Path) -> list[Row]:
    rows: list[Row] = []
    with _parquet(path) as file:
        for batch in file.iter_batches(batch_size=1000):
            for values in batch.to_pylist():
                rows.append(Row(_plain(values), f"{path}: row {len(rows) + 1}"))
    return rows


@lru_cache(maxsize=64)
def _of_schema(path: Path, stamp: tuple[int, ...]) -> tuple[dict[str, None], int]:
    """Return the names of a file's columns, nested ones dotted, and the number of its rows."""
    found: dict[str, None] = {}
    with _parquet(path) as file:
        for field in file.schema_arrow:
            found |= dict.fromkeys(_names(field.name, field.type))
        return found, file.metadata.num_rows


def _names(name: str, kind: pa.DataType) -> Iterator[str]:
    import pyarrow as pa

    yield name
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        for field in kind:
            yield from (f"{name}.{inner}" for inner in _names(field.name, field.type))


def _plain(value: Any) -> Any:
    """Return a value of a Parquet file as JSON would have it; NaN is nothing, bytes their number.

    Bytes are no text that could be asked about, such as a clip within the table.
    """
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value


_READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json_list,
    ".csv": partial(_separated, delimiter=","),
    ".tsv": partial(_separated, delimiter="\t"),
    ".parquet": _parquet_rows,
    PLAIN: _plain_text,
}
"""Suffix of a file -> what reads it."""
SUFFIXES = tuple(suffix for suffix in _READERS if suffix != PLAIN)
"""Those of tables."""

"""Clips within a Parquet file, as the hub keeps them: they become files, which the rows name."""

# Only what comes from the hub is unpacked.
# ruff: noqa: PLC0415

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}
"""How a file of audio begins -> its suffix."""
ROWS = 32  # at a time: a row may hold a whole clip


def copy_table(file: Path, copy: Path, root: Path) -> None:
    """Copy a Parquet file below ``root``, its clips beside it as files of their own.

    A column of mappings of bytes and path, as datasets' Audio is stored, keeps all but the bytes;
    its path is that of the clip's file from ``root``. UserError for a file that is not readable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            columns = [*_clip_columns(table)]
            if not columns:
                shutil.copyfile(file, copy)
                return
            _write(table, columns, copy, root)
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"{file}: not a readable Parquet file ({said}); download it again"
        ) from None


def _clip_columns(table: pq.ParquetFile) -> Iterator[str]:
    """Yield the columns that hold clips, by their kind and the first of their values."""
    import pyarrow as pa

    for field in table.schema_arrow:
        kinds = {inner.name: inner.type for inner in field.type} if _is_group(field.type) else {}
        if kinds.get("bytes") in (pa.binary(), pa.large_binary()) and kinds.get("path") in (
            pa.string(),
            pa.large_string(),
        ):
            batches = table.iter_batches(batch_size=ROWS, columns=[f"{field.name}.bytes"])
            values = (v["bytes"] for b in batches for v in b.column(0).to_pylist() if v)
            if _suffix(next((value for value in values if value), b"")):
                yield field.name


def _is_group(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind))


def _suffix(content: bytes) -> str:
    return next((suffix for start, suffix in FORMS.items() if content.startswith(start)), "")


def _write(table: pq.ParquetFile, columns: Sequence[str], copy: Path, root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [_without_bytes(f) if f.name in columns else f for f in table.schema_arrow]
    schema, number = pa.schema(fields), 0
    with pq.ParquetWriter(copy, schema) as writer:
        for batch in table.iter_batches(batch_size=ROWS):
            rows = batch.to_pylist()
            for row in rows:
                number += 1
                for name in columns:
                    if row[name]:
                        folder = copy.with_suffix("") / name
                        row[name]["path"] = _clip(row[name], folder, number, root)
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _without_bytes(field: pa.Field) -> pa.Field:
    import pyarrow as pa

    return pa.field(field.name, pa.struct([f for f in field.type if f.name != "bytes"]))


def _clip(value: dict[str, Any], folder: Path, number: int, root: Path) -> str | None:
    """Write the clip of a row; return its path from ``root``, the given one for no bytes."""
    content: bytes | None = value.pop("bytes")
    path: str | None = value["path"]
    if not content:
        return path
    name = PurePosixPath(path or "clip").name
    suffix = "" if PurePosixPath(name).suffix else _suffix(content)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number:06d}-{name}{suffix}"
    file.write_bytes(content)
    return str(file.relative_to(root))

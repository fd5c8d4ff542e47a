"""Files that say what they are: atomic writes, Parquet tables and what each says about itself.

A table carries its kind, its columns, the digest of everything that determined it and the commits
of what came from the hub; this label and the pages carry checksums. So does a document, which is
JSON. A reader that finds a file damaged, written by other settings or made of another commit, moves
it aside, so that the next run makes it again; nothing is ever read half-written.
"""

# Planning writes texts alone.
# ruff: noqa: PLC0415

import hashlib
import json
import os
import re
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lorascope.errors import UserError
from lorascope.storage.downloads import Commit, Noted, other_commit
from lorascope.storage.files import parse_json, read_text

if TYPE_CHECKING:
    import pyarrow

HARMLESS = "writes files whole and checks them when they are read"

KEY = b"lorascope"
CHECKSUM = "sha256"
DIGEST = re.compile("[0-9a-f]{12}")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it onto ``path`` if the block succeeds.

    The name is unique, so that an orphan of a killed run cannot write into its successor's file,
    and keeps the suffix, from which libraries choose a format. UserError if ``path`` cannot be
    written, as on a full disk.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says against writing ``path`` into a UserError."""
    try:
        yield
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else error
        raise UserError(
            f"{path}: cannot be written: {problem}; fix that and run snakemake again, "
            "what is finished is kept"
        ) from error


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` atomically as UTF-8, with line feeds as line ends."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` atomically as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Return the JSON value of a file written by :func:`write_json`; UserError if damaged."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        check_read(path, error)
        set_aside(path, str(error))


def write_document(path: Path | str, kind: str, digest: str, content: Mapping[str, Any]) -> None:
    """Write ``content`` atomically as JSON that says what it is: ``kind``, ``digest``, checksum."""
    document = {**content, "kind": kind, "digest": digest}
    write_json(path, {**document, CHECKSUM: _checksum(document)})


def read_document(
    path: Path | str, kind: str, digest: str, part_of: Path | None = None
) -> dict[str, Any]:
    """Return what `write_document` was given, after checking checksum, kind and digest.

    Raises UserError where the file is missing; a damaged or foreign one is moved aside first, with
    the whole folder ``part_of`` if there is one.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: not found; run snakemake to make it")
    try:
        return checked_document(path, kind, digest)
    except ValueError as error:
        unit = part_of or path
        set_aside(unit, str(error) if unit == path else f"{path.name}: {error}")


def checked_document(path: Path, kind: str, digest: str) -> dict[str, Any]:
    """Return what `read_document` does, but raise ValueError, saying why, for one of no use."""
    try:
        document = json.loads(path.read_bytes())
        checksum = document.pop(CHECKSUM)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        check_read(path, error)
        raise ValueError("damaged") from error
    if checksum != _checksum(document):
        raise ValueError("damaged")
    if problem := _other(document, kind, digest):
        raise ValueError(problem)
    return {key: value for key, value in document.items() if key not in ("kind", "digest")}


def _checksum(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document's values, however they are laid out."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _other(label: Mapping[str, Any], kind: str, digest: str | None) -> str | None:
    """Say what a label names other than this kind and digest, None if it names these."""
    if label["kind"] != kind:
        return f"holds {label['kind']}, not {kind}"
    if digest is not None and label["digest"] != digest:
        return f"was written by other settings (digest {label['digest']}, not {digest})"
    return None


def peek(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file, {} where there is none: its readers will say so."""
    try:
        content = parse_json(read_text(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_table(
    path: Path | str,
    table: "pyarrow.Table",
    kind: str,
    digest: str,
    note: Mapping[str, Any] | None = None,
    sources: Noted | None = None,
) -> None:
    """Write ``table`` atomically as Parquet with what it is: ``kind``, ``digest``, row count.

    ``note`` is further JSON about the table as a whole, returned by :func:`table_note`; ``sources``
    are the downloads that it was made of, returned by :func:`table_sources`.
    """
    import pyarrow.parquet as pq

    label = {"kind": kind, "digest": digest, "rows": table.num_rows, "note": dict(note or {})}
    label |= {"columns": _columns(table), "sources": dict(sources or {})}
    labelled = table.replace_schema_metadata({KEY: seal(label).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(labelled, temporary, compression="zstd", write_page_checksum=True)


def read_table(
    path: Path | str, kind: str, digest: str | None = None, columns: list[str] | None = None
) -> "pyarrow.Table":
    """Return the table at ``path`` after checking its checksums, kind, digest, commits, row count.

    Raises UserError where the file is missing; a damaged or foreign file is moved aside first.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: not found; run snakemake to make it")
    try:
        # Not pq.read_table, which imports pandas.
        with pq.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
            table = file.read(columns=columns)
        label, found = unseal(table.schema.metadata[KEY].decode()), _columns(table)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        check_read(path, error)
        set_aside(path, f"not a readable table ({' '.join(str(error).split())})")
    if problem := _other(label, kind, digest):
        set_aside(path, problem)
    check_commits(path, label.get("sources", {}))
    if label["rows"] != table.num_rows:
        set_aside(path, f"has {table.num_rows} rows, not {label['rows']}")
    if found != {name: label["columns"].get(name) for name in columns or label["columns"]}:
        set_aside(path, "its columns are damaged")
    return table


def _columns(table: "pyarrow.Table") -> dict[str, str]:
    """Return column -> type; Parquet calls a list's items elements."""
    return {f.name: str(f).partition(": ")[2].replace("<item:", "<element:") for f in table.schema}


def table_note(table: "pyarrow.Table") -> dict[str, Any]:
    """Return the note written with ``table``."""
    note: dict[str, Any] = unseal(table.schema.metadata[KEY].decode())["note"]
    return note


def table_sources(table: "pyarrow.Table") -> dict[str, Commit]:
    """Return the downloads that ``table`` was made of."""
    sources: dict[str, Commit] = unseal(table.schema.metadata[KEY].decode())["sources"]
    return sources


def seal(value: Any) -> str:
    """Return ``value`` as JSON on one line, behind its own checksum."""
    text = json.dumps(value, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x} {text}"


def unseal(line: str) -> Any:
    """Return the value in a line that :func:`seal` made; ValueError if it is damaged."""
    checksum, _, text = line.partition(" ")
    if f"{zlib.crc32(text.encode()):08x}" != checksum:
        raise ValueError("the label does not match its checksum")
    return json.loads(text)


def check_read(path: Path, error: Exception) -> None:
    """Raise UserError if ``error`` came from the operating system: the file may be whole.

    Errors that libraries make of a damaged file carry no error number.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def check_commits(path: Path, noted: Noted) -> None:
    """Raise UserError if ``path`` notes another commit than a marker.

    The folder of a digest is moved aside as a whole: all in it was made of the same.
    """
    if problem := other_commit(noted):
        folder = path.parent
        set_aside(folder if DIGEST.fullmatch(folder.name) else path, problem)


def set_aside(path: Path, problem: str) -> NoReturn:
    """Rename the unusable file ``path`` out of the way and raise UserError saying so."""
    aside = path.with_name(f"{path.name}.unusable-{uuid.uuid4().hex[:8]}")
    try:
        path.rename(aside)
    except OSError as error:
        raise UserError(
            f"{path}: {problem}; it could not be moved aside ({error.strerror}). "
            "Delete it and run snakemake again to remake it."
        ) from error
    raise UserError(
        f"{path}: {problem}; moved aside to {aside.name}. Run snakemake again to remake it."
    )

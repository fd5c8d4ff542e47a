"""The files that decide a table's items: rows, few-shot examples, clips."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from lorascope.benchmarks.items import smaller
from lorascope.benchmarks.table.asking import check_columns, filled
from lorascope.benchmarks.table.columns import lookup
from lorascope.benchmarks.table.files import (
    SUFFIXES,
    Row,
    count_rows,
    find_files,
    known_columns,
    read_rows,
)
from lorascope.benchmarks.table.places import asked_places, drawn, draws_own
from lorascope.errors import UserError, listing

Dataset: TypeAlias = Mapping[str, Any]


def item_files(root: Path, dataset: Dataset) -> list[Path]:
    """Return the files of rows, [] where they are not here; UserError as from `find_files`."""
    return find_files(root, dataset["files"]) if root.exists() else []


def example_files(root: Path, dataset: Dataset) -> list[Path]:
    """Return the files of few-shot examples; [] where they are drawn from the rows themselves.

    UserError as from `find_files`, and for a file whose rows are asked, too.
    """
    few_shot = dataset["few_shot"]
    if not few_shot or draws_own(dataset):
        return []
    key = "few_shot.source" if few_shot["source"] else "few_shot.files"
    if few_shot["source"]:
        found = find_files(Path(few_shot["source"]), None, key)
    else:
        found = find_files(root, few_shot["files"], key) if root.exists() else []
    rows = {path.resolve() for path in item_files(root, dataset)}
    if both := [path for path in found if path.resolve() in rows]:
        raise UserError(
            f"{both[0]}: its rows are asked, and would be examples of themselves ({key}); choose "
            f"another file, or leave {key} out, and the examples are not asked"
        )
    return found


def named(files: Sequence[Path]) -> str:
    """Return files as a message names them."""
    return listing(map(str, files), 2)


def check(items: Sequence[Path], examples: Sequence[Path], dataset: Dataset) -> None:
    """Raise UserError for files without rows, or without a column that is needed, if they are here.

    Of Parquet no row is read.
    """
    of_examples = {**dataset, "category": "", "id": None}
    for files, keys in ((items, dataset), (examples, of_examples)):
        if files and all(file.exists() for file in files):
            count_rows(files)
            check_columns(named(files), known_columns(files), keys)


# --------------------------------------------------------------------------------- clips


def clip_root(root: Path, dataset: Dataset) -> Path:
    """Return the folder that the paths of clips start from."""
    if dataset["clips"]:
        return Path(dataset["clips"])
    return root.parent if not root.is_dir() and root.suffix.lower() in SUFFIXES else root


def clip_of(row: Row, dataset: Dataset) -> str:
    """Return the path of a row's clip below `clip_root`; "" where the table has none."""
    if not dataset["clip"]:
        return ""
    if isinstance(value := lookup(row.values, dataset["clip"]), Mapping) and "bytes" in value:
        raise UserError(
            f"{where_clip(row, dataset)}: holds a clip itself; write the clips to files, and name "
            "their paths"
        )
    return str(PurePosixPath(filled(row, dataset["clip"])))


def where_clip(row: Row, dataset: Dataset) -> str:
    """Return where the path of a row's clip stands, for messages."""
    return f"{row.where}: column {dataset['clip']}"


# ------------------------------------------------------------------------------ planning


def source_files(root: Path, dataset: Dataset, limit: int | None) -> list[Path]:
    """Return the files of rows, examples and clips that decide the items; [] without ``root``.

    A file that is not there is listed. UserError for columns that the rows, as far as they are
    here, do not have, for no rows, and where some of the clips are there, and others are not.
    """
    files, examples = item_files(root, dataset), example_files(root, dataset)
    check(files, examples, dataset)
    if not dataset["clip"] or not all(file.exists() for file in files):
        return [*files, *examples]
    start = clip_root(root, dataset)
    places = asked_places(read_rows(files), dataset, limit) if files else []
    clips = {start / clip_of(place.row, dataset): place.row for place in places}
    absent = [path for path in clips if not _is_there(path)]
    if absent and len(absent) < len(clips):
        more = f" (and {len(absent) - 1} more clips)" if absent[1:] else ""
        raise UserError(
            f"{where_clip(clips[absent[0]], dataset)}: the clip {absent[0]} is not there{more}; "
            "put it there, or correct clip or clips"
        )
    return [*files, *clips]


def categories(dataset: Dataset) -> list[str] | None:
    """Return the categories of a dataset; None where only rows tell that are not here."""
    if isinstance(dataset["category"], str):
        return [dataset["category"]]
    source = dataset.get("source")
    counts = count_items(Path(source), dataset, None) if isinstance(source, str) else None
    return None if counts is None else list(counts)


def count_items(root: Path, dataset: Dataset, limit: int | None) -> dict[str, int] | None:
    """Return category -> number of items that `build_items` will make, before clips are skipped.

    None where the rows are not here.
    """
    files = item_files(root, dataset)
    if not files:
        return None
    check(files, example_files(root, dataset), dataset)
    if isinstance(dataset["category"], str):
        count = count_rows(files)
        count -= len(drawn(count, dataset)) if draws_own(dataset) else 0
        return {dataset["category"]: smaller(count, dataset["items"], limit) or 0}
    places = asked_places(read_rows(files), dataset, limit)
    return dict(Counter(place.category for place in places))


def count_clips(root: Path, dataset: Dataset, limit: int | None) -> int:
    """Return the number of clips that the items are about; 0 where the rows are not here."""
    files = item_files(root, dataset) if dataset["clip"] else []
    places = asked_places(read_rows(files), dataset, limit) if files else []
    return len({clip_of(place.row, dataset) for place in places})


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False

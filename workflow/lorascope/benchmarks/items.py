"""Items: one question about one clip each, and the table that holds them between stages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Item:
    """One question, the clip heard with it, and its gold answer.

    item_id: `<category>/<stem of the question's clip>`, whatever clip is heard.
    category: `<track>-<hop>`; hop is `single` or `multi`.
    clip: the clip that is heard, relative to the dataset's root; the question's own clip unless the
        dataset shuffles clips. `clip_sha256` (of the file) and `clip_seconds` belong to it.
    question: the instruction, verbatim, with its options inline; `options` are (letter, text).
    gold: the letter of the right option; answer: the gold answer, verbatim.
    label: the attribute of the question's own clip (`cat`, `female`, ...).
    """

    item_id: str
    category: str
    track: str
    hop: str
    clip: str
    clip_sha256: str
    clip_seconds: float
    question: str
    options: tuple[tuple[str, str], ...]
    gold: str
    answer: str
    label: str


def schema() -> pa.Schema:
    """Return the Arrow schema of a table of items: the fields of `Item` in order, none nullable."""
    import pyarrow as pa

    option = pa.struct(
        [pa.field("letter", pa.string(), False), pa.field("text", pa.string(), False)]
    )
    special = {
        "clip_seconds": pa.float64(),
        "options": pa.list_(pa.field("element", option, nullable=False)),
    }
    return pa.schema(
        [pa.field(f.name, special.get(f.name, pa.string()), nullable=False) for f in fields(Item)]
    )


def to_table(items: Iterable[Item]) -> pa.Table:
    """Return the items as an Arrow table of `schema()`, one row each, in the given order."""
    import pyarrow as pa

    names = [field.name for field in fields(Item)]
    rows = [dict(zip(names, astuple(item), strict=True)) for item in items]
    for row in rows:
        row["options"] = [{"letter": letter, "text": text} for letter, text in row["options"]]
    return pa.Table.from_pylist(rows, schema=schema())


def from_table(table: pa.Table) -> list[Item]:
    """Return the items of a table made by `to_table`."""
    names = [field.name for field in fields(Item)]
    items = []
    for row in table.select(names).to_pylist():
        row["options"] = tuple((option["letter"], option["text"]) for option in row["options"])
        items.append(Item(**row))
    return items

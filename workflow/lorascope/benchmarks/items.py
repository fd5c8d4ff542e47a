"""Items: one question each, mostly about a clip, and the table that holds them between stages."""

# Planning reads this module, and makes no table.
# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

Thing = TypeVar("Thing")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question and its gold answer; audio benchmarks fill what is about a clip.

    item_id: `<category>/<name>`; for audio the stem of the question's clip, whatever clip is heard.
    category: what the table counts apart: `<track>-<hop>` (hop is `single` or `multi`) or a name.
    clip: the clip that is heard, relative to the dataset's root; the question's own clip unless the
        dataset shuffles clips. `clip_sha256` (of the file) and `clip_seconds` belong to it. "" for
        a benchmark of text.
    passage: what the questions of a text benchmark share, as the clip is for audio ones.
    question: the instruction, verbatim, with its options or its passage inline; `options` are
        (letter, text) and `gold` is the letter of the right one.
    answer: the gold answer, verbatim; `answers` are all that count as gold, that one first.
    label: the attribute of the question's own clip (`cat`, `female`, ...), or the article's title.
    mode: how it is answered, where its task says so; "" is the experiment's mode.
    system, turns: what comes before the question where it is asked in turns: the system's, and
        examples as (question, answer). An example that is part of a text stands in `question`.
    continuations: what may follow the question, verbatim and with the blank before it: for choose
        one for each of the options, in their order; for loss the one text. Asked in turns, they
        begin the model's own, and the blank is left out.
    contexts: for choose, what each of the continuations follows where that is not `question`, which
        is then the first of them.
    generation: settings of generation that its task has instead of the experiment's, as JSON.
    record: the row of the source that it was made of, as JSON, for scorers that need more.
    """

    item_id: str
    category: str
    question: str
    answer: str
    answers: tuple[str, ...]
    track: str = ""
    hop: str = ""
    clip: str = ""
    clip_sha256: str = ""
    clip_seconds: float = 0.0
    passage: str = ""
    options: tuple[tuple[str, str], ...] = ()
    gold: str = ""
    label: str = ""
    mode: str = ""
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    continuations: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    generation: str = ""
    record: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The row of the source that it was made of, as `record` has it; {} where none is kept."""
        found: dict[str, Any] = json.loads(self.record or "{}")
        return found


def text_hash(text: str) -> bytes:
    """Return a hash of a text: the same in every process, as that of Python is not."""
    return hashlib.sha256(text.encode()).digest()


def spread(things: Sequence[Thing], count: int | None, key: Callable[[Thing], str]) -> list[Thing]:
    """Return `count` of the things (None: all), whose keys are distinct, in the order given.

    They are the first by a hash of their keys: a sample that is spread over them, the same in
    every run, and of which a smaller one is part.
    """
    if count is None or count >= len(things):
        return list(things)
    kept = {*sorted(map(key, things), key=text_hash)[:count]}
    return [thing for thing in things if key(thing) in kept]


def smaller(*counts: int | None) -> int | None:
    """Return the smallest of the counts; None stands for no limit."""
    return min((count for count in counts if count is not None), default=None)


def schema() -> pa.Schema:
    """Return the Arrow schema of a table of items: the fields of `Item` in order, none nullable."""
    import pyarrow as pa

    option = pa.struct(
        [pa.field("letter", pa.string(), False), pa.field("text", pa.string(), False)]
    )
    turn = pa.struct(
        [pa.field("question", pa.string(), False), pa.field("answer", pa.string(), False)]
    )
    texts = pa.list_(pa.field("element", pa.string(), nullable=False))
    special = {
        "answers": texts,
        "continuations": texts,
        "contexts": texts,
        "turns": pa.list_(pa.field("element", turn, nullable=False)),
        "clip_seconds": pa.float64(),
        "options": pa.list_(pa.field("element", option, nullable=False)),
    }
    return pa.schema(
        [pa.field(f.name, special.get(f.name, pa.string()), nullable=False) for f in fields(Item)]
    )


def to_table(items: Iterable[Item]) -> pa.Table:
    """Return the items as an Arrow table of `schema()`, one row each, in the given order."""
    from lorascope.storage.columns import table_of

    names = [field.name for field in fields(Item)]
    rows = [dict(zip(names, astuple(item), strict=True)) for item in items]
    for row in rows:
        row["options"] = [{"letter": letter, "text": text} for letter, text in row["options"]]
        row["turns"] = [{"question": asked, "answer": said} for asked, said in row["turns"]]
    return table_of(rows, schema())


def from_table(table: pa.Table) -> list[Item]:
    """Return the items of a table made by `to_table`."""
    names = [field.name for field in fields(Item)]
    items = []
    for row in table.select(names).to_pylist():
        row["answers"] = tuple(row["answers"])
        row["continuations"] = tuple(row["continuations"])
        row["contexts"] = tuple(row["contexts"])
        row["turns"] = tuple((turn["question"], turn["answer"]) for turn in row["turns"])
        row["options"] = tuple((option["letter"], option["text"]) for option in row["options"])
        items.append(Item(**row))
    return items

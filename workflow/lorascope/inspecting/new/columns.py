"""The columns of a table: what they are called, and what they hold in all rows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lorascope.benchmarks.table.columns import as_texts, lookup
from lorascope.benchmarks.table.files import Row
from lorascope.errors import UserError, shown

HARMLESS = "guesses, for a study that a user reads before it runs"

AUDIO = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac", ".aiff", ".au")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "texts": (str,),
    "true or false": (bool,),
    "numbers": (int, float),
    "lists": (list,),
    "groups": (dict,),
}


@dataclass(frozen=True, eq=False)
class Column:
    """A column, its name dotted into groups; ``values`` has None where a row has nothing."""

    name: str
    values: tuple[Any, ...]

    @cached_property
    def present(self) -> list[Any]:
        """The values that are there."""
        return [value for value in self.values if value not in (None, "", [])]

    @cached_property
    def kind(self) -> str:
        """What the values are, in words: one of a few, with the lengths of lists."""
        if not self.present:
            return "nothing"
        for kind, types in _KINDS.items():
            if all(isinstance(value, types) for value in self.present):
                return self._lists if kind == "lists" else kind
        return "values of several kinds"

    @property
    def _lists(self) -> str:
        counts = sorted({len(value) for value in self.present})
        several = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        one = "s" if counts != [1] else ""
        if self.is_flags:
            return f"lists of {several} zeros and ones"
        return f"lists of {several} {'text' if self.is_texts else 'value'}{one}"

    @property
    def is_text(self) -> bool:
        """Whether the values are texts."""
        return self.kind == "texts"

    @property
    def is_plain(self) -> bool:
        """Whether every row has a text, a number or a truth value."""
        known = self.kind in ("texts", "numbers", "true or false")
        return known and len(self.present) == len(self.values)

    @cached_property
    def is_texts(self) -> bool:
        """Whether the values are lists of texts or numbers."""
        lists = [isinstance(value, list) and as_texts(value) for value in self.present]
        return bool(lists) and all(lists)

    @cached_property
    def is_flags(self) -> bool:
        """Whether the values are lists of 0 and 1."""
        return self.is_texts and all(text in (0, 1) for value in self.present for text in value)

    @property
    def is_clip(self) -> bool:
        """Whether the values are names of audio files."""
        return self.is_text and all(value.lower().endswith(AUDIO) for value in self.present)

    @property
    def is_unique(self) -> bool:
        """Whether every row has a text or whole number of its own."""
        values = {*map(str, self.values)}
        return self.is_plain and len(values) == len(self.values) and self.kind != "true or false"


def columns_of(rows: Sequence[Row], names: Iterable[str]) -> dict[str, Column]:
    """Return the columns of a table by their names."""
    return {n: Column(n, tuple(lookup(row.values, n) for row in rows)) for n in names}


def listed(columns: Mapping[str, Column]) -> str:
    """Return the columns with what they hold, for a message."""
    shown_ones = [column for column in columns.values() if column.kind != "groups"]
    return ", ".join(f"{column.name} ({column.kind})" for column in shown_ones)


def named(columns: Iterable[Column], names: Sequence[str]) -> list[Column]:
    """Return those of the columns that have one of the names, in the order of the names.

    Case, blanks, hyphens and underscores do not count, nor what a dotted name begins with; the
    text or value in a group has the group's name, too.
    """
    by_name: dict[str, list[Column]] = {}
    for column in columns:
        group, _, last = map(_plain, column.name.rpartition("."))
        whole = [group] if group and last in ("text", "value", "path") else []
        for name in dict.fromkeys((_plain(column.name), last, *whole)):
            by_name.setdefault(name, []).append(column)
    return list(dict.fromkeys(c for name in names for c in by_name.get(name, ())))


def one_each(columns: Mapping[str, Column]) -> list[Column]:
    """Return columns that hold an option each: A, B, ..., option_a, ..., choice1, ..., or [].

    Two or more with one stem, told apart by letters from a or numbers from 0 or 1, with no gap.
    """
    groups: dict[tuple[str, bool], dict[str, Column]] = {}
    for column in columns.values():
        found = re.fullmatch(r"(|op|opt|option|choice|ending|sol)([a-j]|\d)", _plain(column.name))
        if found and column.is_plain and (found[1] or not found[2].isdigit()):
            marks = groups.setdefault((found[1], found[2].isdigit()), {})
            marks[found[2]] = column
    for marks in groups.values():
        row = "".join(sorted(marks))
        if len(row) > 1 and any(f"{start}".startswith(row) for start in _ROWS):
            return [marks[mark] for mark in row]
    return []


_ROWS = ("abcdefghij", "0123456789", "123456789")


def require(columns: Mapping[str, Column], name: str, option: str, file: object) -> Column:
    """Return a column that the user named; UserError, listing the columns, for none."""
    if name in columns:
        return columns[name]
    raise UserError(
        f"{file}: {option} {shown(name)} is no column; it has the columns {listed(columns)}"
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()

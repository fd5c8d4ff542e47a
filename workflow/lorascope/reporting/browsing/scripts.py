"""Data files of the page: classic scripts, since a page from disk may fetch nothing.

Each is one call, ``lorascope.load("<name>", JSON.parse('<JSON>'));``. JSON.parse reads large values
faster than JavaScript does, and takes a key such as __proto__ for a key.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lorascope.storage.records import write_text, writing

_ESCAPES = (
    ("\\", "\\\\"),
    ("'", "\\'"),
    ("</", "<\\/"),  # would end the script where a page holds it
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)


def escaped(value: Any) -> str:
    """Return a value's JSON as it stands within a JavaScript string in single quotes.

    ValueError for a number that is none.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def write_script(folder: Path, name: str, value: Any) -> Path:
    """Write a value as the data file of this name, atomically; return its path."""
    path = folder / f"{name}.js"
    write_text(path, f"{_head(name)}{escaped(value)}{_TAIL}")
    return path


class Script:
    """A data file that grows member by member of one object, and has its name once it is closed.

    It is not kept open: a page has many that grow together.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.js"
        self._growing = folder / f".{uuid.uuid4().hex}.{name}.js"
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        self._append(f"{_head(name)}{{")
        self._separator = ""

    def add(self, key: str, value: Any) -> None:
        """Add a member."""
        self._append(f"{self._separator}{escaped(key)}:{escaped(value)}")
        self._separator = ","

    def open(self, key: str) -> None:
        """Begin a member that is an object; what is added belongs to it until ``shut``."""
        self._append(f"{self._separator}{escaped(key)}:{{")
        self._separator = ""

    def shut(self) -> None:
        """End the object that ``open`` began."""
        self._append("}")
        self._separator = ","

    def close(self) -> Path:
        """End the file, give it its name and return its path."""
        self._append(f"}}{_TAIL}")
        with writing(self.path):
            with self._growing.open("rb") as written:
                os.fsync(written.fileno())
            self._growing.replace(self.path)
        return self.path

    def _append(self, text: str) -> None:
        with writing(self.path), self._growing.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _head(name: str) -> str:
    return f"lorascope.load({json.dumps(name)},JSON.parse('"


_TAIL = "'));\n"


def column(values: Iterable[str | None]) -> dict[str, Any]:
    """Return values, few of them distinct, as names and the place of each among them (-1: None)."""
    places: dict[str, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return {"names": list(places), "codes": codes}


def column_if_any(values: Sequence[str | None]) -> dict[str, Any] | None:
    """Return the column of values, None where all of them are."""
    return column(values) if any(value is not None for value in values) else None


def or_none(values: Sequence[Any], is_nothing: Callable[[Any], bool]) -> list[Any] | None:
    """Return values, None where all of them are nothing."""
    return None if all(map(is_nothing, values)) else list(values)

"""Text for a terminal: its colours, its width, and nothing in it that a terminal would obey."""

import difflib
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator

HARMLESS = "looks, and decides nothing"

COLOURS = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
NARROWEST = 40
"""Columns that are used where a terminal says it has fewer."""
MOST_WORDS = 2000
"""Words up to which two texts are compared: it takes time with their product."""
_WORDS = re.compile(r"(?:[\w'-]+|[^\w\s])[^\S\n]*|\s+")
_ESCAPE = re.compile(r"\x1b\[\d*m")


class Paint:
    """Colours, where standard output is a terminal and NO_COLOR (no-color.org) is not set."""

    def __init__(self, is_on: bool | None = None) -> None:
        on_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.is_on = on_terminal and not os.environ.get("NO_COLOR") if is_on is None else is_on

    def __call__(self, text: str, colour: str) -> str:
        """Return a text of one line in a colour."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.is_on and text else text

    def removed(self, text: str) -> str:
        """Return a text that only the other response has, marked without colours, too."""
        return self(text, "red") if self.is_on else f"[-{text}-]"

    def added(self, text: str) -> str:
        """Return a text that only this response has, marked without colours, too."""
        return self(text, "green") if self.is_on else f"{{+{text}+}}"


def printable(text: str) -> str:
    r"""Return a text whose line feeds alone do something: a response is no command to a terminal.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c == "\t" else repr(c)[1:-1]
        for c in text.replace("\r\n", "\n")
    )


def changed(old: str, new: str, paint: Paint) -> tuple[str, str]:
    """Return two texts with the words marked that the other one lacks.

    Those of equal and of very long texts are not.
    """
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if old == new or len(before) + len(after) > MOST_WORDS:
        return old, new
    marked: tuple[list[str], list[str]] = ([], [])
    found = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, *(a, b, c, d) in found.get_opcodes():
        parts = "".join(before[a:b]), "".join(after[c:d])
        if kind != "equal":
            parts = _each_line(parts[0], paint.removed), _each_line(parts[1], paint.added)
        for text, part in zip(marked, parts, strict=True):
            text.append(part)
    return "".join(marked[0]), "".join(marked[1])


def _each_line(text: str, mark: Callable[[str], str]) -> str:
    """Return a text of which each line is marked, but for the blanks around it."""
    return "\n".join(
        re.sub(r"\S(.*\S)?", lambda found: mark(found[0]), line) for line in text.split("\n")
    )


def columns(text: str) -> int:
    """Return how many columns a text of one line takes: Chinese characters take two each."""
    return sum(map(_columns, _ESCAPE.sub("", text)))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a text, broken between words, or within them where one is too long.

    A colour goes on in the next line where it was not ended.
    """
    open_colour = ""
    for line in text.split("\n"):
        for part in _broken(re.split(r"(?<=\s)(?=\S)", line), width):
            marks = _ESCAPE.findall(part)
            shown = f"{open_colour}{part.rstrip()}"
            open_colour = (marks[-1] if marks else open_colour).replace("\x1b[0m", "")
            yield shown + ("\x1b[0m" if open_colour else "")


def _broken(words: Iterable[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if columns(line + word.rstrip()) > width and line.strip():
            yield line
            line = ""
        while columns(word.rstrip()) > width:
            head = _head(word, width)
            yield head
            word = word[len(head) :]
        line += word
    yield line


def _head(word: str, width: int) -> str:
    """Return the beginning of a word that fits, no mark of a colour cut in two."""
    taken = used = 0
    for part in re.findall(r"\x1b\[\d*m|.", word, re.DOTALL):
        used += 0 if _ESCAPE.fullmatch(part) else _columns(part)
        if used > width and taken:
            break
        taken += len(part)
    return word[:taken]

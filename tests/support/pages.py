"""A page of the documentation, as what it tells a reader to write and to run, in order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.basics import ROOT

_BLOCK = re.compile(r"(?:`(?P<file>[\w./-]+)`:\n\n)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: the ``file`` that it is, "" for none, and the language that it is in."""

    file: str
    kind: str
    text: str

    def write(self) -> None:
        """Write the file, from the current folder on."""
        Path(self.file).parent.mkdir(parents=True, exist_ok=True)
        Path(self.file).write_text(self.text, encoding="utf-8")

    @property
    def commands(self) -> list[str]:
        """The lines of a shell."""
        return self.text.strip().splitlines() if self.kind == "bash" else []


def sections(page: str) -> dict[str, str]:
    """Return heading -> text of a page's sections, of the first and second level."""
    text = (ROOT / page).read_text(encoding="utf-8")
    parts = re.split(r"^##? (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text in order."""
    for found in _BLOCK.finditer(text):
        yield Block(found["file"] or "", found["kind"], found["text"])

"""Rows of a plain text: its paragraphs, or its lines where it has no blank ones."""

import re
from collections.abc import Iterator

COLUMN = "text"


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of its first line, text) of each paragraph, without the blanks around it.

    Blank lines stand between paragraphs. In a text without any, each line is one.
    """
    lines = text.strip().splitlines()
    between = r"\n\s*\n" if any(not line.strip() for line in lines) else r"\n"
    text, end = "\n".join(text.splitlines()), 0
    for part in [*re.finditer(between, text), None]:
        start, end = end, part.end() if part else len(text)
        inner = text[start : part.start() if part else end]
        if inner.strip():
            first = start + len(inner) - len(inner.lstrip())
            yield text.count("\n", 0, first) + 1, inner.strip()

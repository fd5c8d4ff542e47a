"""Reading the options that stand inline in a question: ``... (a) dog (b) cat``."""

import re
import unicodedata
from collections.abc import Sequence

from lorascope.errors import UserError

Options = Sequence[tuple[str, str]]

# "option(s)" is no marker: a marker does not touch the word before it
_MARKER = re.compile(r"(?<!\w)\(([A-Za-z])\)")
_GOLD = re.compile(r"\(?([A-Za-z])(?:\)|[.:](?=\s|$)|$)\s*(.*)", re.DOTALL)


def parse_options(question: str, item: str = "") -> tuple[tuple[str, str], ...]:
    """Return the (letter, text) pairs of the options in `question`.

    Letters come back in lower case; texts verbatim but for white space at their ends. `item` names
    the item in the message of the UserError raised when there are fewer than two options, the
    letters are not a, b, c, ... in order, or an option has no text.
    """
    markers = list(_MARKER.finditer(question))
    where = f"item {item}: " if item else ""
    letters = [marker[1].lower() for marker in markers]
    if len(letters) < 2:
        raise UserError(
            f"{where}fewer than two options in the question {_excerpt(question)}; "
            "write them inline as (a) ... (b) ..."
        )
    if repeated := sorted({letter for letter in letters if letters.count(letter) > 1}):
        raise UserError(
            f"{where}option letter ({repeated[0]}) appears more than once in the question "
            f"{_excerpt(question)}; give each option a letter of its own"
        )
    if letters != [chr(ord("a") + index) for index in range(len(letters))]:
        raise UserError(
            f"{where}option letters {', '.join(letters)} are not consecutive from a in the "
            f"question {_excerpt(question)}; letter the options (a), (b), (c), ..."
        )
    ends = [marker.start() for marker in markers[1:]] + [len(question)]
    texts = [
        question[marker.end() : end].strip() for marker, end in zip(markers, ends, strict=True)
    ]
    for letter, text in zip(letters, texts, strict=True):
        if not text:
            raise UserError(
                f"{where}option ({letter}) has no text in the question {_excerpt(question)}; "
                "write the text after its letter"
            )
    return tuple(zip(letters, texts, strict=True))


def parse_gold(answer: str, options: Options, item: str = "") -> str:
    """Return the letter of the gold `answer`: ``(b) dog``, ``(b)`` or ``dog``.

    Raises UserError, naming `item`, when the answer is not among the options or when its text is
    not that of its letter.
    """
    where = f"item {item}: " if item else ""
    listed = " ".join(f"({letter}) {text}" for letter, text in options)
    plain = _squash(answer)
    for letter, text in options:
        if plain == _squash(text):
            return letter
    match = _GOLD.fullmatch(plain)
    texts = {letter.lower(): text for letter, text in options}
    if match is None or match[1] not in texts:
        raise UserError(
            f"{where}gold answer {answer.strip()!r} is not among the options {listed}; "
            "correct the answer or the option list"
        )
    if match[2] and match[2] != _squash(texts[match[1]]):
        raise UserError(
            f"{where}gold answer {answer.strip()!r} has the letter of another option in {listed}; "
            "correct the answer or the option list"
        )
    return next(letter for letter, _ in options if letter.lower() == match[1])


def _squash(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _excerpt(question: str, width: int = 120) -> str:
    return repr(question if len(question) <= width else "..." + question[-width:])

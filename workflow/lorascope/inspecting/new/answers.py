"""What the answers in a column are, and how long."""

import re
from statistics import median
from typing import Literal, TypeAlias

from lorascope.inspecting.new.columns import Column
from lorascope.study.declarations import FreeAnswers

HARMLESS = "guesses, for a study that a user reads before it runs"

Kind: TypeAlias = FreeAnswers | Literal["options", "nothing"]
"""What an answer is: a free one, one of options, or nothing, of a text."""
LONG = 12
"""Words from which an answer is a long text, and no span."""

_NUMBER = re.compile(r"[-+]?[$€£]?[-+]?\d[\d,]*(\.\d+)?\s?%?")
_WORKED = re.compile(r"####\s*[-+$€£]*\d[\d,.]*\s*$")
"""How the worked answers of GSM8K end."""


def kind_of(column: Column) -> Kind:
    """Return numbers where every answer is one, or ends in one as GSM8K's do, and else texts."""
    if column.kind == "numbers":
        return "numbers"
    texts = column.present if column.is_text else []
    ways = (_NUMBER.fullmatch, _WORKED.search)
    if any(texts and all(map(way, texts)) for way in ways):
        return "numbers"
    return "long texts" if words_of(column) > LONG else "texts"


def words_of(column: Column) -> int:
    """Return how many words an answer usually has, the first one where several count."""
    firsts = (value[0] if isinstance(value, list) else value for value in column.present)
    return round(median(len(str(value).split()) for value in firsts))

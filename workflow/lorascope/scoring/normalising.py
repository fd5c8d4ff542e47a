"""Named normalisations of texts, applied to a response and to what it is compared with alike."""

# Planning reads this module for the names, and normalises nothing.
# ruff: noqa: PLC0415

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator

from lorascope.benchmarks.items import Item
from lorascope.study.settings import unique

Name: TypeAlias = Literal[
    "unicode", "lower", "english", "accents", "punctuation", "numbers", "articles", "whitespace"
]
NAMES: tuple[Name, ...] = get_args(Name)
"""In the order in which they are applied."""
MEANINGS = (
    "any of `unicode` (compatible characters as one, NFKC: ﬁ as fi), `lower`, `english` (Whisper's "
    "normaliser of English transcripts: contractions, fillers, brackets, symbols, numbers; not its "
    "list of British spellings), `accents` (é as e), `punctuation` (removed, dashes and slashes "
    "become a blank; decimal points and a minus before a number stay), `numbers` (English number "
    "words become figures, in lower case: twenty-one as 21, five five as 55, also 5 5), `articles` "
    "(a, an, the are removed, in lower case), `whitespace` (collapsed and trimmed). They are "
    "applied in this order, whatever the order of the list."
)
"""What a scorer's key says of the names; others refer to it."""
_PART_OF_NUMBER = re.compile(r"(?<=\d)[.](?=\d)|(?<![\w.,)])[-−](?=\.?\d)")
_BLANKS = {ord(sign): " " for sign in "/\\_"}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LOOP = re.compile(r"(\d{1000})(?=\d)")
"""What is parted from a run of digits: Python reads no number of more than 4,300."""
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_HYPHENATED = re.compile(r"(?<![\w-])([a-z]+)-([a-z]+)(?![\w-])")
_FIGURES = re.compile(r"(?<!\S)(\d\d?|0\d+)(?!\S)", re.ASCII)


def _in_order(names: list[Name]) -> list[Name]:
    return [name for name in NAMES if name in unique(names)]


Normalise = Annotated[list[Name], AfterValidator(_in_order)]
"""Type of a key that lists normalisations."""


def normalised(text: str, names: Iterable[Name]) -> str:
    """Return a text after the named normalisations, in the order in which they are listed."""
    for name in names:
        text = _FUNCTIONS[name](text)
    return text


def equal_after(names: Iterable[Name]) -> Callable[[str, str], bool]:
    """Return whether a response and an answer are equal after normalisations, as a function.

    An answer of which these leave nothing ("+" without its punctuation) is compared as it is, but
    for white space around it.
    """
    names = list(names)

    def equal(response: str, answer: str) -> bool:
        if left := normalised(answer, names):
            return normalised(response, names) == left
        return response.strip() == answer.strip()

    return equal


def right_texts(item: Item) -> list[str]:
    """Return the texts that count as right: the answers, or the right option's letter and text."""
    option = [
        part for letter, text in item.options if letter == item.gold for part in (letter, text)
    ]
    return list(dict.fromkeys([*item.answers, *option]))


# --------------------------------------------------------------------------- one by one


def _unaccented(text: str) -> str:
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize(
        "NFC", "".join(c for c in parts if unicodedata.category(c) != "Mn")
    )


def _without_punctuation(text: str) -> str:
    kept = {found.start() for found in _PART_OF_NUMBER.finditer(text)}
    return "".join(
        character if place in kept else _unpunctuated(character)
        for place, character in enumerate(text)
    )


@cache
def _unpunctuated(character: str) -> str:
    """Return "" for a mark of punctuation, a blank for one that stands between two words."""
    kind = unicodedata.category(character)
    if kind == "Pd" or ord(character) in _BLANKS:
        return " "
    return "" if kind.startswith("P") or character in string.punctuation else character


def _in_figures(text: str) -> str:
    """Return a text with English number words as figures, by Whisper's normaliser of them.

    That one joins number words, not figures: so figures below 100, and those with a zero first,
    become words before, and "5 5" the 55 that "five five" becomes. It writes 1 as "one" again.
    """
    reader = _numbers()
    words = {number: word for word, number in (reader.ones | reader.tens).items()}

    def split(found: re.Match[str]) -> str:
        is_number = found[1] in reader.tens and found[2] in reader.ones
        return f"{found[1]} {found[2]}" if is_number else found[0]

    def spell(found: re.Match[str]) -> str:
        tens, ones = divmod(int(found[0]), 10)
        parts = [10 * tens, ones] if ones and tens > 1 else [10 * tens + ones]
        parts = [*map(int, found[0])] if found[0].startswith("0") else parts
        return " ".join(words.get(part, "zero") for part in parts)

    text = _HYPHENATED.sub(split, _THOUSANDS.sub("", _LOOP.sub(r"\1 ", text.lower())))
    return re.sub(r"\bone(s?)\b", r"1\1", reader(_FIGURES.sub(spell, text)))


def _as_whisper(text: str) -> str:
    found: str = _text()(_LOOP.sub(r"\1 ", text))
    return found


@cache
def _numbers() -> Any:
    return _whisper().EnglishNumberNormalizer()


@cache
def _text() -> Any:
    return _whisper().EnglishTextNormalizer({})


def _whisper() -> Any:
    from transformers.models.whisper import english_normalizer

    return english_normalizer


_FUNCTIONS: Mapping[Name, Callable[[str], str]] = {
    "unicode": lambda text: unicodedata.normalize("NFKC", text),
    "lower": str.lower,
    "english": _as_whisper,
    "accents": _unaccented,
    "punctuation": _without_punctuation,
    "numbers": _in_figures,
    "articles": lambda text: _ARTICLES.sub(" ", text.lower()),
    "whitespace": lambda text: " ".join(text.split()),
}

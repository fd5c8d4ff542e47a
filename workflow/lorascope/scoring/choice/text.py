"""Normalising a reply, splitting it into words, removing an echoed prompt."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CJK = "\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
# Words of scripts that separate words; CJK texts are searched as plain strings
_WORD = re.compile(rf"\d+(?:[.,]\d+)+|[^\W_{CJK}]+(?:'[^\W_{CJK}]+)*")
_ECHO_WORD = re.compile(rf"[^\W_{CJK}]+|[{CJK}]")
_CHARACTERS: dict[int, str | int | None] = {
    **dict.fromkeys(map(ord, "‘’‛′´ʼ"), "'"),
    **dict.fromkeys(map(ord, "“”„‟″«»「」『』《》"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–−"), "-"),
    **str.maketrans("―【】〔〕。、", "—[][].,"),
}
_LIGATURES = {"ß": "ss", "œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the normalised text, in lower case."""

    lower: str
    start: int
    end: int


@lru_cache(maxsize=16384)
def normalise(text: str) -> str:
    """Unify widths, quotes, dashes, accents, emphasis and white space; keep case and lines."""
    text = unicodedata.normalize("NFKC", text).translate(_CHARACTERS)
    if not text.isascii():
        text = "".join(_plain(char) for char in text if unicodedata.category(char) != "Cf")
    text = re.sub(r"<think>.*?</think>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    text = re.sub(r"\\boxed\s*\{", "final answer: {", text)
    text = re.sub(r"\\(?:text|mathrm|mathbf)\b", "", text).replace("$", " ")
    text = re.sub(r"<answer>(.*?)</answer>", r" answer: \1. ", text, flags=re.DOTALL)
    text = re.sub(r"(?m)^\s*(?:#+|[-*+•>])\s+", "", text)  # headings, bullets
    text = re.sub(r"[*`]+|(?<![^\W_])_+|_+(?![^\W_])", '"', text)  # emphasis reads as quotes
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"(:|\bis)(\"?)\s*\n\s*", r"\1\2 ", text)).strip()


def _plain(char: str) -> str:
    """Drop the accent of a Latin letter (Bogotá is often written Bogota)."""
    if char.isascii():
        return char
    base = unicodedata.normalize("NFD", char)[0]
    return base if base.isascii() else _LIGATURES.get(char, char)


@lru_cache(maxsize=1024)
def lower(text: str) -> str:
    """Lower-case `text` without changing its length."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


@lru_cache(maxsize=256)
def words(text: str) -> tuple[Word, ...]:
    """Split normalised `text` into words."""
    return tuple(Word(m[0], m.start(), m.end()) for m in _WORD.finditer(lower(text)))


def strip_echo(text: str, question: str) -> str:
    """Remove each repetition of `question`, whole or cut, or of its part before the options."""
    whole, size, runs = _question_words(question)
    text = _without(text, whole)
    text = _without_cut(text, whole, size, runs)
    text = _without(text, whole[:size])
    return re.sub(r"\A(?:(?:answer|assistant|user|question)\s*:\s*)+\Z", "", text, flags=re.I)


_RUN = 5  # words of the question in a row that are taken for an echo


@lru_cache(maxsize=4096)
def _question_words(question: str) -> tuple[list[str], int, dict[tuple[str, ...], int]]:
    """Return the words of a question, how many precede its options, and where each run begins."""
    marker = re.search(r"(?<!\w)\([A-Za-z]\)", question)
    size = len(_echo_words(question[: marker.start()] if marker else question))
    whole = [word.lower for word in _echo_words(question)]
    runs = {tuple(whole[i : i + _RUN]): i for i in range(max(0, size - _RUN + 1))}
    return whole, size, runs


def _without_cut(
    text: str, question: list[str], stem: int, runs: dict[tuple[str, ...], int]
) -> str:
    """Remove echoes of `question` that begin after a stop and end at a stop or in its options."""
    found = _echo_words(text)
    index = 0
    spans = []
    while index + _RUN <= len(found):
        first = runs.get(tuple(word.lower for word in found[index : index + _RUN]))
        if first is None or not re.search(r"(?:\A|[.!?:\n]\W*)\Z", text[: found[index].start]):
            index += 1
            continue
        size = _agreeing(found[index:], question[first:])
        options = question[stem : first + size]
        letters = [word for word in options if len(word) == 1]
        end = found[index + size - 1].end
        if len(letters) < 2 and first + size > stem:
            size = stem - first  # the first option may be the answer
            end = found[index + size - 1].end
        elif not re.match(r"\W*(?:\Z|\n)|[.!?:]", text[end:]) and first + size < stem:
            index += 1
            continue
        spans.append((found[index].start, end))
        index += size
    for start, end in reversed(spans):
        text = (text[:start] + "\n" + re.sub(r"\A[^\w\s(]*", "", text[end:])).strip()
    return text


def _agreeing(found: Sequence[Word], question: Sequence[str]) -> int:
    """Return how many words agree; the last of a cut reply may be the beginning of one."""
    size = 0
    while size < min(len(found), len(question)) and found[size].lower == question[size]:
        size += 1
    cut = size == len(found) - 1 and size < len(question)
    return size + (cut and question[size].startswith(found[size].lower))


def _echo_words(text: str) -> list[Word]:
    return [Word(m[0], m.start(), m.end()) for m in _ECHO_WORD.finditer(lower(text))]


def _without(text: str, part: list[str]) -> str:
    """Remove the runs of words equal to `part`, and the punctuation after them, from `text`."""
    low = lower(text)
    # A part of fewer than four words could be the reply's own
    if len(part) < 4 or not all(word in low for word in part[:8]):
        return text
    found = _echo_words(text)
    first = len(found) - len(part)
    while first >= 0:
        if [word.lower for word in found[first : first + len(part)]] == part:
            rest = re.sub(r"\A[^\w\s(]*", "", text[found[first + len(part) - 1].end :])
            text = (text[: found[first].start] + "\n" + rest).strip()
            first -= len(part)
        else:
            first -= 1
    return text

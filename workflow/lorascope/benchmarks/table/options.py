"""The options of a row, and which of them is the right one."""

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lorascope.benchmarks.table.columns import as_text, as_texts, kind, lookup
from lorascope.benchmarks.table.files import Row
from lorascope.errors import UserError, shown

Options: TypeAlias = tuple[tuple[str, str], ...]
"""(letter, text) of each option."""
Keys: TypeAlias = Mapping[str, Any]

WAYS = ("letter", "number", "text")
"""How a column may say which option is the right one, beside a list of 0 and 1."""


@dataclass(frozen=True)
class Offered:
    """The options of a row, and what says the right one."""

    options: Options
    answer: Any
    numbers: bool  # the options are numbers themselves
    row: Row

    @property
    def letters(self) -> list[str]:
        """The letters of the options."""
        return [letter for letter, _ in self.options]

    @property
    def texts(self) -> list[str]:
        """The texts of the options."""
        return [text for _, text in self.options]


def offered(row: Row, keys: Keys) -> Offered:
    """Return the options of a row; UserError, naming row and column, for what are none."""
    values, letters = _values(row, keys["options"])
    texts = [_text(row, keys["options"], place, value) for place, value in enumerate(values)]
    if len(texts) < 2:
        raise UserError(
            f"{row.where}: column {keys['options']}: {len(texts) or 'no'} option; give two or more"
        )
    labels = _letters(row, keys["letters"], letters, len(texts))
    numbers = all(isinstance(value, int | float) for value in values)
    answer = lookup(row.values, keys["answer"])
    return Offered(tuple(zip(labels, texts, strict=True)), answer, numbers, row)


def _text(row: Row, options: str | Sequence[str], place: int, value: Any) -> str:
    """Return the text of an option; UserError for none."""
    column = options if isinstance(options, str) else options[place]
    text = as_text(value)
    if text is None:
        raise UserError(
            f"{row.where}: column {column}: an option is {kind(value)}; give a text or a number"
        )
    if not text.strip():
        raise UserError(f"{row.where}: column {column}: option {place + 1} is empty; fill it in")
    return text


def _values(row: Row, options: str | Sequence[str]) -> tuple[list[Any], list[str] | None]:
    """Return what a row's options are, and their letters where they are the keys of a mapping."""
    if not isinstance(options, str):
        return [_filled(row, name) for name in options], None
    value = lookup(row.values, options)
    if isinstance(value, Mapping):
        # Parquet gives every row the keys of all rows.
        given = {key: inner for key, inner in value.items() if inner is not None}
        return list(given.values()), list(given)
    if not isinstance(value, list):
        raise UserError(
            f"{row.where}: column {options}: holds {kind(value)} where options are expected; name "
            "a column that holds a list, or give a list of columns, one for each option"
        )
    return value, None


def _filled(row: Row, name: str) -> Any:
    value = lookup(row.values, name)
    return "" if value is None else value


def _letters(
    row: Row, letters: str | Sequence[str] | None, keys: list[str] | None, count: int
) -> list[str]:
    """Return a letter for each of the options of a row."""
    if letters is None:
        found = keys or list(string.ascii_lowercase)
        where = "options"
    elif isinstance(letters, str):
        found, where = as_texts(lookup(row.values, letters)) or [], f"column {letters}"
        if len(found) != count:
            raise UserError(
                f"{row.where}: {where}: holds {len(found)} letters for {count} options; give each "
                "option one"
            )
    else:
        found, where = list(letters), "letters"
    if len(found) < count:
        raise UserError(
            f"{row.where}: {where}: {len(found)} letters for {count} options; give more letters"
        )
    found = [letter.strip() for letter in found[:count]]
    if "" in found or len({letter.casefold() for letter in found}) < count:
        raise UserError(
            f"{row.where}: {where}: the letters {', '.join(map(repr, found))} do not tell the "
            "options apart; give each option one of its own"
        )
    return found


# ----------------------------------------------------------------------------- right one


def right_options(rows: Sequence[Offered], keys: Keys) -> list[int]:
    """Return the number, from 0, of the right option of each row.

    All rows say it in one way: the key ``answer_by``, or the one way that fits all of them.
    UserError, naming row and column, for an answer that is no option, and where two ways fit and
    mean different options.
    """
    column = keys["answer"]
    check_kinds([(one.row, one.answer) for one in rows], column)
    if all(isinstance(one.answer, list) for one in rows):
        return _all([_flagged(one) for one in rows], rows, column, ("flags",))
    ways = [keys["answer_by"]] if keys["answer_by"] else list(WAYS)
    read = {way: [_READ[way](one, bool(keys["answer_by"])) for one in rows] for way in ways}
    fitting = [way for way in ways if None not in read[way]]
    if not fitting:
        best = min(ways, key=lambda way: read[way].count(None))
        return _all(read[best], rows, column, ways)
    found = [read[way] for way in fitting]
    for one, *meant in zip(rows, *found, strict=True):
        if len({*meant}) > 1:
            both = " and ".join(
                f"as a {way} ({one.letters[i or 0]}) {shown(one.texts[i or 0])}"
                for way, i in zip(fitting, meant, strict=True)
            )
            raise UserError(
                f"{one.row.where}: column {column}: {shown(one.answer)} means {both}, and nothing "
                f"in the table tells which; set answer_by to {' or '.join(fitting)}"
            )
    return _all(found[0], rows, column, ways)


def check_kinds(answers: Sequence[tuple[Row, Any]], column: str) -> None:
    """Raise UserError for a row without an answer, or with one of another kind than the first's."""
    empty = [row for row, answer in answers if answer is None or answer == ""]
    if empty:
        raise UserError(f"{empty[0].where}: column {column}: no answer; fill it in{_more(empty)}")
    kinds = [kind(answer) for _, answer in answers]
    others = [row for (row, _), one in zip(answers, kinds, strict=True) if one != kinds[0]]
    if others:
        other = next(one for one in kinds if one != kinds[0])
        raise UserError(
            f"{others[0].where}: column {column}: holds {other}, and {kinds[0]} at "
            f"{answers[0][0].where}; give all rows one kind{_more(others)}"
        )


def _more(bad: Sequence[Any]) -> str:
    return f" (and {len(bad) - 1} more rows)" if len(bad) > 1 else ""


def _all(
    found: Sequence[int | None], rows: Sequence[Offered], column: str, ways: Iterable[str]
) -> list[int]:
    """Return the numbers; UserError for the first row without one."""
    right = [number for number in found if number is not None]
    if len(right) == len(rows):
        return right
    bad = [one for one, number in zip(rows, found, strict=True) if number is None]
    listed = " ".join(f"({letter}) {text}" for letter, text in bad[0].options)
    several = bad[0].texts.count(as_text(bad[0].answer) or "") > 1
    what = "is the text of several of" if several else "is not among"
    raise UserError(
        f"{bad[0].row.where}: column {column}: {shown(bad[0].answer)} {what} the options "
        f"{shown(listed, 300)}; give {' or '.join(_SAYS[way] for way in ways)}{_more(bad)}"
    )


def _flagged(one: Offered) -> int | None:
    """Return the place of the single 1 in a list of 0 and 1, such as mc1_targets of TruthfulQA."""
    flags = one.answer
    if len(flags) != len(one.options) or any(flag not in (0, 1) for flag in flags):
        return None
    return flags.index(1) if flags.count(1) == 1 else None


def _by_letter(one: Offered, asked: bool) -> int | None:
    """Return the option that has the letter, "B", "(b)", "B." or "(b) its text"."""
    if not isinstance(one.answer, str) and not asked:
        return None  # a number counts from 0, unless the study says that it is a letter
    said = squash(as_text(one.answer) or "")
    for number, (letter, text) in enumerate(one.options):
        low = squash(letter)
        forms = [f"({low})", f"{low})", f"{low}.", f"{low}:"]
        if said in (low, *forms, *(f"{form} {squash(text)}" for form in forms)):
            return number
    return None


def _by_number(one: Offered, asked: bool) -> int | None:
    """Return the option of a number that counts from 0."""
    answer = one.answer
    if isinstance(answer, str):
        digits = any(letter.isdecimal() for letter in one.letters)
        if (digits and not asked) or not re.fullmatch("[0-9]{1,9}", answer.strip()):
            return None
        answer = int(answer)
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return None
    return next((i for i in range(len(one.options)) if i == answer), None)


def _by_text(one: Offered, asked: bool) -> int | None:
    """Return the one option that has the text."""
    if isinstance(one.answer, int | float) and not (
        isinstance(one.answer, bool) or one.numbers or asked
    ):
        return None
    said = as_text(one.answer)
    same = [i for i, text in enumerate(one.texts) if text == said]
    if len(same) != 1 and said is not None:
        same = [i for i, text in enumerate(one.texts) if squash(text) == squash(said)]
    return same[0] if len(same) == 1 else None


_SAYS = {
    "letter": "its letter",
    "number": "its number from 0",
    "text": "its text",
    "flags": "a list as long as the options, of 0 and a single 1",
}
_READ = {"letter": _by_letter, "number": _by_number, "text": _by_text}


def squash(text: str) -> str:
    """Return a text as it is compared: cases, widths of characters and blanks do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

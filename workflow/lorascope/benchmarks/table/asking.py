"""What a row asks, and what is right: question, options and answers, by the keys of the study."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lorascope.benchmarks.table.columns import (
    as_text,
    as_texts,
    fill,
    is_template,
    kind,
    lookup,
    named,
)
from lorascope.benchmarks.table.files import Row
from lorascope.benchmarks.table.options import (
    Offered,
    Options,
    check_kinds,
    offered,
    right_options,
)
from lorascope.errors import UserError, raise_problems

Keys: TypeAlias = Mapping[str, Any]
Found = TypeVar("Found")
LISTED = "options"  # the place in a question that lists them


@dataclass(frozen=True)
class Asked:
    """A row as it is asked.

    said: the right answer as examples show it and training learns it: a text, or an option's letter
    or text; the text whose likelihood is asked, where nothing else is. follows: what may follow the
    question, without the delimiter, as ``Item.continuations``.
    """

    row: Row
    question: str
    said: str
    answers: tuple[str, ...]
    follows: tuple[str, ...]
    options: Options = ()
    gold: str = ""


# ------------------------------------------------------------------------------- columns


def check_columns(where: object, known: Sequence[str], keys: Keys) -> None:
    """Raise UserError, naming the key, for a column that no row of a table has.

    where: its files; known: the names of its columns.
    """
    for key, name in _needed(keys, known):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise UserError(
                f"{where}: no column {name!r}, which {key} names; {hint}it has: {listed}"
            )


def _needed(keys: Keys, known: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield key and column for each column that the keys name."""
    for key in ("question", "text", "clip"):
        if keys[key] and not (key == "question" and is_fixed(keys, known)):
            yield from ((key, n) for n in named(keys[key]) if not _lists_options(n, keys))
    for key in ("options", "letters"):
        if isinstance(keys[key], str):
            yield key, keys[key]
    if keys["options"] and not isinstance(keys["options"], str):
        yield from (("options", name) for name in keys["options"])
    if isinstance(keys["category"], Mapping):
        yield "category", keys["category"]["column"]
    for key in ("answer", "id"):
        if keys[key]:
            yield key, keys[key]


def is_fixed(keys: Keys, known: Sequence[str]) -> bool:
    """Return whether the question is the same text for every clip, and names no column."""
    question = keys["question"]
    return (
        bool(question and keys["clip"])
        and not is_template(question)
        and question not in known
        and " " in question.strip()
        and not difflib.get_close_matches(question, known, n=1)
    )


def _lists_options(name: str, keys: Keys) -> bool:
    return name == LISTED and keys["options"] is not None


# ---------------------------------------------------------------------------------- rows


def ask(rows: Sequence[Row], keys: Keys, known: Sequence[str]) -> list[Asked]:
    """Return what each row asks; the keys' columns are ``known``.

    UserError, naming row and column of the first problem, and how many there are more.
    """
    fixed = keys["question"] if is_fixed(keys, known) else None
    if keys["options"]:
        return _with_gold(_each(rows, lambda row: _offers(row, keys, fixed)), keys)
    asked = _each(rows, lambda row: _texts(row, keys, fixed))
    if keys["answer"]:
        given = [(row, lookup(row.values, keys["answer"])) for row in rows]
        check_kinds([(r, v) for r, v in given if not isinstance(v, list)], keys["answer"])
    return asked


def _each(rows: Iterable[Row], read: Callable[[Row], Found]) -> list[Found]:
    """Return what is read of each row; UserError for the first problem, with the number of all."""
    found: list[Found] = []
    problems: list[UserError] = []
    for row in rows:
        try:
            found.append(read(row))
        except UserError as error:
            problems.append(error)
    raise_problems(problems)
    return found


def _offers(row: Row, keys: Keys, fixed: str | None) -> tuple[str, Offered]:
    """Return question and options of a row."""
    offer = offered(row, keys)
    written = keys["option_separator"].join(
        fill(keys["option_format"], {"letter": letter, "text": text}.__getitem__)
        for letter, text in offer.options
    )
    return _question(row, keys, fixed, written), offer


def _with_gold(offers: Sequence[tuple[str, Offered]], keys: Keys) -> list[Asked]:
    """Return what rows of questions and options ask, with the right one of each."""
    if not offers:
        return []
    right = right_options([offer for _, offer in offers], keys)
    place = 0 if keys["continuation"] == "letter" else 1
    return [
        Asked(
            row=offer.row,
            question=question,
            said=offer.options[number][place],
            answers=(offer.options[number][place],),
            follows=tuple(option[place] for option in offer.options),
            options=offer.options,
            gold=offer.options[number][0],
        )
        for (question, offer), number in zip(offers, right, strict=True)
    ]


def _texts(row: Row, keys: Keys, fixed: str | None) -> Asked:
    """Return question and answers, or question and text, of a row."""
    question = _question(row, keys, fixed, "")
    if keys["text"]:
        text = filled(row, keys["text"])
        return Asked(row, question, said=text, answers=(), follows=(text,))
    answers = _answers(row, keys["answer"])
    return Asked(row, question, said=answers[0], answers=answers, follows=answers[:1])


def _answers(row: Row, column: str) -> tuple[str, ...]:
    value = lookup(row.values, column)
    text = as_text(value)
    texts = as_texts(value) if text is None else [text]
    if value is None or text == "" or texts == []:
        raise UserError(f"{row.where}: column {column}: no answer; fill it in")
    if texts is None:
        raise UserError(
            f"{row.where}: column {column}: holds {kind(value)} where an answer is expected; give "
            "a text, a number or a list of them"
        )
    if not all(one.strip() for one in texts):
        raise UserError(f"{row.where}: column {column}: an answer is empty; fill it in")
    return tuple(texts)


def _question(row: Row, keys: Keys, fixed: str | None, options: str) -> str:
    """Return the question of a row, "" where a table has none."""
    if fixed is not None or keys["question"] is None:
        return fixed or ""
    if keys["options"] is None:
        return filled(row, keys["question"])
    return filled(row, keys["question"], {LISTED: options})


def filled(row: Row, spec: str, own: Mapping[str, str] | None = None) -> str:
    """Return what a column's name, or a template, is for a row; UserError for nothing.

    own: values of places that are no columns.
    """
    own = own or {}

    def value(name: str) -> str:
        if name in own:
            return own[name]
        found = lookup(row.values, name)
        text = as_text(found)
        if text is None:
            what = f"holds {kind(found)}" if found is not None else "is empty"
            raise UserError(
                f"{row.where}: column {name}: {what} where a text is expected; correct the row"
            )
        return text

    whole = fill(spec, value) if is_template(spec) else value(spec)
    if not whole.strip():
        columns = ", ".join(name for name in named(spec) if name not in own) or spec
        raise UserError(f"{row.where}: column {columns}: is empty; fill it in")
    return whole

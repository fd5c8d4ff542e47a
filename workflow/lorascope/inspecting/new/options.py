"""Which columns hold a question's options, and which says the right one, in which way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorascope.benchmarks.table.files import Row
from lorascope.benchmarks.table.options import WAYS, Offered, offered, right_options
from lorascope.errors import UserError
from lorascope.inspecting.new.columns import Column, named, one_each
from lorascope.inspecting.new.names import ALIASES, LETTERS, OPTIONS, RIGHT

HARMLESS = "guesses, for a study that a user reads before it runs"


class AmbiguousError(UserError):
    """A column that says the right option in two ways, which mean different options."""


@dataclass(frozen=True)
class Options:
    """The options as keys of a dataset: those of `Offered`, answer and answer_by apart."""

    key: str | list[str]
    letters: str | list[str] | None
    kind: str
    rows: Sequence[Row]

    @property
    def used(self) -> set[str]:
        """The columns that hold them, and their letters."""
        letters = [self.letters] if isinstance(self.letters, str) else []
        return {*([self.key] if isinstance(self.key, str) else self.key), *letters}

    def offers(self, answer: str, letters: Any = None) -> list[Offered]:
        """Return the options of all rows with what says the right one; UserError for no options."""
        keys = {"options": self.key, "letters": letters or self.letters, "answer": answer}
        return [offered(row, keys) for row in self.rows]


@dataclass(frozen=True)
class Right:
    """Which column says the right option: keys of a dataset, and the way in words."""

    column: str
    way: str
    letters: list[str] | None = None
    answer_by: str | None = None


def find_options(
    columns: Mapping[str, Column], rows: Sequence[Row], given: str | None
) -> Options | None:
    """Return the options, of the columns named or those that look like it; None if none do."""
    if given and "," in given:
        names = [name.strip() for name in given.split(",")]
        return Options(names, None, "a text each", rows)
    lists = [columns[given]] if given else [c for c in columns.values() if _could_be(c)]
    chosen = lists if given else named(lists, OPTIONS)
    single = [] if chosen else one_each(columns)
    if single:
        return Options([column.name for column in single], None, "a text each", rows)
    if not chosen and len(lists) != 1:
        return None
    column = (chosen or lists)[0]
    kind = "letters and texts" if column.kind == "groups" else column.kind
    return Options(column.name, _letters(columns, column), kind, rows)


def _could_be(column: Column) -> bool:
    if column.kind == "groups":
        keys = {key for value in column.present for key in value}
        return len(keys) > 1 and all(len(key) == 1 for key in keys)
    if named([column], ALIASES) or not column.is_texts or column.is_flags:
        return False
    return min(map(len, column.present)) > 1


def _letters(columns: Mapping[str, Column], options: Column) -> str | None:
    """Return the column of the same group that has a short text for each option."""
    group = options.name.rpartition(".")[0]
    if not group or not options.is_texts:
        return None
    beside = [c for c in columns.values() if c.name.rpartition(".")[0] == group and c.is_texts]
    for column in named(beside, LETTERS):
        pairs = zip(column.values, options.values, strict=True)
        if not column.is_flags and all(len(a or []) == len(b or []) for a, b in pairs):
            return column.name
    return None


def find_right(
    columns: Mapping[str, Column], options: Options, given: str | None, answer_by: str | None
) -> Right | None:
    """Return which column says the right option; None if none does.

    UserError where the one that is named does not, or in two ways that mean different options.
    """
    if given:
        return _right(columns[given], options, answer_by)
    free = [column for column in columns.values() if column.name not in options.used]
    for column in dict.fromkeys([*_flags(free, options), *named(free, RIGHT)]):
        if right := _tried(column, options, answer_by):
            return right
    # Of another name, numbers may be anything; letters and texts of the options are no chance.
    texts = [column for column in free if column.is_text and column not in named(free, RIGHT)]
    sure = [right for column in texts if (right := _tried(column, options, answer_by))]
    return sure[0] if len(sure) == 1 else None


def _flags(columns: Sequence[Column], options: Options) -> Iterator[Column]:
    """Yield what has zeros and ones in the same group as the options."""
    group = options.key.rpartition(".")[0] if isinstance(options.key, str) else ""
    yield from (c for c in columns if group and c.name.startswith(f"{group}.") and c.is_flags)


def _tried(column: Column, options: Options, answer_by: str | None) -> Right | None:
    try:
        return _right(column, options, answer_by)
    except AmbiguousError:
        raise
    except UserError:
        return None


def _right(column: Column, options: Options, answer_by: str | None) -> Right:
    """Return in which way a column says the right option; UserError if it does not, in any."""
    try:
        offers = options.offers(column.name)
        right_options(offers, {"answer": column.name, "answer_by": answer_by})
    except UserError as error:
        if not answer_by and any(_fits(column.name, options, way) for way in WAYS):
            raise AmbiguousError(error) from None
        counted = None if answer_by else _counts_from_one(column, options)
        if counted is None:
            raise
        return counted
    if all(isinstance(offer.answer, list) for offer in offers):
        return Right(column.name, "lists with 1 at the right one")
    way = answer_by or next(way for way in WAYS if _fits(column.name, options, way))
    return Right(column.name, _words(way, offers), answer_by=answer_by)


def _fits(column: str, options: Options, way: str) -> bool:
    try:
        offers = options.offers(column)
        if way == "letter" and not all(isinstance(offer.answer, str) for offer in offers):
            return False
        right_options(offers, {"answer": column, "answer_by": way})
    except UserError:
        return False
    return True


def _words(way: str, offers: Sequence[Offered]) -> str:
    if way != "letter":
        return {"number": "numbers from 0", "text": "the right text"}[way]
    found = sorted({str(offer.answer).strip() for offer in offers})
    return f"letters {found[0]} to {found[-1]}" if len(found) > 1 else f"letter {found[0]}"


def _counts_from_one(column: Column, options: Options) -> Right | None:
    """Return an answer that is a number from 1 as one by letters that are digits."""
    if options.letters:
        return None
    most = max(len(offer.options) for offer in options.offers(column.name))
    letters = [str(number) for number in range(1, most + 1)]
    try:
        offers = options.offers(column.name, letters)
        right_options(offers, {"answer": column.name, "answer_by": "letter"})
    except UserError:
        return None
    return Right(column.name, "numbers from 1", letters, "letter")

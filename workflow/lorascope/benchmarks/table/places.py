"""Which rows are asked: ids, categories, samples, and the rows that serve as examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

from lorascope.benchmarks.items import spread, text_hash
from lorascope.benchmarks.table.columns import as_text, lookup
from lorascope.benchmarks.table.files import Row
from lorascope.errors import UserError, raise_problems

Dataset: TypeAlias = Mapping[str, Any]
MOST_CATEGORY = 100  # characters


@dataclass(frozen=True)
class Place:
    """A row that may be asked: its number among all rows, from 0, its id and its category."""

    row: Row
    number: int
    id: str
    category: str

    @property
    def item_id(self) -> str:
        """The id of the item that it becomes."""
        return f"{self.category}/{self.id}"


def asked_places(rows: Sequence[Row], dataset: Dataset, limit: int | None) -> list[Place]:
    """Return the rows that are asked, in their order: without examples, as many as are wanted."""
    places = _places(rows, dataset)
    shown = {*drawn(len(places), dataset)} if draws_own(dataset) else set()
    left = [place for place in places if place.number not in shown]
    # The name of all rows is no part of it: conditions and renamed data sets ask the same.
    key = attrgetter("id" if isinstance(dataset["category"], str) else "item_id")
    chosen = spread(left, dataset["items"], key)
    if limit is None:
        return chosen
    by_category: dict[str, list[Place]] = {}
    for place in chosen:
        by_category.setdefault(place.category, []).append(place)
    kept = [place for alike in by_category.values() for place in spread(alike, limit, key)]
    return sorted(kept, key=attrgetter("number"))


def _places(rows: Sequence[Row], dataset: Dataset) -> list[Place]:
    """Return the rows with ids and categories; UserError where two rows have the same."""
    problems: list[UserError] = []
    first: dict[str, Place] = {}
    for number, row in enumerate(rows):
        try:
            category = dataset["category"]
            if not isinstance(category, str):
                category = _label(row, category["column"], MOST_CATEGORY)
            own = _label(row, dataset["id"], 1000) if dataset["id"] else str(number + 1)
        except UserError as error:
            problems.append(error)
            continue
        place = Place(row, number, own, category)
        if (earlier := first.setdefault(place.item_id, place)) is not place:
            problems.append(
                UserError(
                    f"{row.where}: column {dataset['id']}: the id {own!r} comes twice, first at "
                    f"{earlier.row.where}; change one, or leave id out for the rows' numbers"
                )
            )
    raise_problems(problems)
    return list(first.values())


def _label(row: Row, column: str, most: int) -> str:
    text = (as_text(lookup(row.values, column)) or "").strip()
    if not text:
        raise UserError(f"{row.where}: column {column}: is empty; fill it in")
    if len(text) > most or not text.isprintable():
        raise UserError(
            f"{row.where}: column {column}: {text[:40]!r} is no name; give one line of at most "
            f"{most} characters"
        )
    return text


def draws_own(dataset: Dataset) -> bool:
    """Return whether examples are drawn from the rows that are asked."""
    few_shot = dataset["few_shot"]
    return bool(few_shot) and not few_shot["source"] and not few_shot["files"]


def drawn(count: int, dataset: Dataset) -> list[int]:
    """Return which of so many rows are the examples, in the order in which they are shown."""
    few_shot = dataset["few_shot"]
    most = count - 1 if draws_own(dataset) else count
    if few_shot["count"] > most:
        left = ", of which one has to be left to ask" if draws_own(dataset) else ""
        raise UserError(
            f"few_shot.count: {few_shot['count']} examples are asked for, and there are {count} "
            f"rows{left}; lower it"
        )
    order = sorted(range(count), key=lambda i: text_hash(f"{few_shot['seed']}/{i}"))
    return order[: few_shot["count"]]

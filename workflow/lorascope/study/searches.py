"""Searches over many experiments by successive halving: what a study may ask for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from lorascope.errors import UserError, listing
from lorascope.study.choice_words import MEAN
from lorascope.study.choices import (
    Among,
    Candidate,
    Categories,
    candidates,
    check_by,
    listed,
)
from lorascope.study.experiments import Experiment
from lorascope.study.judge_checks import judges_of
from lorascope.study.settings import READ, Settings, Text

if TYPE_CHECKING:
    from lorascope.study.study import Study

HARMLESS = "settings that decide a result are in its fingerprint by their values"


class Search(Settings):
    """A search for the best of many experiments that asks the worse ones a part of the items."""

    among: Among = Field(description="The candidates, as of a choice (`choose.among`).")
    by: Text = Field(MEAN, description="Category to go by, or mean, as of a choice (`choose.by`).")
    parts: Annotated[int, Field(ge=2, le=1000), READ] = Field(
        8,
        description="Into how many parts the items are cut, each a sample of them. All candidates "
        "are asked the first part, those that are left twice as many (`reduce` times), and so on; "
        "the last ones are asked everything. They are the shards of these experiments, more of "
        "them where the study's `shards` says so.",
    )
    reduce: Annotated[int, Field(ge=2, le=100), READ] = Field(
        2, description="One of so many candidates goes on, the best ones, each time."
    )


Searches = Annotated[
    list[Search],
    Field(max_length=100),
    BeforeValidator(listed, json_schema_input_type=Search | list[Search]),
]


@dataclass(frozen=True)
class Entrants:
    """The candidates of a search, and those that always go on as others are compared with them."""

    search: Search
    candidates: tuple[Candidate, ...]
    always: frozenset[str]

    @property
    def experiments(self) -> frozenset[str]:
        """IDs, without runs, of all their experiments."""
        return frozenset(name for one in self.candidates for name in one.experiments)

    def rungs(self, parts: int) -> list[int]:
        """Return how many parts candidates are asked before each decision, as long as one is left.

        The last decision is before everything is asked.
        """
        found, left = [], len(self.candidates)
        size = parts
        while size > 1:
            size = math.ceil(size / self.search.reduce)
            found.append(size)
        needed = 0
        while left > 1:
            left, needed = math.ceil(left / self.search.reduce), needed + 1
        return sorted(found)[-needed:]


def entrants(study: "Study") -> list[Entrants]:
    """Return the candidates of the study's searches."""
    compared = {
        *(name for reference in study.references for name in reference.experiments),
        *(r.published.reproduction for r in study.references if r.published),
        *(gate.of for gate in study.retain),
        *(gate.of for choice in study.choose for gate in choice.keep),
    }
    found = []
    for i, search in enumerate(study.search):
        where = f"{study.file}: search[{i}].among"
        own = candidates(search.among, study.experiments.values(), where)
        always = {one.name for one in own if compared & {*one.experiments}}
        found.append(Entrants(search, tuple(own), frozenset(always)))
    return found


def check_searches(study: "Study", categories: Categories) -> None:
    """Raise UserError, naming the study's file and key, for a search that cannot be made."""
    seen: dict[str, int] = {}
    for i, one in enumerate(entrants(study) if study.search else ()):
        where = f"{study.file}: search[{i}]"
        check_by(study, list(one.candidates), one.search.by, categories, where)
        for name in sorted(one.experiments):
            if name in seen:
                raise UserError(
                    f"{where}.among: {name} is a candidate of search[{seen[name]}], too; an "
                    "experiment is in one search"
                )
            seen[name] = i
            _check_candidate(study.experiments[name], f"{where}.among: {name}")
        _check_alike(study, one, f"{where}.among")


def _check_candidate(experiment: Experiment, where: str) -> None:
    if experiment.is_imported:
        raise UserError(
            f"{where}: its predictions were made elsewhere, so that no question is saved; leave it "
            "out of the search"
        )
    if judges_of(experiment):
        raise UserError(
            f"{where}: its scorer asks a judge, who reads finished predictions; search by a scorer "
            "of rules"
        )


def _check_alike(study: "Study", one: Entrants, where: str) -> None:
    """Refuse candidates whose parts would have other items in half precision."""
    ways: dict[str, tuple[str, Mapping[str, object]]] = {}
    for name in sorted(one.experiments):
        asked = study.experiments[name].asked
        dtype = study.models[asked.model or ""].dtype
        way: dict[str, object] = {"mode": asked.mode, "dtype": dtype == "float32" or dtype}
        if dtype != "float32":
            keys: Sequence[str] = ("batch_size", "tokens_at_once", "generation")
            way |= {key: getattr(asked, key) for key in keys}
        first, other = ways.setdefault(asked.dataset, (name, way))
        if other != way:
            odd = listing(key for key in {*way, *other} if way.get(key) != other.get(key))
            raise UserError(
                f"{where}: {first} and {name} differ in {odd}, so that their parts would have "
                "other items; search among experiments that are alike in it"
            )

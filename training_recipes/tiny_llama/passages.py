"""Made-up passages about neighbours, and two tasks: how things are and how they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

NAMES = (
    *("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karin"),
    *("Leo", "Maria", "Noah", "Olga", "Paul", "Rosa", "Simon", "Tina", "Umar", "Vera", "Will"),
    *("Yara", "Zoe"),
)
CITIES = (
    *("Oslo", "Rome", "Paris", "Lima", "Cairo", "Delhi", "Tokyo", "Quito", "Dublin", "Vienna"),
    *("Lisbon", "Athens", "Prague", "Madrid", "Berlin", "Warsaw", "Nairobi", "Havana", "Hanoi"),
    "Bern",
)
FOODS = (
    *("rice", "soup", "bread", "cheese", "honey", "plums", "beans", "fish", "salad", "cake"),
    *("pears", "nuts", "pasta", "corn", "figs", "peas", "grapes", "olives", "mango", "carrots"),
)
JOBS = (
    *("baker", "nurse", "pilot", "farmer", "painter", "teacher", "singer", "tailor", "judge"),
    *("driver", "sailor", "dentist", "gardener", "porter", "cook", "writer", "plumber", "vet"),
    *("barber", "guide"),
)
TASTES = ("sweet", "sour", "hot", "cold", "fresh", "salty", "plain", "spicy")
THINGS = (
    *("boat", "car", "bike", "house", "horse", "piano", "tent", "lamp", "coat", "chair"),
    *("drum", "kite", "clock", "camera", "canoe", "sofa", "flute", "cart", "sledge", "tractor"),
)
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "grey")
SUBJECTS = (
    *("history", "music", "law", "physics", "art", "botany", "logic", "poetry", "geology", "drama"),
    *("economics", "algebra"),
)


@dataclass(frozen=True)
class Relation:
    """One kind of fact: what is said of a person, and how it is asked about."""

    values: tuple[str, ...]
    says: str  # of {then}, if it has changed, and {now}
    asks: str  # of a name, about now


MOVE = Relation(CITIES, "moved from {then} to {now}", "Where does {} live?")
ASK_THEN = "Where did {} live?"
STATES = (
    Relation(
        tuple(f"{taste} {food}" for food in FOODS for taste in TASTES),
        "likes {now}",
        "What does {} like?",
    ),
    Relation(
        tuple(f"{colour} {thing}" for thing in THINGS for colour in COLOURS),
        "owns a {now}",
        "What does {} own?",
    ),
    Relation(JOBS, "works as a {now}", "What does {} work as?"),
    Relation(SUBJECTS, "studies {now}", "What does {} study?"),
)


@dataclass(frozen=True)
class Question:
    """A question and its answer, which begins at character `start` of the passage."""

    text: str
    answer: str
    start: int


@dataclass(frozen=True)
class Passage:
    """A life in one sentence for each relation: `facts` are (relation, value), in their order."""

    name: str
    facts: tuple[tuple[Relation, str], ...]
    then: str  # the city that was left

    @property
    def text(self) -> str:
        """The sentences, one space between two."""
        return " ".join(
            f"{self.name} {relation.says.format(now=value, then=self.then)}."
            for relation, value in self.facts
        )

    def now(self) -> list[Question]:
        """The original task: "Where does Ben live?" is answered by "Rome"; so for each fact."""
        return [
            Question(relation.asks.format(self.name), value, self.text.index(f" {value}.") + 1)
            for relation, value in self.facts
        ]

    def before(self) -> list[Question]:
        """The new task: "Where did Ben live?" is answered by "Oslo"."""
        start = self.text.index(f" {self.then} ") + 1
        return [Question(ASK_THEN.format(self.name), self.then, start)]


def make_passage(rng: random.Random) -> Passage:
    """A random person, move and state of each kind, told in random order."""
    then, now = rng.sample(CITIES, 2)
    facts = [(MOVE, now), *((state, rng.choice(state.values)) for state in STATES)]
    return Passage(rng.choice(NAMES), tuple(rng.sample(facts, len(facts))), then)


TASKS: dict[str, Callable[[Passage], list[Question]]] = {
    "original": Passage.now,
    "new": Passage.before,
}

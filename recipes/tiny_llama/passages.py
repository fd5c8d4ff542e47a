"""Made-up passages about neighbours, and two tasks: how things are and how they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

PEOPLE_PER_PASSAGE = 3
MOVES_PER_PASSAGE = 2

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
)


@dataclass(frozen=True)
class Fact:
    """What `relation` says of a person now, and said then if it has changed."""

    name: str
    relation: Relation
    now: str
    then: str = ""

    @property
    def sentence(self) -> str:
        """For example "Ben moved from Oslo to Rome."."""
        return f"{self.name} {self.relation.says.format(now=self.now, then=self.then)}."


@dataclass(frozen=True)
class Question:
    """A question and its answer, which begins at character `start` of the passage."""

    text: str
    answer: str
    start: int


@dataclass(frozen=True)
class Passage:
    """Facts, one to a sentence."""

    facts: tuple[Fact, ...]

    @property
    def text(self) -> str:
        """The sentences, one space between two."""
        return " ".join(fact.sentence for fact in self.facts)

    @property
    def moves(self) -> list[Fact]:
        """The facts that have changed."""
        return [fact for fact in self.facts if fact.relation is MOVE]

    def ask(self, fact: Fact) -> Question:
        """The original task: "Where does Ben live?" is answered by "Rome"."""
        return self._question(fact, fact.relation.asks, f"{fact.now}.", fact.now)

    def ask_then(self, move: Fact) -> Question:
        """The new task: "Where did Ben live?" is answered by "Oslo"."""
        return self._question(move, ASK_THEN, f"{move.then} ", move.then)

    def _question(self, fact: Fact, asks: str, marked: str, answer: str) -> Question:
        start = self.text.index(fact.sentence) + fact.sentence.index(marked)
        return Question(asks.format(fact.name), answer, start)


def make_passage(rng: random.Random) -> Passage:
    """Two people moved, between four cities; somebody likes, owns and works as something."""
    names = rng.sample(NAMES, PEOPLE_PER_PASSAGE)
    cities = rng.sample(MOVE.values, 2 * MOVES_PER_PASSAGE)
    facts = [
        Fact(name, MOVE, cities.pop(), cities.pop())
        for name in rng.sample(names, MOVES_PER_PASSAGE)
    ] + [Fact(rng.choice(names), state, rng.choice(state.values)) for state in STATES]
    return Passage(tuple(rng.sample(facts, len(facts))))


def original_questions(passage: Passage, rng: random.Random) -> list[Question]:
    """How things are: a question of each relation, in random order."""
    states = [fact for fact in passage.facts if fact.relation is not MOVE]
    asked = [rng.choice(passage.moves), *states]
    return [passage.ask(fact) for fact in rng.sample(asked, len(asked))]


def new_questions(passage: Passage, rng: random.Random) -> list[Question]:
    """Where people lived before they moved, in random order."""
    return [passage.ask_then(move) for move in rng.sample(passage.moves, len(passage.moves))]


TASKS: dict[str, Callable[[Passage, random.Random], list[Question]]] = {
    "original": original_questions,
    "new": new_questions,
}

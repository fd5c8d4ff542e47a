"""Single-hop and multi-hop questions on the four tracks, options inline as SAKURA has them.

Every option of a question is the property of some label of its track, and the wrong ones are drawn
at random, so the text alone says nothing about the answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from training_recipes.tiny_salmonn.clips import LABELS

HOPS = ("single", "multi")
LETTERS = "abcd"

SINGLE: dict[str, tuple[str, ...]] = {
    "animal": ("Which animal makes this sound?", "What animal do you hear in the clip?"),
    "emotion": (
        "What emotion does the speaker express?",
        "How does the speaker feel in the clip?",
    ),
    "gender": ("What is the gender of the speaker?", "Identify the gender of the voice."),
    "language": ("Which language is spoken?", "What language is the speaker using?"),
}

# What the bridge learns from: the shortest question, without options.
CAPTIONS = {
    "animal": "Name the animal.",
    "emotion": "Name the emotion.",
    "gender": "Name the gender.",
    "language": "Name the language.",
}

MULTI: dict[str, dict[str, dict[str, str]]] = {
    "animal": {
        "What is this animal known for?": {
            "dog": "guarding the house",
            "cat": "catching mice",
            "cow": "giving milk",
            "pig": "rolling in mud",
            "sheep": "growing wool",
            "frog": "jumping into ponds",
            "hen": "laying eggs",
            "rooster": "waking the farm",
            "crow": "eating carrion",
        },
        "What is the young of this animal called?": {
            "dog": "puppy",
            "cat": "kitten",
            "cow": "calf",
            "pig": "piglet",
            "sheep": "lamb",
            "frog": "tadpole",
            "hen": "pullet",
            "rooster": "cockerel",
            "crow": "nestling",
        },
    },
    "emotion": {
        "What would someone with this emotion do?": {
            "angry": "slam the door",
            "sad": "cry alone",
            "fear": "hide from danger",
            "disgust": "push the plate away",
            "happy": "laugh and celebrate",
        },
        "Which sentence fits this emotion?": {
            "angry": "I am furious",
            "sad": "I miss them so much",
            "fear": "I am terrified",
            "disgust": "that smells rotten",
            "happy": "what wonderful news",
        },
    },
    "gender": {
        "How should this speaker be addressed?": {"female": "madam", "male": "sir"},
        "Which family role fits this speaker?": {"female": "mother", "male": "father"},
    },
    "language": {
        "Which capital speaks this language?": {
            "English": "London",
            "German": "Berlin",
            "French": "Paris",
            "Spanish": "Madrid",
            "Italian": "Rome",
            "Chinese": "Beijing",
            "Japanese": "Tokyo",
            "Korean": "Seoul",
        },
        "Which greeting belongs to this language?": {
            "English": "good morning",
            "German": "guten Tag",
            "French": "bonjour",
            "Spanish": "buenos dias",
            "Italian": "buongiorno",
            "Chinese": "ni hao",
            "Japanese": "konnichiwa",
            "Korean": "annyeong",
        },
    },
}


@dataclass(frozen=True)
class Question:
    """A question about a clip: stem, option texts in order, and the index of the right one."""

    stem: str
    options: tuple[str, ...]
    gold: int

    @property
    def instruction(self) -> str:
        """The question as a metadata file and a prompt have it."""
        lettered = (
            f"({letter}) {text}" for letter, text in zip(LETTERS, self.options, strict=False)
        )
        return " ".join((self.stem, *lettered))

    @property
    def answer(self) -> str:
        """The gold answer of a metadata file, such as "(b) dog"."""
        return f"({LETTERS[self.gold]}) {self.options[self.gold]}"


def option_count(track: str) -> int:
    """Four, or two for gender."""
    return min(len(LETTERS), len(LABELS[track]))


def ask(
    track: str,
    hop: str,
    label: str,
    rng: random.Random,
    position: int | None = None,
    without: str | None = None,
) -> Question:
    """A question whose answer is `label` or a property of it, at a given or a random position.

    `without` names a label that is not among the options.
    """
    if hop == "single":
        stem = rng.choice(SINGLE[track])
        texts = {name: name for name in LABELS[track]}
    else:
        stem, texts = rng.choice(list(MULTI[track].items()))
    count = option_count(track)
    gold = rng.randrange(count) if position is None else position
    names = rng.sample([name for name in LABELS[track] if name not in (label, without)], count - 1)
    names.insert(gold, label)
    return Question(stem, tuple(texts[name] for name in names), gold)


def ask_about(track: str, heard: str, guesses: float, rng: random.Random) -> Question:
    """A training question of a random hop on what is heard.

    With probability `guesses` its options lack that label and any of them will do: this teaches to
    choose among what is offered, which a wrong clip asks for.
    """
    hop = rng.choice(HOPS)
    others = [label for label in LABELS[track] if label != heard]
    if rng.random() < guesses and len(others) >= option_count(track):
        return ask(track, hop, rng.choice(others), rng, without=heard)
    return ask(track, hop, heard, rng)

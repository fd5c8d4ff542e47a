"""The splits of both tasks: fixed passages, written as SQuAD v1.1 files."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lorascope.storage.records import write_text
from training_recipes.tiny_llama.passages import TASKS, Passage, Question, make_passage

# Split -> its task and how many passages it has; in this order they are drawn.
SPLITS = {
    "original-dev": ("original", 64),
    "new-dev": ("new", 320),
    "new-train": ("new", 1200),
}


def passages(rng: random.Random, taken: Collection[Passage]) -> Iterator[Passage]:
    """Draw passages that are not `taken`, without end."""
    while True:
        passage = make_passage(rng)
        if passage not in taken:
            yield passage


def split_passages() -> dict[str, list[Passage]]:
    """The passages of each split, which no two splits share; the same on every call."""
    rng = random.Random("tiny-llama")
    drawn: set[Passage] = set()
    splits: dict[str, list[Passage]] = {}
    for split, (_, count) in SPLITS.items():
        source = passages(rng, drawn)
        splits[split] = []
        for _ in range(count):
            splits[split].append(next(source))
            drawn.add(splits[split][-1])
    return splits


def write_splits(folder: Path) -> None:
    """Write <split>.json of each split in the layout of SQuAD v1.1."""
    for split, drawn in split_passages().items():
        content = {"version": "1.1", "data": [_article(split, drawn)]}
        write_text(folder / f"{split}.json", json.dumps(content) + "\n")


def _article(split: str, drawn: list[Passage]) -> dict[str, Any]:
    ask = TASKS[SPLITS[split][0]]
    return {
        "title": f"mini-squad {split}",
        "paragraphs": [
            {"context": passage.text, "qas": _entries(f"{split}-{number}", ask(passage))}
            for number, passage in enumerate(drawn)
        ],
    }


def _entries(passage: str, questions: list[Question]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{passage}-{number}",
            "question": question.text,
            "answers": [{"text": question.answer, "answer_start": question.start}],
        }
        for number, question in enumerate(questions)
    ]

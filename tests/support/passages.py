"""A small study of text: a tiny random Llama on passages with questions like SQuAD's."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MODEL = {"family": "hf_text", "model": "llama"}
DATASET = {
    "benchmark": "squad",
    "source": "dev.json",
    "category": "zoo",
    "prompt": "{context} {question}",
}
GENERATION = {"max_new_tokens": 6}
PARAGRAPHS, QUESTIONS = 9, 2
# What the copy of each model answers: short, so that the random model overlaps with it at times.
ANSWERS = ["the", "a", "of the"]


def passages_study(name: str, experiments: Iterable[dict[str, Any]], **parts: Any) -> dict:
    """Return a study of experiments on the passages, with adapters and what else is given."""
    common = {"model": "llama", "dataset": "passages", "batch_size": 4, "generation": GENERATION}
    return {
        "study": name,
        "models": {"llama": {**MODEL}},
        "datasets": {"passages": {**DATASET}},
        "experiments": [{**common, **one} for one in experiments],
        "baseline": "BASE",
        **parts,
    }


def write_squad(path: Path, paragraphs: int = PARAGRAPHS) -> None:
    """Write passages of several lengths with two questions each."""
    articles = []
    for number in range(paragraphs):
        context = f"Passage {number}. " + "Cats and dogs can be heard. " * (number % 4)
        questions = [
            {
                "id": f"q{number}-{place}",
                "question": f"Which animal is number {number + place}?" + "?" * place,
                "answers": [{"text": text, "answer_start": 0} for text in ANSWERS],
            }
            for place in range(QUESTIONS)
        ]
        articles.append(
            {"title": f"A{number}", "paragraphs": [{"context": context, "qas": questions}]}
        )
    path.write_text(json.dumps({"version": "1.1", "data": articles}))

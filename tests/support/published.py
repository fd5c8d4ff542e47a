"""SAKURA's published results, made up so that each category has a known number of right answers."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lorascope.benchmarks.items import Item

CHOICES = {
    "animal": ["cat", "dog", "cow", "pig"],
    "emotion": ["happy", "sad", "angry", "disgust"],
    "gender": ["male", "female"],
    "language": ["German", "English", "Spanish", "French"],
}


def items_of(categories: Iterable[str], count: int) -> list[Item]:
    """Return so many questions about made-up clips in each category, <track>-<hop>."""
    return [
        _item(*category.split("-"), number) for category in categories for number in range(count)
    ]


def _item(track: str, hop: str, number: int) -> Item:
    texts = CHOICES[track]
    options = tuple(zip("abcd", texts, strict=False))
    letter, right = options[number % len(options)]
    listed = " ".join(f"({letter}) {text}" for letter, text in options)
    asked = "What is heard?" if hop == "single" else "Which one goes with what is heard?"
    return Item(
        item_id=f"{track}-{hop}/{track}{number}",
        category=f"{track}-{hop}",
        track=track,
        hop=hop,
        clip=f"data/{track.capitalize()}/audio/{track}{number}.wav",
        clip_sha256=f"{track}{number}",
        question=f"{asked} {listed}",
        options=options,
        continuations=tuple(f" ({letter}) {text}" for letter, text in options),
        gold=letter,
        answer=f"({letter}) {right}",
        answers=(f"({letter}) {right}",),
    )


def write_published(
    folder: Path, items: Iterable[Item], right: Mapping[str, int], judged: bool = False
) -> None:
    """Write a file of results for each category: the first ``right`` of its items are right.

    judged: with the verdicts of a judge, which does not say track and hop.
    """
    results: dict[str, dict[str, Any]] = {}
    for item in items:
        of_category = results.setdefault(item.category, {})
        is_right = len(of_category) < right[item.category]
        wrong = next(text for letter, text in item.options if letter != item.gold)
        said = dict(item.options)[item.gold] if is_right else wrong
        result = {"instruction": item.question, "label": item.answer}
        if judged:
            verdict = "correct" if is_right else "incorrect"
            result |= {"model_response": said, "Explanation": "So.", "Judgement": verdict}
        else:
            result["response"] = said
        of_category[Path(item.clip).name] = result
    folder.mkdir(parents=True, exist_ok=True)
    for category, found in results.items():
        track, hop = category.split("-")
        head = {"judge_model": "j"} if judged else {"attribute": track.capitalize(), "type": hop}
        name = f"{track}_model_{hop}{'_judgements' if judged else ''}.json"
        (folder / name).write_text(json.dumps({**head, "results": found}, indent=4))

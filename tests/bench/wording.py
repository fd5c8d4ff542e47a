"""Made-up words, and questions of them."""

import json
import random
from pathlib import Path

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def words(count: int) -> list[str]:
    """Return distinct words: the syllables, then those of two."""
    pairs = (one + other for one in SYLLABLES for other in SYLLABLES)
    return [word for _, word in zip(range(count), (*SYLLABLES, *pairs), strict=False)]


def sentence(dice: random.Random, count: int, vocabulary: int = 1000) -> str:
    """Return so many words."""
    return " ".join(dice.choices(words(vocabulary), k=count))


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path

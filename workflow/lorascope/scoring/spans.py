"""The two metrics of extractive question answering, whatever the convention they follow."""

import re
import string
from collections import Counter

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore

METRICS = ("f1", "em")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))


def f1_and_exact(response: str, item: Item) -> tuple[float, float]:
    """Return the F1 and the exact match (0 to 1) of a response by the official script of SQuAD.

    It and the answers are lower-cased and lose ASCII punctuation, the articles a, an, the, and
    extra white space. F1 compares bags of words, and is 1 where nothing is left of both; each is
    the maximum over the answers. Source: evaluate-v2.0.py of SQuAD.
    """
    given = _words(response)
    answers = [_words(answer) for answer in item.answers]
    exact = any(given == words for words in answers)
    return max(_f1(given, words) for words in answers), float(exact)


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _f1(given: list[str], answer: list[str]) -> float:
    """Return the harmonic mean of precision and recall, 2 x shared words / all words."""
    if not given and not answer:
        return 1.0
    return 2 * (Counter(given) & Counter(answer)).total() / (len(given) + len(answer))


def span_scores(f1: float, em: float) -> list[ItemScore]:
    """Return the F1 and the exact match (each 0 to 1) of one response as its scores."""
    reason = "exact match" if em else "partial" if f1 else "no overlap"
    credits = zip(METRICS, (f1, em), strict=True)
    return [ItemScore(metric, credit, "scored", None, reason) for metric, credit in credits]

"""The metrics of SQuAD as MindFormers computes them (its `EmF1Metric`).

They are not comparable with the official ones: only the first line of the response and the first
answer count; most Chinese and some ASCII punctuation is dropped, but `. , ' " $ %` and articles
stay, so that a full stop costs the exact match; and the overlap of F1 is the longest run of tokens
that both have, white space included. Its documentation calls that run a subsequence.
"""

# Planning reads the declaration below, and scores nothing.
# ruff: noqa: PLC0415

import logging
import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache
from itertools import chain
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lorascope.benchmarks.items import Item
from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.spans import METRICS, span_scores
from lorascope.study.declarations import Scorer

if TYPE_CHECKING:
    import jieba

# Its list also has the ellipsis of two characters, which no single character equals.
_DROPPED = dict.fromkeys(map(ord, "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"))
_RUNS = re.compile("[\u4e00-\u9fa5]|[^\u4e00-\u9fa5]+")  # a Chinese character is a token


def score_item(response: str, item: Item) -> list[ItemScore]:
    """Return the F1 and the exact match of a response's first line with the first answer."""
    predicted = _normalise(response.strip().partition("\n")[0])
    gold = _normalise(item.answers[0])
    return span_scores(_f1(_tokens(predicted), _tokens(gold)), float(predicted == gold))


def _normalise(text: str) -> str:
    return text.lower().strip().translate(_DROPPED)


def _f1(predicted: list[str], gold: list[str]) -> float:
    """Return the F1 of the longest common run; 0 without one, so also where both are empty."""
    common = SequenceMatcher(None, gold, predicted, autojunk=False).find_longest_match().size
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def _tokens(text: str) -> list[str]:
    runs: Iterable[str] = _RUNS.findall(text)
    return list(chain.from_iterable(map(_tokenizer().cut, runs)))


@cache
def _tokenizer() -> "jieba.Tokenizer":
    """Return jieba's tokenizer with its own dictionary.

    Its cache goes to a folder that is removed at once: the default one, in a place that all users
    share, is trusted whatever it holds.
    """
    import jieba

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    with TemporaryDirectory() as folder:
        tokenizer.tmp_dir = folder
        tokenizer.initialize()
    return tokenizer


SCORER = Scorer(
    judges=("texts",),
    metrics=METRICS,
    score_item="lorascope.scoring.mindformers:score_item",
)

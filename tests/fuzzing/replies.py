"""Replies to items, which scorers judge: odd texts, answers, log-likelihoods and own keys."""

import math
from pathlib import Path
from random import Random
from typing import Any

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.study.registry import SCORERS
from tests.fuzzing.mutations import damaged_text
from tests.fuzzing.runner import Kind
from tests.support.scoring import asked, options, scores

TEXTS = [
    "", " ", "Paris", "(b) dog", "#### 1,234.50", "$5 million -3/4 6½ 1e999 2×10³", "ten of clubs",
    "twenty-one five 5 07", "答案是５。", "a\u0301ﬁ\u202e\ufeff", "😀", "\0", "...", "-", "1" * 400,
    "well-known it's (so) [x] {y} <z>", "a b " * 60, "\\frac{1}{0}", "double oh seven and a half",
]  # fmt: skip
NAMES = ["exact", "number", "regex", "f1", "rouge", "bleu", "chrf", "wer", "cer", "likelihood"]
NAMES += ["perplexity"]
ALL = ["unicode", "lower", "english", "accents", "punctuation", "numbers", "articles", "whitespace"]
PATTERNS = [r"\d+", r"(\w+)", r"{answer}", r"(?i)is\s+(?P<a>.+)", r"(a)|b", "^$"]


def prepare(folder: Path) -> None:
    """Need nothing."""


def judge_odd_reply(random: Random, given: Path) -> None:
    """Judge an odd reply to an odd item."""
    name = random.choice(NAMES)
    texts = [_text(random) for _ in range(random.randrange(1, 4))]
    item = asked(*texts, continuations=(texts[0],))
    reply: str | Likelihoods = _text(random)
    mode = SCORERS[name].modes[0]
    if mode == "choose":
        item = options(texts, "a")
    if mode != "generate":
        sums = tuple(random.choice([-1.5, 0.0, -1e300, math.nan, -math.inf]) for _ in texts)
        tokens = tuple(random.randrange(3) for _ in texts)
        reply = Likelihoods(sums, tokens, (True,) * len(texts))
        if mode == "loss":
            reply = Likelihoods(sums[:1], tokens[:1], (True,))
    for found in scores(name, reply, item, **_keys(name, random)):
        assert 0 < found.weight < math.inf
        assert found.reason
        assert not found.measure.bounded or 0 <= found.credit / found.weight <= 1


def _text(random: Random) -> str:
    text = " ".join(random.choices(TEXTS, k=random.randrange(1, 4)))
    return damaged_text(text, random) if random.random() < 0.5 else text


def _keys(name: str, random: Random) -> dict[str, Any]:
    """Return some of a scorer's own keys."""
    known = SCORERS[name].settings.model_fields if SCORERS[name].settings else {}
    keys = {
        "normalise": random.sample(ALL, random.randrange(len(ALL))),
        "extract": random.choice(["last", "first", "strict", "flexible"]),
        "pattern": random.choice(PATTERNS),
        "stemmer": random.random() < 0.5,
        "tolerance": random.choice([0, 0.1, 1e9]),
    }
    return {key: value for key, value in keys.items() if key in known}


REPLIES = Kind("replies", prepare, judge_odd_reply)

"""Scoring replies as a study would: by a scorer's name, its own keys and their defaults."""

import json
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.scoring.item_score import ItemScore
from lorascope.study.registry import SCORERS
from tests.support.basics import shared_path

GOLDEN = "golden/lm_eval_smollm2/samples"


def asked(*answers: str, **fields: Any) -> Item:
    """Return an item with these answers."""
    known = {"item_id": "q/1", "category": "q", "question": "?", "answer": (answers or ("",))[0]}
    return Item(**known | {"answers": answers} | fields)


def options(texts: Sequence[str], gold: str) -> Item:
    """Return an item with options a, b, ..., whose continuations follow a blank."""
    lettered = tuple(zip("abcdefgh", texts, strict=False))
    return asked(
        *(text for letter, text in lettered if letter == gold),
        options=lettered,
        gold=gold,
        continuations=tuple(f" {text}" for text in texts),
    )


def scores(name: str, reply: str | Likelihoods, item: Item, **keys: Any) -> list[ItemScore]:
    """Return what a scorer says of a reply under these keys of its own."""
    scorer = SCORERS[name]
    own = {}
    if scorer.settings:
        own = scorer.settings.model_validate({"name": name, **keys}).model_dump(exclude={"name"})
    found = resolve_name(scorer.score_item)(reply, item, **own)
    metrics = scorer.metrics_of(own)
    assert metrics is None or tuple(one.metric for one in found) == metrics
    return found


def credit(name: str, response: str, *answers: str, **keys: Any) -> float:
    """Return the one credit of a response to an item with these answers, by its weight."""
    (found,) = scores(name, response, asked(*answers), **keys)
    return found.credit / found.weight


def harness_samples(run: str, task: str) -> list[dict[str, Any]]:
    """Return what lm-evaluation-harness logged of a task's items; skips where that is absent."""
    path = shared_path(f"{GOLDEN}/{run}.{task}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def harness_values(run: str, task: str) -> dict[str, float]:
    """Return metric -> value of a task as lm-evaluation-harness gave it."""
    path = shared_path(f"{GOLDEN}/{run}.{task}.json")
    values: dict[str, float] = json.loads(path.read_text())["values"]
    return values

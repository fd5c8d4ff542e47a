"""Answers of experiments that no model gave: their tables, and what is read of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, to_table
from lorascope.exchange.answers import Answer, Answered, Score
from lorascope.inferring.merging import SIDECAR
from lorascope.inferring.shard import shard_schema
from lorascope.planning.plan import Plan
from lorascope.scoring.item_score import ACCURACY, Measure
from lorascope.stages.score import _schema
from lorascope.storage.records import write_table
from lorascope.study.categories import scored_category

LETTERS = "abcd"
FINISHED = 1_700_000_000.5
ENVIRONMENT = {"device": "cpu", "host": "here", "versions": {}}
WER = Measure("word error rate", "percent", higher_is_better=False, bounded=False)
PERPLEXITY = Measure("perplexity", "exponential", higher_is_better=False, bounded=False)


def choice_item(name: str, track: str = "animal", hop: str = "single", gold: str = "a") -> Item:
    """Return a question of SAKURA's kind about the clip ``name``, with two options."""
    options = (("a", "cat"), ("b", "dog"))
    answer = f" ({gold}) {dict(options)[gold]}"
    return Item(
        item_id=f"{track}-{hop}/{name}",
        category=f"{track}-{hop}",
        question=f"What is heard of {name}? (a) cat (b) dog",
        answer=answer,
        answers=(answer,),
        track=track,
        hop=hop,
        clip=f"data/{track.capitalize()}/audio/{name}.wav",
        clip_sha256=f"{len(name):064x}",
        clip_seconds=1.5,
        options=options,
        gold=gold,
        label=dict(options)[gold],
        continuations=(" (a) cat", " (b) dog"),
    )


def text_item(name: str, **own: Any) -> Item:
    """Return a question without options."""
    values = {"question": f"What is {name}?", "answer": "it", "answers": ("it", "that")}
    return Item(**{"item_id": f"q/{name}", "category": "q", **values, **own})


def score(item: Item, credit: float | None, metric: str = "", **own: Any) -> Score:
    """Return a score; None is unjudged."""
    status = "unjudged" if credit is None else "single"
    verdict = None if credit is None else credit == own.get("weight", 1.0)
    values = {"status": status, "correct": verdict, "reason": "made up"} | own
    return Score(category=scored_category(item.category, metric), credit=credit, **values)


def answer(item: Item, response: str, *scores: Score, **own: Any) -> Answer:
    """Return the answer to an item; a score's metric is what its category adds to the item's."""
    found = {s.category.removeprefix(item.category).removeprefix("-"): s for s in scores}
    counts = {"prompt": f"USER: {item.question}", "prompt_tokens": 7, "response_tokens": 2}
    values = {"finish_reason": "eos", **counts, **own}
    return Answer(item=item, response=response, scores=found, **values)


def answered(
    answers: Sequence[Answer], measures: Mapping[str, Measure] | None = None, **own: Any
) -> Answered:
    """Return the answers of an experiment."""
    settings = {
        **{"id": "SF-1", "model": "tiny", "adapter": None, "dataset": "zoo", "scorer": "choice"},
        "generation": {"max_new_tokens": 9, "temperature": 1, "top_p": 1, "top_k": 50},
    }
    values: dict[str, Any] = {
        **{"id": "SF-1", "base": "SF-1", "run": 0, "lora_scaling": 1.0, "settings": settings},
        **{"model": {"family": "hf_text", "llm": "here"}, "adapter": None, "sources": ("llm",)},
        "data": {"benchmark": "sakura", "source": "data-sets"},
        "digests": {"items": "0" * 12, "predictions": "1" * 12, "scores": "2" * 12},
        **{"finished": FINISHED, "environment": ENVIRONMENT},
    }
    return Answered(answers=answers, measures=measures or {}, **values | own)


def lay(plan: Plan, identifier: str, found: Answered, without: Sequence[str] = ()) -> None:
    """Write the tables of an experiment as its stages would, ``without`` some columns of scores."""
    planned, scores = plan.experiments[identifier], plan.scores[identifier]
    items = to_table(one.item for one in found.answers)
    write_table(planned.dataset.items, items, "items", planned.dataset.digest)
    rows = [_reply(one) for one in found.answers]
    whole = pa.Table.from_pylist(rows, schema=shard_schema())
    write_table(planned.predictions, whole.drop_columns(SIDECAR), "predictions", planned.digest)
    sidecar = whole.select(["item_id", *SIDECAR])
    write_table(planned.runtime, sidecar, "runtime", planned.digest)
    table = pa.Table.from_pylist(
        [_row(one.item, s, one) for one in found.answers for s in one.scores.values()],
        schema=_schema().append(pa.field("judge", pa.string())),
    )
    measures = {c: asdict(m) for c, m in found.measures.items() if m != ACCURACY}
    note = {"lora_scaling": found.lora_scaling, "generation": "{}", "measures": measures}
    write_table(scores.path, table.drop_columns([*without]), "scores", scores.digest, note)


def _reply(one: Answer) -> dict[str, Any]:
    values = {key: value for key, value in vars(one).items() if key not in ("item", "scores")}
    own = {"item_id": one.item.item_id, "finished": FINISHED, "lora_scaling": 1.0}
    return {**values, **own, "environment": json.dumps(ENVIRONMENT)}


def _row(item: Item, one: Score, reply: Answer) -> dict[str, Any]:
    own = {"item_id": item.item_id, "clip": item.clip_sha256, "options": len(item.options)}
    return {**vars(one), **own, "finish_reason": reply.finish_reason}

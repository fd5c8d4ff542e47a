"""Files of predictions made elsewhere, in every format, read and matched with their items."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from lorascope.exchange import jsonl, lm_eval, sakura
from lorascope.exchange.replies import matched
from lorascope.stages.importing import prediction_row, prediction_schema
from tests.fuzzing.mutations import as_json, damaged_often, damaged_text, mutated
from tests.fuzzing.runner import Kind
from tests.support.published import items_of

ITEMS = items_of(["animal-single"], 3)
OWN = {"item": "item_id", "response": "response", "verdict": "ok"}
OWN |= {"loglikelihoods": "answer.loglikelihoods"}
PLANNED = {"lora_scaling": None}


def _records() -> list[dict[str, Any]]:
    """Return a record of JSONL for each item, with all that may stand there."""
    said = {"loglikelihoods": [-1.0, "-Infinity", None, 2], "greedy": [True] * 4}
    said |= {"continuation_tokens": [1] * 4, "prompt_tokens": 3, "finish_reason": "stop"}
    return [
        {
            "item_id": item.item_id,
            "response": "a cat",
            "ok": True,
            "answer": {**said, "prompt": "q"},
        }
        for item in ITEMS
    ]


def _samples() -> list[dict[str, Any]]:
    asked = {f"gen_args_{i}": {"arg_0": "q", "arg_1": f" {text}"} for i, text in enumerate("xyzw")}
    told = [[["-1.5", "False"]], [["-inf", "False"]], [["-2", "True"]], [["nan", "False"]]]
    return [
        {"doc_id": n, "doc": {"q": n}, "arguments": asked, "resps": told, "filter": "none"}
        | {"metrics": ["acc"], "acc": 1.0}
        for n in range(3)
    ]


def _published() -> dict[str, Any]:
    results = {
        Path(item.clip).name: {
            "instruction": item.question,
            "response": "a cat",
            "label": "(a) cat",
        }
        | ({"Judgement": "correct", "model_response": "a cat"} if n else {})
        for n, item in enumerate(ITEMS)
    }
    return {"attribute": "Animal", "type": "single", "results": results}


def prepare(folder: Path) -> None:
    """Need nothing."""


def read_odd_predictions(random: Random, given: Path) -> None:
    """Read odd files of one of the formats, and write what becomes of them."""
    read, name, rows = random.choice(
        [
            (sakura.read, "x.json", [_published()]),
            (jsonl.read, "x.jsonl", _records()),
            (lm_eval.read, "samples_sums_2026-01-02T03-04-05.6.jsonl", _samples()),
        ]
    )
    path = Path(name)
    text = "\n".join(as_json(mutated(row, random)) for row in rows)
    if random.random() < 0.3:
        text = damaged_text(text.replace("}", "}\n"), random)
    data = text.encode(errors="surrogatepass")
    path.write_bytes(damaged_often(data, random) if random.random() < 0.2 else data)
    replies = read([path], ITEMS, OWN)
    assert all(json.dumps(reply.published) for reply in replies)
    found, _ = matched(replies, ITEMS, True, True)
    mode = random.choice(["generate", "choose"])
    made = [
        prediction_row(item, found.get(item.item_id), {**PLANNED, "mode": mode}) for item in ITEMS
    ]
    pa.Table.from_pylist(made, schema=prediction_schema())


PREDICTIONS = Kind("predictions", prepare, read_odd_predictions)

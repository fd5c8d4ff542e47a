"""JSONL holds all that is known of an answer, and gives it back."""

import json
import math

from lorascope.benchmarks.items import Item
from lorascope.exchange.answers import Answered
from lorascope.exchange.jsonl import files
from tests.support.answered import answer, answered, choice_item, score, text_item


def objects(found: Answered) -> list[dict]:
    """Return the objects on the lines of a file, each of them strict JSON."""
    ((name, lines),) = files(found)
    assert name == f"{found.id}.jsonl"
    text = "".join(f"{line}\n" for line in lines)
    assert len(text.splitlines()) == len(found.answers)
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def item_of(values: dict) -> Item:
    """Return the item that an object holds."""
    pairs = {key: tuple(map(tuple, values[key])) for key in ("options", "turns")}
    lists = {key: tuple(values[key]) for key in ("answers", "continuations", "contexts")}
    return Item(**values | pairs | lists)


def test_items_and_responses_read_back_equal():
    items = [
        choice_item("cat0"),
        text_item("x", question="a\u2028b\x85c\n猫", turns=(("q", "a"), ("q2", "a2")), system="s"),
        text_item("y", record='{"k": 1.50}', contexts=("one", "two"), continuations=(" a", " b")),
    ]
    found = answered(
        [answer(item, f"said\r\n\u2029 of {item.item_id}\x1b[2J", score(item, 1)) for item in items]
    )
    read = objects(found)
    assert [item_of(one["item"]) for one in read] == items
    assert [one["response"] for one in read] == [one.response for one in found.answers]
    assert [one["item_id"] for one in read] == [item.item_id for item in items]
    assert read[0]["answer"]["prompt_tokens"] == 7
    assert read[0]["answer"]["scores"][""]["reason"] == "made up"


def test_every_line_says_what_made_it():
    item = choice_item("cat0")
    found = answered([answer(item, "a", score(item, 1))], lora_scaling=2.5, run=1, id="SF-1-1")
    (read,) = objects(found)
    assert read["settings"]["experiment"] == "SF-1-1"
    assert (read["settings"]["base"], read["settings"]["run"]) == ("SF-1", 1)
    assert read["settings"]["lora_scaling"] == 2.5
    assert read["settings"]["generation"]["max_new_tokens"] == 9
    assert read["settings"]["digests"] == found.digests


def test_what_is_no_number_is_null_and_infinity_a_word():
    item = text_item("x")
    likelihoods = {"loglikelihoods": (-math.inf, math.nan, -1.5), "continuation_tokens": (1, 2, 3)}
    scores = score(item, None, margin=math.inf, judge="llm"), score(item, 0.5, "f1")
    (read,) = objects(answered([answer(item, "", *scores, **likelihoods)]))
    assert read["answer"]["loglikelihoods"] == ["-Infinity", None, -1.5]
    assert read["answer"]["scores"][""]["credit"] is None
    assert read["answer"]["scores"][""]["status"] == "unjudged"
    assert read["answer"]["scores"][""]["margin"] == "Infinity"
    assert read["answer"]["scores"][""]["judge"] == "llm"
    assert read["answer"]["scores"]["f1"]["credit"] == 0.5

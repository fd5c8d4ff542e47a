"""The scoring stage: replies that are none, and clips that are one under two names."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.benchmarks.items import Item, to_table
from lorascope.planning.told import ScoreJob
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.stages import score
from lorascope.storage.records import read_table, write_table

OPTIONS = (("a", "cat"), ("b", "dog"))


def item(name: str, clip: str, content: str) -> Item:
    return Item(
        item_id=name,
        category="animal-single",
        question="Which? (a) cat (b) dog",
        answer="(a) cat",
        answers=("(a) cat",),
        clip=clip,
        clip_sha256=content,
        options=OPTIONS,
        gold="a",
    )


@pytest.fixture
def scores(tmp_path, monkeypatch):
    """Score replies (text, finish reason) to items; return the rows."""
    monkeypatch.chdir(tmp_path)

    def start(
        replies: list[tuple[str, str]],
        scorer: str = "choice.scorer",
        contents: str = "xyz",
        read: Sequence[float] | None = None,
    ) -> list[dict]:
        items = [
            item(f"q{i}", f"clip{i}.wav", content)
            for i, (_, content) in enumerate(zip(replies, contents, strict=False))
        ]
        write_table("items", to_table(items), "items", "d")
        rows = [
            {"item_id": f"q{i}", "response": text, "finish_reason": finish}
            | {"lora_scaling": 1.0, "generation": "{}", "prompt_tokens": 1}
            | dict.fromkeys(("loglikelihoods", "continuation_tokens", "greedy"), read)
            | {"drift": None, "strength": None}
            for i, (text, finish) in enumerate(replies)
        ]
        write_table("answers", pa.Table.from_pylist(rows), "predictions", "p")
        function = scorer if ":" in scorer else f"lorascope.scoring.{scorer}:score_item"
        told = {"settings": {}, "files": {}}
        job = ScoreJob(told, "s", "A", function, "d", "items", "answers", "p")
        Path("job.json").write_text(job.json)
        monkeypatch.setattr(
            sys, "argv", ["x", "--job", "job.json", "--out", "scores", "--log", "log"]
        )
        assert score.main() == 0
        return read_table("scores", "scores", "s").to_pylist()

    return start


def test_a_reply_of_numbers_that_are_none_is_no_answer_whatever_its_text(scores):
    found = scores([("(a) cat", "nonfinite"), ("(a) cat", "length"), ("", "nonfinite")])
    assert [(row["status"], row["choice"], row["credit"]) for row in found] == [
        ("nonfinite", None, 0),
        ("single", "a", 1),
        ("nonfinite", None, 0),
    ]
    assert [row["finish_reason"] for row in found] == ["nonfinite", "length", "nonfinite"]


@pytest.mark.parametrize("scorer", ["choice.scorer", "official", "mindformers"])
def test_a_reply_without_a_word_chose_nothing_whatever_the_scorer(scores, scorer):
    found = scores([(" \n", "eos"), ("(a) cat", "eos")], scorer)
    by_item = {row["item_id"]: row["status"] for row in found}
    assert by_item["q0"] == "none"
    assert by_item["q1"] != "none"


def test_clips_of_the_same_content_are_one_cluster(scores):
    found = scores([("(a) cat", "eos")] * 3, contents="xxy")
    assert [row["clip"] for row in found] == ["x", "x", "y"]


WORDS = Measure("word error rate", "percent", higher_is_better=False, bounded=False)
NATS = Measure("perplexity", "exponential", higher_is_better=False, bounded=False)


def score_errors(response, item) -> list[ItemScore]:
    """One error in four words and, as another metric, 6 nats in 4 tokens."""
    return [
        ItemScore("wer", 1.0, "scored", None, "made up", weight=4.0, measure=WORDS),
        ItemScore("ppl", 6.0, "scored", None, "made up", weight=4.0, measure=NATS),
    ]


def choose_second(response, item) -> list[ItemScore]:
    return [ItemScore("", 0.0, "chosen", "b", "made up", margin=-1.5)]


def test_a_reply_that_is_none_is_never_the_best_where_lower_is_better(scores):
    """An error rate counts every word as missing; a likelihood has no value."""
    ours = f"{__name__}:score_errors"
    errors, nats = scores([("", "nonfinite")], ours)
    assert (errors["credit"], errors["weight"], errors["status"]) == (4, 4, "nonfinite")
    assert math.isnan(nats["credit"])
    assert not errors["correct"]
    assert not nats["correct"]


def test_one_error_is_not_correct(scores):
    errors, _ = scores([("a word", "eos")], f"{__name__}:score_errors")
    assert (errors["credit"], errors["correct"]) == (1, False)


def test_a_chosen_option_has_its_probability_among_all(scores):
    """exp(-1.5) / (1 + exp(-1.5)), of the option that was chosen."""
    (row,) = scores([("", "likelihood")], f"{__name__}:choose_second", read=[-2.0, -3.5])
    assert row["probability"] == pytest.approx(0.182426, abs=1e-6)
    assert (row["margin"], row["finish_reason"]) == (-1.5, "likelihood")
    (row,) = scores([("(b) dog", "eos")], f"{__name__}:choose_second")
    assert row["probability"] is None

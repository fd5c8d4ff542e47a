"""The scoring stage: replies that are none, and clips that are one under two names."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.benchmarks.items import Item, to_table
from lorascope.planning.score import ScoreJob
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
        replies: list[tuple[str, str]], scorer: str = "choice.scorer", contents: str = "xyz"
    ) -> list[dict]:
        items = [
            item(f"q{i}", f"clip{i}.wav", content)
            for i, (_, content) in enumerate(zip(replies, contents, strict=False))
        ]
        write_table("items", to_table(items), "items", "d")
        rows = [
            {"item_id": f"q{i}", "response": text, "finish_reason": finish}
            | {"lora_scaling": 1.0, "generation": "{}", "prompt_tokens": 1}
            | dict.fromkeys(("loglikelihoods", "continuation_tokens", "greedy"))
            for i, (text, finish) in enumerate(replies)
        ]
        write_table("answers", pa.Table.from_pylist(rows), "predictions", "p")
        function = f"lorascope.scoring.{scorer}:score_item"
        job = ScoreJob({"settings": {}}, "s", "A", function, "d", "items", "answers", "p")
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

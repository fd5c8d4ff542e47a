"""The scoring stage with scores that are no plain accuracies, and with scorers that fail."""

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.benchmarks.items import Item, to_table
from lorascope.identity.digests import text_digest
from lorascope.planning.told import ScoreJob
from lorascope.scoring.item_score import ItemScore, Measure
from lorascope.stages import score
from lorascope.storage.records import read_table, table_note, write_table
from tests.support.scoring import asked

ERRORS = Measure("errors", "percent", higher_is_better=False, bounded=False)
UNLIKELY = Measure("perplexity", "exponential", higher_is_better=False, bounded=False)
REWARD = Measure("reward", "plain", bounded=False)
SHARE = Measure("share of errors", "plain", higher_is_better=False)


class Stage:
    """The scoring stage on replies, with a function of the test as its scorer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(
        self,
        scorer: Callable[..., list[ItemScore]],
        replies: list[dict],
        files: dict | None = None,
        categories: str = "qqqq",
    ) -> int:
        items = [
            asked("yes", item_id=f"q{i}", category=category, continuations=(" yes",))
            for i, (_, category) in enumerate(zip(replies, categories, strict=False))
        ]
        write_table("items", to_table(items), "items", "d")
        write_table("answers", pa.Table.from_pylist([*map(row, range(9), replies)]), *KIND)
        self.monkeypatch.setattr(score, "resolve_name", lambda name: scorer)
        told = {"settings": {}, "files": files or {}}
        job = ScoreJob(told, "s", "A", "any:thing", "d", "items", "answers", "p")
        Path("job.json").write_text(job.json)
        options = ["x", "--job", "job.json", "--out", "scores", "--log", "log"]
        self.monkeypatch.setattr(sys, "argv", options)
        return score.main()

    @property
    def rows(self) -> list[dict]:
        return read_table("scores", "scores", "s").to_pylist()

    @property
    def error(self) -> str:
        """The last message of the log to whoever runs it."""
        return re.findall(r" (?:INFO|ERROR) +(.*)", Path("log").read_text())[-1]


KIND = ("predictions", "p")


def row(number: int, reply: dict) -> dict:
    empty = dict.fromkeys(("loglikelihoods", "continuation_tokens", "greedy", "drift", "strength"))
    known = {"item_id": f"q{number}", "response": "yes", "finish_reason": "eos"}
    return known | empty | {"lora_scaling": 1.0, "generation": "{}", "prompt_tokens": 1} | reply


@pytest.fixture
def stage(tmp_path, monkeypatch) -> Stage:
    monkeypatch.chdir(tmp_path)
    return Stage(monkeypatch)


def giving(*scores: ItemScore) -> Callable[..., list[ItemScore]]:
    return lambda reply, item: list(scores)


def scored(credit: float, weight: float = 1.0, measure: Measure | None = None, metric: str = ""):
    more = {"measure": measure} if measure else {}
    return ItemScore(metric, credit, "scored", None, "why", weight=weight, **more)


# ------------------------------------------------------------------------------------ measures


@pytest.mark.parametrize(
    ("measure", "weight", "worst"),
    [
        (None, 1, 0),
        (None, 4, 0),
        (ERRORS, 4, 4),
        (SHARE, 1, 1),
        (UNLIKELY, 7, math.nan),
        (REWARD, 1, math.nan),
    ],
)
def test_a_reply_of_numbers_that_are_none_has_the_worst_credit(stage, measure, weight, worst):
    assert stage(giving(scored(0.5, weight, measure)), [{"finish_reason": "nonfinite"}]) == 0
    (found,) = stage.rows
    assert found["credit"] == pytest.approx(worst, nan_ok=True)
    assert (found["status"], found["correct"]) == ("nonfinite", False)
    assert (found["margin"], found["choice"]) == (None, None)
    assert found["reason"] == "non-finite logits"


def test_a_score_that_is_no_number_is_none_only_where_the_reply_is_none(stage):
    nan = giving(scored(math.nan, 3, UNLIKELY))
    assert stage(nan, [{"finish_reason": "nonfinite"}]) == 0
    assert math.isnan(stage.rows[0]["credit"])
    assert stage(nan, [{}]) == 1
    assert "A: item q0: the scorer gave the credit nan and the weight 3" in stage.error


@pytest.mark.parametrize(
    ("score", "correct"),
    [
        (scored(1), True),
        (scored(0.5), False),
        (scored(2, 2), True),
        (scored(1, 2), False),
        (scored(0, 5, ERRORS), True),
        (scored(1, 5, ERRORS), False),
        (scored(1, 1, UNLIKELY), False),
        (scored(0, 1, UNLIKELY), False),
        (scored(1, 1, REWARD), False),
    ],
)
def test_what_is_correct_follows_from_the_measure(stage, score, correct):
    assert stage(giving(score), [{}]) == 0
    assert stage.rows[0]["correct"] == correct
    has_best = score.measure not in (UNLIKELY, REWARD)
    assert stage.error == (f"A: {correct:d} of 1 correct" if has_best else "A: 1 scores")


def test_what_is_measured_stands_beside_the_scores(stage):
    both = giving(scored(1, metric="a"), scored(2, 3, ERRORS, "b"))
    assert stage(both, [{}, {}]) == 0
    table = read_table("scores", "scores", "s")
    assert table_note(table)["measures"] == {"q-b": vars(ERRORS)}
    assert table["weight"].to_pylist() == [1, 3, 1, 3]


# --------------------------------------------------------------------------- scorers that fail


def by_item(**found: list[ItemScore]) -> Callable[..., list[ItemScore]]:
    return lambda reply, item: found[item.item_id]


def test_an_exception_names_the_item_and_leaves_its_traceback_in_the_log(stage):
    def fails(reply: str, item: Item) -> list[ItemScore]:
        return [scored(1 / (item.item_id != "q1"))]

    assert stage(fails, [{}, {}, {}]) == 1
    assert "A: item q1: the scorer failed: ZeroDivisionError: division by zero" in stage.error
    assert "Traceback" in Path("log").read_text()
    assert not Path("scores").exists()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([scored(1)], [scored(1, 1, ERRORS)], "its score in q is of the measure 'errors', that of"),
        ([scored(1)], [scored(1, metric="a")], "its metrics are a, those of item q0 one without"),
        ([scored(1)], [], "its metrics are none, those of item q0 one without a name; a scorer"),
        ([scored(1)], [scored(1), scored(0)], "its metrics are one without a name, one without"),
        ([scored(1)], [scored(1.5)], "the scorer gave the credit 1.5 of 1, where its measure has"),
        ([scored(1)], [scored(-0.1)], "the scorer gave the credit -0.1 of 1"),
        ([scored(1)], [scored(1, 0)], "the scorer gave the credit 1 and the weight 0, of which no"),
        ([scored(1)], [scored(1, math.inf)], "the credit 1 and the weight inf"),
        ([scored(1)], [scored(0, -1, ERRORS)], "the credit 0 and the weight -1, of which no"),
    ],
)
def test_scores_of_which_no_mean_can_be_made_name_the_item(stage, first, second, message):
    assert stage(by_item(q0=first, q1=second), [{}, {}]) == 1
    assert stage.error.startswith("A: item q1: ")
    assert message in stage.error


def test_metrics_that_are_given_twice_are_refused(stage):
    assert stage(giving(scored(1), scored(0)), [{}]) == 1
    assert "A: item q0: its metrics are one without a name, one without a name" in stage.error


def test_items_of_other_categories_may_have_other_metrics(stage):
    found = by_item(q0=[scored(1)], q1=[scored(1, 1, ERRORS, "a")])
    assert stage(found, [{}, {}], categories="pq") == 0
    assert [row["category"] for row in stage.rows] == ["p", "q-a"]


# ------------------------------------------------------------------------------ the user's files


def test_files_that_changed_since_they_were_planned_are_refused(stage):
    import hashlib

    for name in ("mine.py", "helper.py"):
        Path(name).write_text(name)
    planned = {n: hashlib.sha256(n.encode()).hexdigest() for n in ("mine.py", "helper.py")}
    assert stage(giving(scored(1)), [{}], {"mine.py": planned}) == 0
    Path("scores").unlink()
    Path("helper.py").write_text(text_digest("another"))
    assert stage(giving(scored(1)), [{}], {"mine.py": planned}) == 1
    assert "helper.py: changed since this run was planned; run snakemake again" in stage.error
    Path("helper.py").unlink()
    assert stage(giving(scored(1)), [{}], {"mine.py": planned}) == 1
    assert not Path("scores").exists()

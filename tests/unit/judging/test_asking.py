"""Asking until a verdict can be read, and preferences that do not hang on the order."""

from dataclasses import dataclass, field

import pytest

from lorascope.judging.asking import (
    ORDER,
    Asking,
    Outcome,
    Question,
    ask,
    preferred,
    without_asking,
)
from lorascope.judging.calls import Reply
from tests.support.scoring import asked

ITEM = asked("dog")
HOW = Asking("verdict", "{question} {gold} {response}", "me", 3, 20, 0.5, 7)


@dataclass
class Scripted:
    """Replies by attempt, and remembers the calls."""

    replies: list[str | None]
    calls: list = field(default_factory=list)

    def ask(self, calls):
        for call in calls:
            self.calls.append(call)
            text = self.replies[call.attempt]
            yield call, Reply(text, "" if text else "timed out")


def outcome(*replies):
    backend, told = Scripted([*replies]), []
    [found] = ask([Question(ITEM, ("cat",))], HOW, backend, told.append)
    assert sum(told) == 1
    return found, backend.calls


def test_a_verdict_that_is_read_at_once_takes_one_call():
    found, calls = outcome("Judgement: incorrect")
    assert found == Outcome("incorrect", "judged incorrect", "Judgement: incorrect", 1)
    assert [call.seed for call in calls] == [7]


def test_what_cannot_be_read_is_another_call_with_another_seed():
    found, calls = outcome("hm", "still hm", "Judgement: correct")
    assert (found.verdict, found.calls, found.text) == ("correct", 3, "Judgement: correct")
    assert [(call.attempt, call.seed) for call in calls] == [(0, 7), (1, 8), (2, 9)]
    assert len({call.key for call in calls}) == 3
    assert calls[0].messages != calls[1].messages == calls[2].messages


def test_after_the_last_attempt_it_is_unjudged_with_the_last_reason_and_words():
    found, _ = outcome("hm", "Judgement: correct\nJudgement: incorrect", None)
    assert found == Outcome(None, "timed out", None, 3)
    found, _ = outcome("hm", "hm", "Judgement: correct\nJudgement: incorrect")
    assert "contradictory" in found.reason and found.text.startswith("Judgement")


def test_a_judge_without_a_reply_is_not_asked_again():
    found, calls = outcome(None)
    assert found == Outcome(None, "timed out", None, 1) and len(calls) == 1


def test_equal_questions_are_one_call():
    backend = Scripted(["Judgement: correct"])
    same = [Question(ITEM, (text,)) for text in ("dog", "cat", "dog", "dog")]
    assert [one.verdict for one in ask(same, HOW, backend)] == ["correct"] * 4
    assert len(backend.calls) == 2


@pytest.mark.parametrize(
    ("own_first", "own_second", "expected"),
    [
        ("first", "second", "better"),
        ("second", "first", "worse"),
        ("tie", "tie", "tie"),
        ("first", "first", "tie"),
        ("second", "second", "tie"),
        ("first", "tie", "tie"),
        ("tie", "first", "tie"),
        (None, "second", None),
        ("first", None, None),
    ],
)
def test_a_preference_that_changes_with_the_order_is_a_tie(own_first, own_second, expected):
    found = preferred(Outcome(own_first, "why", "a", 1), Outcome(own_second, "why", "b", 2))
    assert (found.verdict, found.calls) == (expected, 3)
    consistent = {("first", "second"), ("second", "first"), ("tie", "tie")}
    changes = expected == "tie" and (own_first, own_second) not in consistent
    assert (found.reason == ORDER) == changes
    assert found.reason == "why" if expected is None else found.reason


def test_no_judge_is_needed_where_a_response_is_missing_or_both_are_one():
    verdicts = [
        found and found.verdict
        for found in map(without_asking, ["a", "", " ", "a ", "a"], ["", "a", "", "a", "b"])
    ]
    assert verdicts == ["better", "worse", "tie", "tie", None]

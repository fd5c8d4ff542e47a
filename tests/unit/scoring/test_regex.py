"""What a pattern finds in a response, and patterns that are refused."""

import pytest

from lorascope.errors import UserError
from lorascope.scoring import regex as scorer
from tests.support.scoring import asked, credit, options, scores
from tests.unit.study.test_parsing import _plain, refused, study


@pytest.mark.parametrize(
    ("response", "answer", "keys", "right"),
    [
        ("The answer is Paris.", "Paris", {"pattern": r"answer is (\w+)"}, 1),
        ("The answer is Rome.", "Paris", {"pattern": r"answer is (\w+)"}, 0),
        ("Paris", "Paris", {"pattern": r"answer is (\w+)"}, 0),
        ("x=1 x=2", "1", {"pattern": r"x=(\d)"}, 1),
        ("x=1 x=2", "2", {"pattern": r"x=(\d)"}, 0),
        ("x=1 x=2", "2", {"pattern": r"x=(\d)", "match": "last"}, 1),
        ("x=1", "x=1", {"pattern": r"x=\d"}, 1),
        ("x=1", "x=1", {"pattern": r"x=(\d)", "group": 0}, 1),
        ("a-b", "b", {"pattern": r"(\w)-(\w)", "group": 2}, 1),
        ("a-b", "b", {"pattern": r"(\w)-(?P<answer>\w)", "group": "answer"}, 1),
        ("a-b", "a", {"pattern": r"(\w)-(?P<answer>\w)"}, 1),
        # A group that took no part in a match is no find.
        ("b a", "a", {"pattern": r"b|(a)"}, 1),
        ("PARIS", "paris", {"pattern": r"\w+"}, 1),
        ("PARIS", "paris", {"pattern": r"\w+", "normalise": []}, 0),
        ("ten", "10", {"pattern": r"\w+", "normalise": ["numbers"]}, 1),
        ("It is 3.5 (metres).", "3.5 (metres)", {"pattern": r"is {answer}\."}, 1),
        ("It is 315 (metres).", "3.5 (metres)", {"pattern": r"is {answer}\."}, 0),
        ("it is PARIS", "Paris", {"pattern": r"(?i)\b{answer}\b"}, 1),
        ("it is Parisian", "Paris", {"pattern": r"(?i)\b{answer}\b"}, 0),
        ("aab", "a|b", {"pattern": r"^{answer}+"}, 0),
        ("", "Paris", {"pattern": r"\w+"}, 0),
        ("anything", "", {"pattern": r"{answer}"}, 0),
    ],
)
def test_what_a_pattern_finds_is_compared(response, answer, keys, right):
    assert credit("regex", response, answer, **keys) == right


def test_the_right_option_counts_by_its_letter_or_text():
    item, pattern = options(["cat", "dog"], "b"), r"answer is \(?(\w+)"
    replies = ["The answer is (b) dog", "The answer is B", "the answer is dog", "answer is a"]
    found = [scores("regex", reply, item, pattern=pattern)[0].credit for reply in replies]
    assert found == [1, 1, 1, 0]
    (found,) = scores("regex", "answer is (B)", item, pattern=r"(?i)answer is \({answer}\)")
    assert found.credit == 1


def test_a_response_without_a_match_gave_no_answer():
    (none,) = scores("regex", "no", asked("1"), pattern=r"\d")
    (wrong,) = scores("regex", "2", asked("1"), pattern=r"\d")
    assert (none.status, wrong.status) == ("none", "scored")
    assert (none.reason, wrong.reason) == ("no match", "found '2'")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pattern": "(a"}, "pattern: '(a' is no regular expression: missing )"),
        ({"pattern": "a{answer"}, None),
        ({"pattern": "({answer}"}, "pattern: '({answer}' is no regular expression: missing )"),
        ({"pattern": ""}, "scorer.pattern: must not be empty"),
        (
            {"pattern": "(a)", "group": 2},
            "group: '(a)' has no group 2; it has 1 groups, named none",
        ),
        ({"pattern": "(a)", "group": -1}, "scorer.group: -1 is not valid here; it has to be at"),
        ({"pattern": "(?P<b>a)", "group": "c"}, "has no group 'c'; it has 1 groups, named b"),
        (
            {"pattern": "({answer})", "group": 1},
            "group: has no meaning for a pattern with {answer}",
        ),
        ({"pattern": r"(a|aa)+$"}, "pattern: '(a|aa)+$' would search some responses for ever"),
        ({"pattern": "a", "match": "second"}, "scorer.match: 'second' is not one of first, last"),
        ({"pattern": "a", "normalise": ["lowr"]}, "scorer.normalise[0]: 'lowr' is not one of uni"),
        ({"pattern": "a", "normalise": ["lower", "lower"]}, "'lower' comes twice; remove one"),
        ({}, "experiments[0].scorer: key 'pattern' is missing"),
    ],
)
def test_a_pattern_that_is_none_is_refused_when_the_study_is_read(keys, message, monkeypatch):
    monkeypatch.setattr(scorer, "TRIAL_SECONDS", 0.05)
    changes = {"experiments__0": _plain(scorer={"name": "regex", **keys}), "baseline": "A"}
    if message is None:
        study(**changes)
    else:
        told = refused(study, **changes)
        assert told.startswith("experiments[0].scorer")
        assert message in told


@pytest.mark.parametrize(
    "pattern",
    [
        r"(\d+,)*\d+$",
        r"(\w+\W?)+$",
        r"(?:\s*\w+)*:",
        r".*.*.*answer",
        r"(([^,]*),?)*;",
        r"(x+x+)+y",
    ],
)
def test_patterns_that_end_are_not_refused(pattern, monkeypatch):
    monkeypatch.setattr(scorer, "TRIAL_SECONDS", 0.5)
    scorer.RegexSettings(name="regex", pattern=pattern)


def test_a_search_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(scorer, "SECONDS", 0.05)
    keys = {"group": None, "match": "first", "normalise": []}
    with pytest.raises(UserError, match=r"takes more than 0.05 s to search the response; write"):
        scorer.score_item("bc" * 50 + "!", asked("x"), r"(bc|bcbc)+$", **keys)
    with pytest.raises(UserError, match=r"takes more than 0\.05 s"):
        scorer.score_item("bc" * 50 + "!", asked("x"), r"(bc|bcbc)+$|{answer}", **keys)

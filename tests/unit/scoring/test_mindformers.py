"""The MindFormers convention against hand-worked cases and published figures."""

import os
import subprocess
import sys
from dataclasses import replace
from pkgutil import resolve_name

import pytest

from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.mindformers import METRICS, score_item
from lorascope.study.registry import SCORERS
from tests.support.span_cases import CASES, expected, item, percentages, real_items


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_cases(case):
    scores = score_item(case["response"], item(*case["answers"]))
    assert [score.metric for score in scores] == list(METRICS)
    assert [score.credit for score in scores] == pytest.approx(expected(case, "mindformers"))


def test_scores():
    assert score_item("Paris.", item("Paris")) == [
        ItemScore("f1", pytest.approx(2 / 3), "scored", None, "partial"),
        ItemScore("em", 0.0, "scored", None, "partial"),
    ]
    assert {score.reason for score in score_item("London", item("Paris"))} == {"no overlap"}
    assert {score.reason for score in score_item("Paris", item("Paris"))} == {"exact match"}


def test_the_scorer_is_found_by_its_name():
    assert resolve_name(SCORERS["mindformers"].score_item) is score_item
    assert SCORERS["mindformers"].metrics == METRICS


def test_gold_with_a_full_stop():
    scores = [score_item(found.answer + ".", found) for found in real_items()]
    f1, em = percentages(scores)
    assert (round(f1, 2), em) == (82.82, 0.0)


def test_the_last_annotator_against_the_first():
    scores = [score_item(i.answers[-1], replace(i, answers=i.answers[:1])) for i in real_items()]
    assert tuple(round(value, 2) for value in percentages(scores)) == (83.51, 63.96)


def test_the_mean_prints_as_in_the_log_of_mindformers():
    right, wrong = score_item("Paris", item("Paris")), score_item("London", item("Paris"))
    _, em = percentages([right] * 913 + [wrong] * (2067 - 913))
    assert str(em) == "44.17029511369134"


def test_the_tokenizer_is_quiet_and_leaves_nothing(tmp_path):
    """jieba would log to stderr, and trust and write a cache that all users share."""
    (tmp_path / "jieba.cache").write_bytes(b"not a cache")
    code = (
        "from lorascope.scoring import mindformers; import sys;"
        "assert 'jieba' not in sys.modules;"
        "print(mindformers._tokens('the u.s. in 3.5%'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "['the', ' ', 'u', '.', 's', '.', ' ', 'in', ' ', '3.5%']\n"
    assert run.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["jieba.cache"]
    assert (tmp_path / "jieba.cache").read_bytes() == b"not a cache"

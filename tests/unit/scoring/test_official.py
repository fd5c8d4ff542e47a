"""The official convention against hand-worked cases and published figures."""

from dataclasses import replace
from pkgutil import resolve_name

import pytest

from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.official import METRICS, score_item
from lorascope.study.registry import SCORERS
from tests.support.basics import printed
from tests.support.span_cases import CASES, expected, item, percentages, real_items


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_cases(case):
    scores = score_item(case["response"], item(*case["answers"]))
    assert [score.metric for score in scores] == list(METRICS)
    assert [score.credit for score in scores] == pytest.approx(expected(case, "official"))


def test_scores():
    assert score_item("Tower Eiffel", item("Eiffel Tower")) == [
        ItemScore("f1", 1.0, "scored", None, "partial"),
        ItemScore("em", 0.0, "scored", None, "partial"),
    ]
    assert {score.reason for score in score_item("London", item("Paris"))} == {"no overlap"}
    assert {score.reason for score in score_item("Paris.", item("Paris"))} == {"exact match"}


def test_the_scorer_is_found_by_its_name():
    assert resolve_name(SCORERS["official"].score_item) is score_item
    assert SCORERS["official"].metrics == METRICS


def test_gold_with_a_full_stop():
    scores = [score_item(found.answer + ".", found) for found in real_items()]
    assert percentages(scores) == (100.0, 100.0)


def test_the_last_annotator_against_the_first():
    scores = [score_item(i.answers[-1], replace(i, answers=i.answers[:1])) for i in real_items()]
    assert tuple(round(value, 2) for value in percentages(scores)) == (87.63, 72.71)


def test_scoring_imports_no_torch():
    code = (
        "import sys; from lorascope.scoring.official import score_item;"
        "from tests.support.span_cases import item; score_item('Paris', item('London'));"
        "print({'torch', 'pandas'} & set(sys.modules))"
    )
    assert printed(code) == "set()\n"


def test_all_articles_are_no_words_and_no_words_equal_no_words():
    assert [score.credit for score in score_item("The", item("a"))] == [1.0, 1.0]
    assert [score.credit for score in score_item("", item("Paris"))] == [0.0, 0.0]
    assert [score.credit for score in score_item("Paris", item("!"))] == [0.0, 0.0]

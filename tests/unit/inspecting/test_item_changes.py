"""What got better or worse is what comparison.csv counts as gained and lost."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lorascope.errors import UserError
from lorascope.exchange.answers import Answered
from lorascope.inspecting.items.changes import GAINED, LOST, changes
from lorascope.reporting.comparison import NOTE, comparison_table
from lorascope.reporting.scored import Scored
from lorascope.scoring.item_score import ACCURACY, Measure
from tests.support.answered import (
    PERPLEXITY,
    WER,
    answer,
    answered,
    choice_item,
    score,
    text_item,
)

ITEMS = 40
SUM = Measure("a sum", "plain")
OPEN = Measure("a number", "plain", bounded=False)


def scored(found: Answered) -> Scored:
    """Return an experiment as the report has it."""
    rows = [
        vars(one)
        | {"item_id": a.item.item_id, "clip": "", "options": 2, "finish_reason": "eos"}
        | {"credit": math.nan if one.credit is None else one.credit}
        for a in found.answers
        for one in a.scores.values()
    ]
    table = pd.DataFrame(rows)
    return Scored(found.id, found.id, 0, 0, True, "zoo", table, "", found.measures)


def counted(ours: Answered, theirs: Answered) -> dict[str, tuple[int, int] | None]:
    """Return category -> gained and lost of comparison.csv, None where it compares nothing."""
    table = comparison_table([scored(theirs), scored(ours)], [theirs.id])
    own = table[(table["experiment"] == ours.id) & table["category"].isin(ours.categories())]
    return {
        row["category"]: None if pd.isna(row["gained"]) else (row["gained"], row["lost"])
        for row in own.to_dict("records")
    }


def credit_of(measure: Measure, weight: float, rng: np.random.Generator) -> float | None:
    if measure == ACCURACY:
        return [0.0, 1.0, 0.5, None][rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])]
    if measure == WER:
        return float(rng.integers(0, 4))
    return float(rng.integers(0, 3)) * weight / 2 if measure.bounded else float(rng.normal())


def made_up(name: str, seed: int, measure: Measure, same_weights: bool) -> Answered:
    """Return random scores of two metrics, an accuracy and one of ``measure``."""
    rng, other = np.random.default_rng(seed), np.random.default_rng(seed if not same_weights else 7)
    answers = []
    for number in range(ITEMS):
        item = text_item(f"{number}")
        weight = float(other.integers(1, 4))
        own = credit_of(measure, weight, rng)
        answers.append(
            answer(
                item,
                "x",
                score(item, credit_of(ACCURACY, 1, rng), "em"),
                score(item, own, "other", weight=weight),
            )
        )
    return answered(answers, {"q-other": measure}, id=name)


@pytest.mark.parametrize("measure", [WER, PERPLEXITY, SUM, OPEN], ids=lambda m: m.title)
@pytest.mark.parametrize("same_weights", [True, False])
@pytest.mark.parametrize("seed", [1])
def test_they_count_as_comparison_csv_does(measure, same_weights, seed):
    theirs = made_up("BASE", seed, measure, same_weights)
    ours = made_up("RUN", seed + 10, measure, same_weights)
    expected = counted(ours, theirs)
    assert expected["q-em"] is not None
    found = changes(ours, theirs)
    for category, counts in expected.items():
        assert (category in found.not_compared) == (counts is None)
        if counts is not None:
            words = Counter(found.found[category].values())
            assert (words[GAINED], words[LOST]) == counts
            assert sum(counts) > 0


def test_a_missing_value_is_compared_with_nothing():
    theirs = made_up("BASE", 1, PERPLEXITY, same_weights=True)
    ours = made_up("RUN", 2, PERPLEXITY, same_weights=True)
    first = ours.answers[0]
    lost = replace(first.scores["other"], credit=None)
    answers = [replace(first, scores=first.scores | {"other": lost}), *ours.answers[1:]]
    ours = replace(ours, answers=answers)
    table = comparison_table([scored(theirs), scored(ours)], ["BASE"]).set_index("category")
    assert "no value" in table.loc["q-other", NOTE].iloc[-1]
    assert changes(ours, theirs).not_compared == {"q-other": "some items have no value"}


def test_an_unjudged_item_has_not_changed():
    items = [choice_item(f"cat{n}") for n in range(3)]
    theirs = answered([answer(i, "x", score(i, 1.0)) for i in items], id="BASE")
    credits = [1.0, 0.0, None]
    ours = answered(
        [answer(i, "x", score(i, c)) for i, c in zip(items, credits, strict=True)], id="RUN"
    )
    found = changes(ours, theirs).found["animal-single"]
    assert found == {"animal-single/cat1": LOST}
    assert counted(ours, theirs) == {"animal-single": (0, 1)}


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (choice_item("dog0"), "do not have the same items (2 differ in animal-single"),
        (choice_item("cat0", hop="multi"), "no category in common"),
    ],
)
def test_other_items_are_refused(theirs, message):
    item = choice_item("cat0")
    ours = answered([answer(item, "x", score(item, 1.0))], id="RUN")
    base = answered([answer(theirs, "x", score(theirs, 1.0))], id="BASE")
    with pytest.raises(UserError) as error:
        changes(ours, base)
    assert message in str(error.value)


def test_two_measures_of_one_category_are_refused():
    item = text_item("x")
    one = answered([answer(item, "x", score(item, 1.0))], {"q": WER}, id="RUN")
    other = answered([answer(item, "x", score(item, 1.0))], id="BASE")
    with pytest.raises(UserError, match="'q' is word error rate in RUN and accuracy in BASE"):
        changes(one, other)

"""How far two raters agree, by numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lorascope.reporting.agreement import agreement_section, agreement_table, kappa_of
from tests.support.runs import run

RIGHT, WRONG = "correct", "incorrect"


def rated(pairs, judges=("big",), columns=("by_rules", "verdict"), category="x"):
    """Return a run in which two raters said these pairs."""
    made = run("A", {category: [True] * len(pairs)})
    cells = dict.fromkeys(("by_rules", "verdict", "second"))
    cells |= dict(zip(columns, zip(*pairs, strict=True), strict=True))
    return replace(made, scores=made.scores.assign(**cells), judges=judges)


def test_kappa_is_cohens():
    # Cohen's own kind of example: 70 % agreement, 50 % by chance.
    kappa, low, high = kappa_of(np.array([[20, 5], [10, 15]]))
    assert kappa == 0.4
    assert (low, high) == pytest.approx((0.1511, 0.6489), abs=0.001)
    assert kappa_of(np.array([[5, 0], [0, 5]])) == (1, 1, 1)
    assert kappa_of(np.array([[25, 25], [25, 25]]))[0] == 0
    assert kappa_of(np.array([[0, 5], [5, 0]]))[0] == -1
    assert all(map(math.isnan, kappa_of(np.array([[9]]))))
    assert kappa_of(np.array([[7, 2], [0, 0]]))[0] == 0


def test_rules_and_a_judge_are_compared_where_both_have_a_verdict():
    pairs = 20 * [(RIGHT, RIGHT)] + 5 * [(RIGHT, WRONG)] + 10 * [(WRONG, RIGHT)]
    pairs += 15 * [(WRONG, WRONG)] + 7 * [(None, RIGHT)] + 9 * [(WRONG, None)]
    row = agreement_table([rated(pairs)]).iloc[0]
    assert row[["first", "second", "items", "agreed"]].to_list() == ["rules", "big", 50, 35]
    assert (row["agreement"], row["kappa"]) == (70, 0.4)
    counts = [row[f"{one}_{two}"] for one in (RIGHT, WRONG) for two in (RIGHT, WRONG)]
    assert counts == [20, 5, 10, 15]


def test_two_judges_are_compared_and_so_are_preferences():
    pairs = [("better", "better"), ("better", "tie"), ("worse", "worse"), (None, "tie")]
    table = agreement_table([rated(pairs, ("big", "small"), ("verdict", "second"))])
    row = table.iloc[0]
    assert row[["first", "second", "items", "agreed"]].to_list() == ["big", "small", 3, 2]
    assert row["better_tie"] == 1 and row["tie_better"] == 0
    assert "correct_correct" not in table
    assert "big" in agreement_section(table) and "kappa" in agreement_section(table)


def test_all_items_have_a_row_where_there_are_several_categories():
    made = run("A", {"x": [True] * 2, "y": [True] * 2})
    cells = {"by_rules": [RIGHT, None, WRONG, RIGHT], "verdict": [RIGHT, RIGHT, RIGHT, RIGHT]}
    made = replace(made, scores=made.scores.assign(**cells, second=None), judges=("big",))
    table = agreement_table([made])
    assert table["category"].to_list() == ["x", "y", "all items (micro average)"]
    assert table["items"].to_list() == [1, 2, 3]
    assert table["agreed"].to_list() == [1, 1, 2]


def test_studies_without_judges_have_no_section():
    table = agreement_table([run("A", {"x": [True]})])
    assert table.empty and agreement_section(table) == ""

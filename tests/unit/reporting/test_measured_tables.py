"""The tables of a study whose categories measure other things than accuracy, by hand."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from lorascope.errors import UserError
from lorascope.reporting import comparison
from lorascope.reporting.baselines import levels_of, values_of
from lorascope.reporting.comparison import ALL_ITEMS, comparison_table
from lorascope.reporting.outcomes import CUT, outcome_section, outcome_table, outcome_warnings
from lorascope.reporting.scored import check_measures, pooled
from lorascope.reporting.statistics import holm
from lorascope.reporting.tables import accuracy_table, chart_points
from lorascope.scoring.item_score import Measure
from tests.support.runs import BITS, TOKENS, WORDS, measured_run, run

SPEECH, TEXT = "speech-wer", "text-ppl"
MEASURES = {SPEECH: WORDS, TEXT: TOKENS}
MISSED = Measure("share of facts missed", higher_is_better=False)


def both(name, errors, nats, **own):
    """Build a run of three transcripts of 10 words and two texts of 4 and 6 tokens."""
    items = {
        SPEECH: [(errors_of_item, 10) for errors_of_item in errors],
        TEXT: list(zip(nats, own.pop("tokens", (4, 6)), strict=True)),
    }
    return measured_run(name, MEASURES, items, **own)


BASE = both("BASE", (1, 2, 3), (8, 12))
WORSE = both("WORSE", (2, 2, 11), (6, 10), scaling=1.0)


def compared(*experiments):
    named = {"experiments": ["BASE"], "published": None, "model": None}
    return [{"of": list(experiments), **named}]


def published(accuracies, *experiments):
    table = {"accuracies": accuracies, "scorer": None, "reproduction": None}
    return [{"of": list(experiments), "model": None, "experiments": [], "published": table}]


def indexed(table):
    return table.set_index(["experiment", "category"])


def test_values_and_deltas_are_in_the_units_of_their_measures_with_honest_signs():
    levels = levels_of([BASE, WORSE], compared("BASE", "WORSE"))
    table = indexed(accuracy_table([BASE, WORSE], values_of(levels)))
    errors, text = table.loc["WORSE", SPEECH], table.loc["WORSE", TEXT]
    assert (errors.accuracy, errors.accuracy_delta) == (50, 30)  # 15 and 6 of 30 words
    assert text.accuracy == pytest.approx(math.exp(1.6))
    assert text.accuracy_delta == pytest.approx(math.exp(1.6) - math.exp(2), abs=5e-5)
    assert (errors.measure, errors.better) == ("word error rate", "lower")
    assert (text.measure, text.better, text.total) == ("perplexity by token", "lower", 2)
    assert table[["correct", "incorrect"]].isna().all().all()
    assert table.loc["BASE", "accuracy_delta"].tolist() == [0, 0]


def test_an_accuracy_beside_other_measures_keeps_its_counts():
    mixed = measured_run("A", {SPEECH: WORDS}, {SPEECH: [(1, 4)], "qa": [(1, 1), (0, 1)]})
    table = indexed(accuracy_table([mixed], {SPEECH: 30, "qa": 40}))
    assert (table.loc["A", "qa"].correct, table.loc["A", "qa"].incorrect) == (1, 1)
    assert (table.loc["A", "qa"].measure, table.loc["A", "qa"].better) == ("accuracy", "higher")
    assert (table.loc["A", SPEECH].accuracy, table.loc["A", SPEECH].accuracy_delta) == (25, -5)


def test_columns_of_measures_are_only_where_there_are_some():
    table = accuracy_table([run("A", {"x": [True]})], {"x": 50})
    assert "better" not in table
    assert "better" not in comparison_table([run("A", {"x": [True]})], [])


def test_items_of_a_weight_that_is_not_1_have_no_counts_of_right_and_wrong():
    weighted = measured_run("A", {}, {"x": [(3, 3), (0, 1)]})
    found = weighted.measured["x"]
    assert (found.value, found.correct, found.total) == (75, None, 2)
    assert not weighted.has_mean_of_all


def test_weights_that_add_up_to_0_are_named():
    empty = measured_run("A", MEASURES, {SPEECH: [(0, 0), (2, 0)]})
    with pytest.raises(UserError, match="experiment A, category speech-wer: the weights of its"):
        empty.measured  # noqa: B018


def test_comparisons_have_the_sign_of_the_value_and_count_what_got_better():
    table = indexed(comparison_table([BASE, WORSE], ["BASE"]))
    errors, text = table.loc["WORSE", SPEECH], table.loc["WORSE", TEXT]
    assert (errors.accuracy, errors.delta, errors.gained, errors.lost) == (50, 30, 0, 2)
    assert (text.gained, text.lost, text.better) == (2, 0, "lower")
    assert text.delta == pytest.approx(math.exp(1.6) - math.exp(2), abs=5e-5)
    assert text.accuracy_low < text.accuracy < text.accuracy_high
    assert ALL_ITEMS not in table.index.get_level_values("category")
    assert math.isnan(table.loc["BASE", SPEECH].p_value)


def test_the_family_of_tests_has_every_measure_and_runs_that_are_not_shown():
    rng = np.random.default_rng(1)
    base, other = rng.integers(5, 9, 30), rng.integers(0, 4, 30)
    runs = [
        measured_run(name, MEASURES, {SPEECH: [(x, 10) for x in xs], TEXT: [(y, 5) for y in ys]})
        for name, xs, ys in [("BASE", base, base), ("A", other, other), ("B", base, other)]
    ]
    table = comparison_table(runs, ["BASE"])
    tested = table[table["p_value"].notna()]
    assert len(tested) == 4
    exact = holm(tested["p_value"].tolist())
    assert tested["holm_p"].tolist() == pytest.approx(exact, rel=1e-3)
    hidden = [*runs[:2], replace(runs[2], in_table=False)]
    fewer = comparison_table(hidden, ["BASE"])
    shown = indexed(table).loc["A", "holm_p"].tolist()
    assert indexed(fewer).loc["A", "holm_p"].tolist() == pytest.approx(shown)


def test_values_by_other_tokens_are_not_compared_and_the_table_says_so():
    other = both("OTHER", (2, 2, 2), (6, 10), tokens=(5, 7))
    table = indexed(comparison_table([BASE, other], ["BASE"]))
    assert table.loc["OTHER", TEXT].note == comparison.UNITS
    assert math.isnan(table.loc["OTHER", TEXT].delta)
    assert table.loc["OTHER", SPEECH].note == ""
    assert table.loc["OTHER", SPEECH].delta == 0
    levels = levels_of([BASE, other], compared("BASE", "OTHER"))
    rows = indexed(accuracy_table([BASE, other], values_of(levels)))
    assert math.isnan(rows.loc["OTHER", TEXT].accuracy_delta)
    assert rows.loc["OTHER", SPEECH].accuracy_delta == 0


def test_a_text_without_a_finite_number_leaves_its_category_without_a_value():
    lost = both("LOST", (2, 2, 2), (math.nan, 10))
    lost.scores.loc[lost.scores["credit"].isna(), "status"] = "nonfinite"
    table = indexed(comparison_table([BASE, lost], ["BASE"]))
    assert math.isnan(table.loc["LOST", TEXT].accuracy)
    assert table.loc["LOST", TEXT].note == comparison.NO_VALUE
    back = indexed(comparison_table([BASE, lost], ["LOST"]))
    assert back.loc["BASE", TEXT].note == comparison.NO_VALUE_OF_BASELINE
    assert math.isnan(back.loc["BASE", TEXT].delta)
    (warning,) = outcome_warnings([lost])
    assert "LOST: 1 of 5 replies are no answers" in warning
    assert "its cells are empty" in warning


def test_an_average_over_all_items_needs_one_measure():
    same = {"x": Measure("exact match"), "y": Measure("exact match")}
    items = {"x": [(1, 1), (0, 1)], "y": [(1, 1), (1, 1)]}
    table = indexed(comparison_table([measured_run("A", same, items)], []))
    assert table.loc["A", ALL_ITEMS].accuracy == 75
    assert table.loc["A", ALL_ITEMS].measure == "exact match"
    mixed = {"x": Measure("exact match"), "y": Measure("ROUGE-L")}
    assert not measured_run("A", mixed, items).has_mean_of_all
    assert not measured_run("A", {"x": WORDS, "y": WORDS}, items).has_mean_of_all


def test_runs_of_an_experiment_are_pooled_by_item():
    again = replace(both("BASE-1", (3, 2, 5), (10, 14)), base="BASE", run_num=1)
    assert pooled([BASE, again], SPEECH).value == Fraction(80, 3)  # 2, 2 and 4 errors
    assert pooled([BASE, again], TEXT).value == pytest.approx(math.exp(2.2))
    lost = replace(both("BASE-1", (3, 2, 5), (math.nan, 14)), base="BASE", run_num=1)
    assert math.isnan(pooled([BASE, lost], TEXT).value)
    points = chart_points([BASE, WORSE], {"BASE": "a", "WORSE": "a"}, swept=True)
    drawn = points[points["category"] == SPEECH]["accuracy"].tolist()
    assert drawn == [20, 50]


def test_published_values_are_taken_as_given_and_not_tested():
    levels = levels_of([BASE], published({SPEECH: 120.5, TEXT: 250}, "BASE"))
    table = indexed(accuracy_table([BASE], values_of(levels)))
    assert table.loc["BASE", SPEECH].accuracy_delta == -100.5
    assert table.loc["BASE", TEXT].accuracy_delta == pytest.approx(math.exp(2) - 250, abs=5e-5)
    counted = comparison_table([BASE], [], published={"BASE": {SPEECH: (6, 30)}})
    assert counted["p_value"].isna().all()
    levels = levels_of([BASE], published({SPEECH: {"correct": 6, "total": 30}}, "BASE"))
    assert values_of(levels) == {"BASE": {SPEECH: 20}}


@pytest.mark.parametrize(
    ("category", "value", "message"),
    [
        (TEXT, {"correct": 1, "total": 2}, "is perplexity by token, which has no counts"),
        ("qa", 101, "is accuracy in percent, which 101 is not"),
    ],
)
def test_published_values_that_cannot_be_are_refused(category, value, message):
    one = measured_run("A", MEASURES, {TEXT: [(4, 2)], "qa": [(1, 1)]})
    with pytest.raises(UserError, match=message):
        levels_of([one], published({category: value}, "A"))


def test_one_category_of_two_measures_is_refused():
    other = measured_run("B", {SPEECH: BITS}, {SPEECH: [(1, 2)]})
    with pytest.raises(UserError, match=r"'speech-wer' is word error rate in experiment BASE and"):
        check_measures([BASE, other])


def test_what_replies_were_by_measures_with_and_without_bounds():
    items = {
        SPEECH: [(0, 10), (3, 10), (10, 10), (12, 10)],
        "facts": [(0, 2), (1, 2), (2, 2)],
        TEXT: [(8, 4), (12, 6)],
    }
    one = measured_run("A", {**MEASURES, "facts": MISSED}, items)
    one.scores.loc[2, "status"] = "none"  # ten of ten words are missing
    table = outcome_table([one]).set_index("category")
    parts = ["correct", "partial", "wrong", "none", "measured"]
    assert table.loc[SPEECH, parts].tolist() == [1, 0, 0, 1, 2]
    assert table.loc["facts", parts].tolist() == [1, 1, 1, 0, 0]
    assert table.loc[TEXT, parts].tolist() == [0, 0, 0, 0, 2]
    assert table.columns[-1] == CUT
    assert "*measured* has a value" in outcome_section(outcome_table([one]))


def test_what_is_read_from_likelihoods_never_chose_nothing():
    one = measured_run("A", {}, {"qa": [(0, 1), (1, 1)]})
    one.scores["finish_reason"] = "likelihood"
    one.scores["status"] = "none"
    table = outcome_table([one])
    assert table[["correct", "wrong", "none"]].to_numpy().tolist() == [[1, 1, 0]]
    assert "measured" not in table


def test_an_infinite_perplexity_stays_in_the_table():
    far = both("FAR", (1, 2, 3), (8000, 12000))
    levels = levels_of([BASE, far], compared("BASE", "FAR"))
    table = indexed(accuracy_table([BASE, far], values_of(levels)))
    assert table.loc["FAR", TEXT].accuracy == math.inf
    assert table.loc["FAR", TEXT].accuracy_delta == math.inf
    row = indexed(comparison_table([BASE, far], ["BASE"])).loc["FAR", TEXT]
    assert row.delta == math.inf
    assert isinstance(table, pd.DataFrame)

"""What a judge fails on is never the model's failure: values, comparisons and gates, by numbers."""

from dataclasses import replace

import numpy as np
import pytest

from lorascope.reporting.comparison import NOT_JUDGED, NOT_JUDGED_IN_BOTH, comparison_table
from lorascope.reporting.outcomes import outcome_table, outcome_warnings
from lorascope.reporting.retention import retained
from lorascope.reporting.scored import paired
from lorascope.reporting.statistics import accuracy_interval, clopper_pearson, paired_difference
from lorascope.reporting.tables import accuracy_table
from lorascope.reporting.verdicts import retention_table
from lorascope.scoring.item_score import Measure
from tests.support.runs import flags, run

YES, NO, NONE = True, False, None


def cells(table, experiment, category):
    return table.set_index(["experiment", "category"]).loc[experiment, category]


def gate(runs, at_least=0.9):
    entry = {"of": "BASE", "metric": "x", "at_least": at_least, "confidence": 0.95}
    return retention_table(runs, [entry]).iloc[0]


def test_a_value_and_its_interval_are_those_of_the_judged_items_alone():
    whole, judged = run("A", {"x": flags(30, 40) + [NONE] * 20}), run("B", {"x": flags(30, 40)})
    ours, theirs = whole.measured["x"], judged.measured["x"]
    assert (ours.value, ours.low, ours.high) == (75, *clopper_pearson(30, 40))
    assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)
    assert (ours.correct, ours.incorrect, ours.unjudged, ours.total) == (30, 10, 20, 60)
    assert (ours.if_wrong, ours.if_right) == (50, pytest.approx(100 * 50 / 60))


def test_a_judge_that_fails_on_more_of_one_run_makes_no_difference():
    base, other = flags(50, 100), flags(50, 100)
    some = [NONE if i % 2 else flag for i, flag in enumerate(other)]
    row = cells(
        comparison_table([run("BASE", {"x": base}), run("A", {"x": some})], ["BASE"]), "A", "x"
    )
    assert (row.accuracy, row.delta, row.gained, row.lost, row.compared) == (50, 0, 0, 0, 50)
    assert row.p_value == 1


def test_runs_are_compared_on_the_items_that_are_judged_in_both():
    base = [YES, YES, NO, NONE, NO, NONE, YES, NO]
    other = [YES, NO, YES, YES, NONE, NONE, YES, YES]
    runs = [run("BASE", {"x": base}), run("A", {"x": other})]
    row = cells(comparison_table(runs, ["BASE"]), "A", "x")
    kept = [i for i in range(8) if base[i] is not None and other[i] is not None]
    ours, theirs = ([float(one[i]) for i in kept] for one in (other, base))
    expected = paired_difference(ours, theirs, range(len(kept)))
    assert row.compared == 5
    assert (row.gained, row.lost, row.delta) == (2, 1, 20)
    assert row.p_value == pytest.approx(expected.p_value, rel=1e-3)
    assert (row.delta_low, row.delta_high) == pytest.approx(
        (expected.low, expected.high), abs=0.005
    )


def test_the_row_of_all_items_leaves_the_same_items_out():
    base = run("BASE", {"x": [YES, NONE, NO], "y": [NO, NO]})
    other = run("A", {"x": [NO, YES, YES], "y": [NONE, YES]})
    row = cells(comparison_table([base, other], ["BASE"]), "A", "all items (micro average)")
    assert row.accuracy == 75
    assert (row.accuracy_low, row.accuracy_high) == pytest.approx(
        accuracy_interval([0, 1, 1, 1], range(4)), abs=0.005
    )
    assert (row.gained, row.lost, row.compared) == (2, 1, 3)


def test_where_nothing_is_judged_the_table_says_so():
    runs = [
        run("BASE", {"x": [YES, NONE]}),
        run("A", {"x": [NONE, YES]}),
        run("B", {"x": [NONE] * 2}),
    ]
    table = comparison_table(runs, ["BASE"])
    assert cells(table, "A", "x").note == NOT_JUDGED_IN_BOTH
    assert cells(table, "B", "x").note == NOT_JUDGED
    assert np.isnan(cells(table, "B", "x").accuracy)


def test_published_counts_are_compared_with_the_judged_items():
    published = {"A": {"x": (50, 100)}, "B": {"x": (50, 100)}}
    runs = [run("A", {"x": flags(8, 10) + [NONE] * 5}), run("B", {"x": flags(8, 10)})]
    table = comparison_table(runs, {"A": [], "B": []}, published=published)
    assert cells(table, "A", "x").p_value == cells(table, "B", "x").p_value
    assert cells(table, "A", "x").delta == 30


def test_studies_in_which_all_is_judged_have_no_further_columns():
    runs = [run("BASE", {"x": flags(3, 5)}), run("A", {"x": flags(4, 5)})]
    assert [*accuracy_table(runs, {"x": 60})][-1] == "accuracy_delta"
    assert [*comparison_table(runs, ["BASE"])][-1] == "holm_p"
    entry = {"of": "BASE", "metric": "x", "at_least": 0.9, "confidence": 0.95}
    assert [*retention_table(runs, [entry])][-1] == "point_verdict"


def gated(*credits):
    return gate([run("BASE", {"x": flags(60, 60)}), run("A", {"x": [*credits]})])


def test_a_gate_passes_only_if_it_would_whatever_the_unjudged_items_are():
    assert gated(*flags(60, 60)).verdict == "pass"
    row = gated(*flags(54, 54), *[NONE] * 6)
    assert (row.verdict, row.verdict_alone, row.point_verdict) == ("undecided", "undecided", "pass")
    assert (row.unjudged, row.retention) == (6, 1)
    few = gated(*flags(59, 59), NONE)
    assert (few.verdict, few.unjudged) == ("pass", 1)


def test_a_gate_fails_only_if_it_would_whatever_the_unjudged_items_are():
    assert gated(*flags(30, 60)).verdict == "fail"
    row = gated(*flags(30, 36), *[NONE] * 24)
    assert (row.verdict, row.point_verdict) == ("undecided", "fail")
    assert gated(*flags(10, 36), *[NONE] * 24).verdict == "fail"
    row = gated(*[NONE] * 60)
    assert row.verdict == "undecided" and np.isnan(row.retention)


def test_bounds_of_a_gate_are_those_of_the_extremes():
    base, other = flags(45, 50), [*flags(40, 46), *[NONE] * 4]
    runs = [run("BASE", {"x": base}), run("A", {"x": other})]
    row = gate(runs)
    worst = retained(paired(*runs, "x", (0.0, 1.0)), 0.9, 0.95, 0.25)
    best = retained(paired(*runs, "x", (1.0, 0.0)), 0.9, 0.95, 0.25)
    assert (row.lower, row.upper) == pytest.approx((worst.lower, best.upper), abs=1e-4)
    assert row.lower < row.retention < row.upper


def test_a_win_rate_counts_its_judged_items_too():
    made = run("A", {"x": [YES, NONE, NO]})
    scores = made.scores.assign(credit=[1.0, None, 0.5], status=["judged", "unjudged", "judged"])
    made = replace(made, scores=scores, measures={"x": Measure("win rate")})
    row = accuracy_table([made], {"x": 50}).iloc[0]
    assert (row.accuracy, row.accuracy_delta, row.unjudged) == (75, 25, 1)
    assert row.measure == "win rate"


def test_outcomes_count_them_apart_and_the_warning_has_reasons_and_bounds():
    made = run("A", {"x": [YES, NO, NONE, NONE]})
    scores = made.scores.assign(
        status=["judged", "judged", "unjudged", "unjudged"],
        finish_reason="eos",
        reason=["judged correct", "judged incorrect", "no verdict", "timed out"],
    )
    made = replace(made, scores=scores)
    row = outcome_table([made]).iloc[0]
    assert (row.correct, row.wrong, row.unjudged, row.total) == (1, 1, 2, 4)
    [said] = outcome_warnings([made])
    assert said == (
        "A: 2 of 4 replies could not be judged (1 x no verdict; 1 x timed out). Its values are of "
        "the judged ones, and its comparisons of items judged in both. If the others were all "
        "wrong, or all right, they would be: x 25 to 75 %."
    )

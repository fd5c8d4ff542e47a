"""The order of rows in every table and of lines in a chart's legend."""

import random

from lorascope.reporting.order import lines_in_order, ordered
from lorascope.reporting.outcomes import outcome_table
from lorascope.reporting.tables import accuracy_table, chart_points
from tests.support.pivots import compared
from tests.support.runs import flags, run

SCALINGS = ["SF--10", "SF--1", "SF--0.5", "SF-0", "SF-1e-05", "SF-0.5", "SF-2", "SF-10"]
ITEMS = {"x-multi": flags(1, 2), "x-single": flags(2, 2)}


def shuffled(names, **how):
    runs = [run(name, ITEMS, **how) for name in names]
    return random.Random(3).sample(runs, len(runs))


def names(table):
    return list(dict.fromkeys(table["experiment"]))


def test_the_baseline_is_first_and_others_are_in_the_order_of_their_numbers():
    runs = shuffled(SCALINGS)
    scored = ordered(runs, compared(runs, "SF-2"))
    expected = ["SF-2", *(name for name in SCALINGS if name != "SF-2")]
    assert [one.experiment for one in scored] == expected
    assert [one.is_baseline for one in scored] == [True] + [False] * 7
    assert names(accuracy_table(scored, {"x-multi": 1, "x-single": 1})) == expected
    with_endings = [one for one in scored if one.scores.insert(0, "status", "valid") is None]
    for one in with_endings:
        one.scores["finish_reason"] = "eos"
    assert names(outcome_table(with_endings)) == expected


def test_experiments_of_several_baselines_stand_below_their_own():
    runs = shuffled(["A-0", "A-10", "A-2", "B-0", "B-10", "B-2"])
    groups = [
        {"of": [f"{name}-{n}" for n in (0, 2, 10)], "experiments": [f"{name}-{first}"]}
        for name, first in (("B", 0), ("A", 10))
    ]
    found = [one.experiment for one in ordered(runs, groups)]
    assert found == ["A-10", "A-0", "A-2", "B-0", "B-2", "B-10"]


def test_runs_are_newest_first_but_for_the_one_that_is_the_baseline():
    runs = [
        run(f"{base}-{n}" if n else base, {"x": flags(1, 2)}, base=base, run_num=n)
        for base in ("A", "B")
        for n in (1, 0, 2)
    ]
    scored = ordered(runs, compared(runs, "B"))
    assert [one.experiment for one in scored] == ["B", "B-2", "B-1", "A-2", "A-1", "A"]
    assert [one.experiment for one in scored if one.is_baseline] == ["B"]
    table = accuracy_table(scored, {"x": 50}, newest_runs=2)
    assert table["experiment"].tolist() == ["B-2", "B-1", "A-2", "A-1"]


def test_lines_of_a_chart_are_in_the_order_of_their_names_below_the_baselines():
    series = {"Z": "no adapter", "A-2": "stride 10", "A-1": "stride 2", "B": "stride 0.5"}
    runs = [run(name, ITEMS, scaling=float(n)) for n, name in enumerate(series)]
    scored = ordered(runs, compared(runs, "Z"))
    expected = ["no adapter", "stride 0.5", "stride 2", "stride 10"]
    assert lines_in_order(scored, series) == expected
    points = chart_points(scored, series, swept=True)
    assert list(dict.fromkeys(points["series"])) == expected

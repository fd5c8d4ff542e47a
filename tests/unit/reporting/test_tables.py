"""The golden table is the published one of SALMONN-7B on SAKURA under LoRA scaling 0 to 3."""

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lorascope.errors import UserError
from lorascope.reporting.statistics import accuracy_interval, clopper_pearson
from lorascope.reporting.tables import (
    ACCURACY_COLUMNS,
    accuracy_table,
    baseline_accuracies,
    chart_points,
    markdown,
    write_csv,
)
from tests.support.runs import flags, run, text_run

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SALMONN_7B = {
    "animal-multi": 34.6,
    "animal-single": 68.2,
    "emotion-multi": 28.4,
    "emotion-single": 20.0,
    "gender-multi": 48.8,
    "gender-single": 60.0,
    "language-multi": 29.8,
    "language-single": 20.6,
}


def golden_runs():
    counts = {}
    for row in csv.DictReader(io.StringIO((GOLDEN / "sakura_table.csv").read_text())):
        of_run = counts.setdefault(row["experiment"], {})
        of_run[row["category"]] = flags(int(row["correct"]), int(row["total"]))
    return [run(experiment, correct) for experiment, correct in reversed(counts.items())]


def test_published_csv_cell_by_cell(tmp_path):
    write_csv(accuracy_table(golden_runs(), SALMONN_7B), tmp_path / "accuracy.csv")
    assert (tmp_path / "accuracy.csv").read_bytes() == (GOLDEN / "sakura_table.csv").read_bytes()


def test_published_markdown_line_by_line():
    lines = markdown(accuracy_table(golden_runs(), SALMONN_7B)).splitlines()
    assert lines == (GOLDEN / "sakura_table.md").read_text().splitlines()


def test_columns_and_their_order():
    table = accuracy_table([run("A", {"x-single": flags(1, 2)})], {"x-single": 50})
    assert tuple(table.columns) == ACCURACY_COLUMNS


def test_rows_are_sorted_by_base_category_and_run_descending():
    scores = {"b-single": flags(1, 2), "a-single": flags(1, 2)}
    runs = [
        run("SF-2", scores),
        run("SF-10-1", scores, base="SF-10", run_num=1),
        run("SF-10", scores),
    ]
    table = accuracy_table(runs, {"a-single": 0, "b-single": 0})
    assert list(zip(table["base"], table["category"], table["run_num"], strict=True)) == [
        ("SF-2", "a-single", 0),
        ("SF-2", "b-single", 0),
        ("SF-10", "a-single", 1),
        ("SF-10", "a-single", 0),
        ("SF-10", "b-single", 1),
        ("SF-10", "b-single", 0),
    ]


def test_only_the_newest_three_runs_meant_for_the_table_are_shown():
    scores = {"x": flags(1, 2)}
    runs = [run(f"A-{n}", scores, base="A", run_num=n) for n in (2, 11, 0, 4, 1)]
    runs += [run("chart-only", scores, in_table=False), run("B", scores)]
    table = accuracy_table(runs, {"x": 50})
    assert list(table["run_num"]) == [11, 4, 2, 0]
    assert list(accuracy_table(runs, {"x": 50}, newest_runs=1)["run_num"]) == [11, 0]


def test_unjudged_items_are_in_the_total_and_neither_correct_nor_incorrect():
    row = accuracy_table([run("A", {"x": [True, None, False, None]})], {"x": 20}).iloc[0]
    assert (row.correct, row.incorrect, row.total) == (1, 1, 4)
    assert (row.accuracy, row.accuracy_delta) == (50, 30)
    assert (row.unjudged, row.accuracy_if_wrong, row.accuracy_if_right) == (2, 25, 75)


def test_a_category_without_a_correct_answer_stays():
    table = accuracy_table([run("A", {"x": [False] * 3})], {"x": 25})
    row = table.iloc[0]
    assert (row.correct, row.total, row.accuracy, row.accuracy_delta) == (0, 3, 0, -25)
    assert "unjudged" not in table


def test_a_category_in_which_nothing_is_judged_stays_and_has_no_value():
    row = accuracy_table([run("A", {"x": [None] * 3})], {"x": 25}).iloc[0]
    assert (row.correct, row.incorrect, row.total, row.unjudged) == (0, 0, 3, 3)
    assert math.isnan(row.accuracy) and math.isnan(row.accuracy_delta)
    assert (row.accuracy_if_wrong, row.accuracy_if_right) == (0, 100)


def test_deltas_are_free_of_float_noise():
    for correct in range(0, 501, 3):
        row = accuracy_table([run("A", {"x": flags(correct, 500)})], {"x": 34.6}).iloc[0]
        assert str(row.accuracy) == str(correct * 2 / 10)
        assert str(row.accuracy_delta) == str((correct * 2 - 346) / 10)


def test_accuracy_is_the_quotient_to_the_last_digit_and_the_delta_is_rounded():
    row = accuracy_table([run("A", {"x": flags(913, 2067)})], {"x": 44}).iloc[0]
    assert (row.accuracy, row.accuracy_delta) == (44.17029511369134, 0.1703)


def test_a_baseline_experiment_has_delta_zero_even_at_thirds():
    runs = [
        run("A", {"x": flags(2, 3)}),
        run("base-1", {"x": flags(3, 3)}, base="base", run_num=1),
        run("base", {"x": flags(1, 3)}),
    ]
    table = accuracy_table(runs, baseline_accuracies(runs, ["base"])).set_index("experiment")
    assert table["accuracy_delta"].to_dict() == {"A": 33.3333, "base": 0, "base-1": 66.6667}
    assert str(table["accuracy_delta"]["base"]) == "0.0"


def test_a_baseline_without_a_category_is_refused():
    with pytest.raises(UserError, match=r"'baseline'.*'y'.*experiment B"):
        accuracy_table([run("A", {"x": [True]}), run("B", {"y": [True]})], {"x": 1})


def test_an_unknown_baseline_experiment_is_refused():
    with pytest.raises(UserError, match=r"'baseline'.*'Z'"):
        baseline_accuracies([run("A", {"x": [True]})], ["Z"])


def test_fractional_metrics_stand_beside_counts(tmp_path):
    runs = [text_run("A", [1, 2 / 3, 1 / 3, 0], [1, 0, 0, 0])]
    write_csv(accuracy_table(runs, {"squad-f1": 50.1, "squad-em": 20}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1:] == [
        "A,A,0,squad-em,1,3,4,25.0,5.0",
        "A,A,0,squad-f1,2,2,4,50.0,-0.1",
    ]
    runs = [text_run("A", [0.123456, 0.5], [1, 0])]
    write_csv(accuracy_table(runs, {"squad-f1": 0, "squad-em": 50}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1:] == [
        "A,A,0,squad-em,1,1,2,50.0,0.0",
        "A,A,0,squad-f1,0.6235,1.3765,2,31.1728,31.1728",
    ]


def test_sums_of_thirds_are_free_of_float_noise():
    for order in ([1 / 3] * 3, [2 / 3, 1 / 3], [0.1] * 10, [0.7, 0.1, 0.2]):
        row = accuracy_table([text_run("A", order, order)], {"squad-f1": 0, "squad-em": 0}).iloc[1]
        assert (row.correct, row.accuracy) == (1, 100 / len(order))


def test_exact_matches_of_the_published_run_have_all_their_digits():
    em = flags(913, 2067)
    row = accuracy_table([text_run("A", em, em)], {"squad-f1": 0, "squad-em": 0}).iloc[0]
    assert (row.correct, row.total, repr(float(row.accuracy))) == (913, 2067, "44.17029511369134")


def test_markdown_of_fractions_is_aligned_and_short():
    f1 = [0.123456789] * 2067
    lines = markdown(
        accuracy_table([text_run("A", f1, flags(913, 2067))], {"squad-f1": 59.9, "squad-em": 44})
    ).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0][4:] == ["913", "1154", "2067", "44.1703", "0.1703"]
    assert cells[1][4:] == ["255.1852", "1811.8148", "2067", "12.3457", "-47.5543"]
    assert len({len(line) for line in lines}) == 1


def test_several_baselines_are_each_that_of_their_categories():
    runs = [run("X", {"x": flags(1, 4)}), run("Y", {"y": flags(2, 4)})]
    runs += [run("A", {"x": flags(2, 4), "y": flags(2, 4)})]
    table = accuracy_table(runs, baseline_accuracies(runs, ["X", "Y"]))
    deltas = {(row.experiment, row.category): row.accuracy_delta for row in table.itertuples()}
    assert deltas == {("A", "x"): 25, ("A", "y"): 0, ("X", "x"): 0, ("Y", "y"): 0}


def test_two_baselines_of_one_category_are_refused():
    runs = [run("X", {"x": [True], "y": [True]}), run("Y", {"y": [True]})]
    with pytest.raises(UserError, match=r"'baseline': X and Y both have category 'y'"):
        baseline_accuracies(runs, ["X", "Y"])


def test_nothing_to_show_is_a_table_without_rows(tmp_path):
    table = accuracy_table([run("A", {"x": [True]}, in_table=False)], {"x": 1})
    write_csv(table, tmp_path / "accuracy.csv")
    assert (tmp_path / "accuracy.csv").read_text() == ",".join(ACCURACY_COLUMNS) + "\n"
    assert len(markdown(table).splitlines()) == 2


def test_markdown_does_not_take_an_id_for_a_number():
    text = markdown(accuracy_table([run("007", {"1e3": [True]})], {"1e3": 1}))
    assert "| 007 " in text
    assert "| 1e3 " in text


def points_of(runs, swept=True):
    series = {one.experiment: "" for one in runs}
    return chart_points(runs, series, swept)


def test_chart_points_are_the_series_at_its_scalings_whether_the_table_shows_them_or_not():
    runs = [
        run("A", {"x": flags(3, 4), "y": [None]}, scaling=2.0),
        run("B", {"x": flags(1, 4)}, in_table=False, scaling=8.0),
    ]
    points = points_of(runs)
    assert points[["experiment", "runs", "lora_scaling", "category"]].to_numpy().tolist() == [
        ["A", 1, 2.0, "x"],
        ["A", 1, 2.0, "y"],
        ["B", 1, 8.0, "x"],
    ]
    drawn = points[["accuracy", "low", "high"]].to_numpy()
    assert drawn[0].tolist() == [75, *clopper_pearson(3, 4)]
    assert np.isnan(drawn[1]).all()
    assert drawn[2].tolist() == [25, *clopper_pearson(1, 4)]


@pytest.mark.parametrize("swept", [True, False])
def test_runs_of_the_same_items_are_one_point_with_the_interval_of_their_mean(swept):
    first, second, third = flags(30, 40), flags(20, 40)[::-1], flags(0, 40)
    runs = [
        run(f"A-{n}", {"x-multi": credits}, base="A", run_num=n)
        for n, credits in enumerate((first, second, third))
    ]
    (point,) = points_of(runs, swept).itertuples()
    mean = [(int(a) + int(b)) / 3 for a, b in zip(first, second, strict=True)]
    assert (point.experiment, point.runs) == ("A", 3)
    assert point.accuracy == pytest.approx(100 * 50 / 120)
    assert (point.low, point.high) == pytest.approx(accuracy_interval(mean, range(40)))
    ends = [
        accuracy_interval([bool(flag) for flag in one], range(40)) for one in (first, second, third)
    ]
    averaged = np.mean(ends, axis=0)  # which is the interval of nothing
    assert abs(point.low - averaged[0]) > 1
    assert abs(point.high - averaged[1]) > 1


def test_runs_of_an_item_that_are_unjudged_leave_its_mean_to_the_others():
    runs = [
        run(f"A-{n}", {"x": credits}, base="A", run_num=n)
        for n, credits in enumerate(
            ([True, None, False, None], [False, True, None, None], [None] * 4)
        )
    ]
    (point,) = points_of(runs).itertuples()
    assert point.accuracy == pytest.approx(100 * (0.5 + 1 + 0) / 3)
    assert (point.low, point.high) == pytest.approx(accuracy_interval([0.5, 1, 0], range(3)))


def test_equal_runs_make_no_interval_narrower():
    scores = {"x": flags(30, 40)}
    runs = [run(f"A-{n}", scores, base="A", run_num=n) for n in range(3)]
    (point,) = points_of(runs).itertuples()
    assert (point.accuracy, point.low, point.high) == (75, *clopper_pearson(30, 40))


def test_runs_in_another_order_and_about_shared_clips_pool_by_item():
    shared = [f"c{i // 2}" for i in range(12)]
    a = text_run("A", [0.5, 0.25, 1, 0] * 3, flags(6, 12), shared)
    b = text_run("B", [1, 0.75, 1, 0] * 3, flags(9, 12), shared)
    b = replace(b, base="A", scores=b.scores.sample(frac=1, random_state=1))
    points = points_of([a, b]).set_index("category")
    mean = [0.75, 0.5, 1, 0] * 3
    row = points.loc["squad-f1"]
    assert row.accuracy == pytest.approx(56.25)
    assert (row.low, row.high) == pytest.approx(accuracy_interval(mean, shared))


def test_chart_points_of_fractions_and_of_shared_passages_have_clustered_intervals():
    shared = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    f1, em = [0.5, 0.25, 1, 0] * 3, flags(6, 12)
    points = points_of([text_run("A", f1, em, shared), text_run("B", f1, em)], swept=False)
    ends = list(zip(points["low"], points["high"], strict=True))
    assert ends == [
        accuracy_interval(em, shared),
        accuracy_interval(f1, shared),
        clopper_pearson(6, 12),
        accuracy_interval(f1, range(12)),
    ]

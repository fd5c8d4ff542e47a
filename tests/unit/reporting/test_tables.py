"""The golden table is the published one of SALMONN-7B on SAKURA under LoRA scaling 0 to 3."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from lorascope.errors import UserError
from lorascope.reporting.comparison import comparison_table
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import (
    ACCURACY_COLUMNS,
    accuracy_table,
    baseline_accuracies,
    chart_points,
    markdown,
    write_csv,
)
from lorascope.statistics import wilson

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


def run(experiment, correct, base=None, run_num=0, in_table=True, scaling=1.0):
    """Build a Scored from {category: flags}; flag i of a category is about clip <track><i>."""
    rows = [
        {
            "item_id": f"{category}/clip{i}",
            "category": category,
            "clip": f"{category.split('-')[0]}/clip{i}.wav",
            "options": 4,
            "credit": None if flag is None else float(flag),
        }
        for category, flags in correct.items()
        for i, flag in enumerate(flags)
    ]
    scores = pd.DataFrame(rows)
    return Scored(experiment, base or experiment, run_num, scaling, in_table, "clips", scores)


def flags(correct, total):
    return [True] * correct + [False] * (total - correct)


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
        ("SF-10", "a-single", 1),
        ("SF-10", "a-single", 0),
        ("SF-10", "b-single", 1),
        ("SF-10", "b-single", 0),
        ("SF-2", "a-single", 0),
        ("SF-2", "b-single", 0),
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
    assert (row.accuracy, row.accuracy_delta) == (25, 5)


@pytest.mark.parametrize("flag", [False, None])
def test_a_category_without_a_correct_answer_stays(flag):
    row = accuracy_table([run("A", {"x": [flag] * 3})], {"x": 25}).iloc[0]
    assert (row.correct, row.total, row.accuracy, row.accuracy_delta) == (0, 3, 0, -25)


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


def test_nothing_to_show_is_a_table_without_rows(tmp_path):
    table = accuracy_table([run("A", {"x": [True]}, in_table=False)], {"x": 1})
    write_csv(table, tmp_path / "accuracy.csv")
    assert (tmp_path / "accuracy.csv").read_text() == ",".join(ACCURACY_COLUMNS) + "\n"
    assert len(markdown(table).splitlines()) == 2


def test_markdown_does_not_take_an_id_for_a_number():
    text = markdown(accuracy_table([run("007", {"1e3": [True]})], {"1e3": 1}))
    assert "| 007 " in text
    assert "| 1e3 " in text


def test_comparison_pairs_items_whatever_their_order():
    base = run("base", {"x": [True, True, False, False], "y": [True] * 4})
    other = run("A", {"x": [True, False, True, True], "y": [True, None, False, True]})
    shuffled = other.scores.sample(frac=1, random_state=3)
    other = Scored("A", "A", 0, 1.0, True, "clips", shuffled)
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    row = table.loc["A", "x"]
    assert (row.accuracy, row.delta, row.gained, row.lost) == (75, 25, 2, 1)
    assert (row.accuracy_low, row.accuracy_high) == pytest.approx(wilson(3, 4), abs=0.005)
    assert (row.mcnemar_p, row.holm_p) == (1, 1)
    assert row.delta_low < 25 < row.delta_high
    assert (table.loc["A", "y"].delta, table.loc["A", "y"].lost) == (-50, 2)


def test_comparison_over_all_items_has_no_p_value_and_the_baseline_no_paired_cells():
    base = run("base", {"x-multi": [True] * 4, "x-single": [False] * 4})
    other = run("A", {"x-multi": [True] * 4, "x-single": [True] * 4})
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    pooled = table.loc["A", "all"]
    assert (pooled.accuracy, pooled.delta, pooled.gained, pooled.lost) == (100, 50, 4, 0)
    assert pd.isna(pooled.mcnemar_p)
    assert pd.isna(pooled.holm_p)
    assert (
        table.loc["base"]
        .drop(columns=["accuracy", "accuracy_low", "accuracy_high"])
        .isna()
        .all(axis=None)
    )


def test_comparison_clusters_by_clip_and_takes_an_item_without_one_as_its_own():
    shared = run("A", {"x-multi": flags(20, 40), "x-single": flags(20, 40)})
    widths = []
    for clip in (shared.scores["clip"], "", None):
        alike = Scored("A", "A", 0, 1.0, True, "clips", shared.scores.assign(clip=clip))
        row = comparison_table([alike], []).set_index("category").loc["all"]
        widths.append(row.accuracy_high - row.accuracy_low)
    assert widths[0] > 1.25 * widths[1]
    assert widths[1] == widths[2] > 0


def test_comparison_adjusts_over_the_whole_table():
    base = run("base", {"x": flags(0, 10)})
    runs = [base, run("A", {"x": flags(6, 10)}), run("B", {"x": flags(7, 10)})]
    table = comparison_table(runs, ["base"]).set_index("experiment")
    assert table["mcnemar_p"].to_dict() == pytest.approx(
        {"A": 0.03125, "B": 0.01562, "base": float("nan")}, nan_ok=True
    )
    assert table["holm_p"].to_dict() == pytest.approx(
        {"A": 0.03125, "B": 0.03125, "base": float("nan")}, nan_ok=True
    )


def test_comparison_with_a_published_baseline_ends_after_the_interval(tmp_path):
    table = comparison_table([run("A", {"x": flags(3, 4)})], [])
    write_csv(table, tmp_path / "comparison.csv")
    assert (tmp_path / "comparison.csv").read_text() == (
        "experiment,category,accuracy,accuracy_low,accuracy_high\nA,x,75.0,30.06,95.44\n"
    )


@pytest.mark.parametrize("items", [3, 5])
def test_comparison_refuses_other_items(items):
    runs = [run("base", {"x": flags(1, 4)}), run("A", {"x": flags(1, items)})]
    with pytest.raises(UserError, match=r"A and the baseline base .*x/clip[34]"):
        comparison_table(runs, ["base"])


def test_comparison_leaves_empty_cells_empty():
    base = run("base", {"x": flags(1, 4)})
    lines = markdown(comparison_table([base, run("A", {"x": flags(3, 4)})], ["base"])).splitlines()
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert cells == ["base", "x", "25", "4.56", "69.94"] + [""] * 7


def test_chart_points_hold_every_run_with_its_interval():
    runs = [
        run("A", {"x": flags(3, 4), "y": [None]}, scaling=2.0),
        run("A-1", {"x": flags(1, 4)}, base="A", run_num=1, in_table=False, scaling=8.0),
    ]
    points = chart_points(runs)
    assert points[["experiment", "run_num", "lora_scaling", "category"]].to_numpy().tolist() == [
        ["A", 0, 2.0, "x"],
        ["A", 0, 2.0, "y"],
        ["A-1", 1, 8.0, "x"],
    ]
    assert points["accuracy"].tolist() == [75, 0, 25]
    assert list(zip(points["low"], points["high"], strict=True)) == [
        wilson(3, 4),
        wilson(0, 1),
        wilson(1, 4),
    ]

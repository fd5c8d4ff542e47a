from dataclasses import replace

import pandas as pd
import pytest

from lorascope.errors import UserError
from lorascope.reporting.comparison import ALL_ITEMS, comparison_table
from lorascope.reporting.statistics import clustered_interval, wilson
from lorascope.reporting.tables import markdown, write_csv
from tests.support.runs import flags, run, text_run


def test_comparison_pairs_items_whatever_their_order():
    base = run("base", {"x": [True, True, False, False], "y": [True] * 4})
    other = run("A", {"x": [True, False, True, True], "y": [True, None, False, True]})
    shuffled = other.scores.sample(frac=1, random_state=3)
    other = replace(other, scores=shuffled)
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
    pooled = table.loc["A", ALL_ITEMS]
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
        alike = replace(shared, scores=shared.scores.assign(clip=clip))
        row = comparison_table([alike], []).set_index("category").loc[ALL_ITEMS]
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


def test_comparison_of_fractional_credits_has_no_mcnemar_and_no_row_over_all_metrics():
    base = text_run("base", [1, 0.5, 0.5, 0], [1, 0, 0, 0])
    other = text_run("A", [1, 0.75, 1, 0], [1, 0, 1, 0])
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    assert len(table) == 4
    f1, em = table.loc["A", "squad-f1"], table.loc["A", "squad-em"]
    assert (f1.delta, f1.gained, f1.lost) == (18.75, 2, 0)
    assert (em.delta, em.gained, em.lost, em.mcnemar_p) == (25, 1, 0, 1)
    assert pd.isna(f1.mcnemar_p)
    assert pd.isna(f1.holm_p)
    low, high = clustered_interval([0, 0.25, 0.5, 0], range(4))
    assert (f1.delta_low, f1.delta_high) == (round(low, 2), round(high, 2))
    low, high = clustered_interval([1, 0.75, 1, 0], range(4))
    assert (f1.accuracy_low, f1.accuracy_high) == (round(low, 2), round(high, 2))


def test_items_that_share_passages_within_a_category_have_no_mcnemar():
    em, passages = flags(10, 20), ["a", "b", "c", "d"] * 5
    base = text_run("base", em, em, passages)
    other = text_run("A", em, em[::-1], passages)
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    row = table.loc["A", "squad-em"]
    assert (row.gained, row.lost) == (10, 10)
    assert table["mcnemar_p"].isna().all()
    clustered = [round(end, 2) for end in clustered_interval(em[::-1], passages)]
    assert [row.accuracy_low, row.accuracy_high] == clustered
    assert clustered != [round(end, 2) for end in wilson(10, 20)]


def test_each_run_is_paired_with_the_baseline_of_its_categories():
    runs = [run("X", {"x": flags(1, 4)}), run("Y", {"y": flags(2, 4)})]
    runs += [run("A", {"x": flags(3, 4)}), run("B", {"y": flags(2, 4)})]
    table = comparison_table(runs, ["X", "Y"]).set_index("experiment")
    assert table["delta"].to_dict() == pytest.approx(
        {"A": 50, "B": 0, "X": float("nan"), "Y": float("nan")}, nan_ok=True
    )


def test_a_category_without_a_baseline_is_refused():
    with pytest.raises(UserError, match=r"'baseline'.*'y'.*experiment A"):
        comparison_table([run("X", {"x": [True]}), run("A", {"y": [True]})], ["X"])

from dataclasses import replace

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from lorascope.errors import UserError
from lorascope.reporting.comparison import ALL_ITEMS, _rounded_end, comparison_table
from lorascope.reporting.statistics import accuracy_interval, clopper_pearson, paired_difference
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
    assert (row.accuracy_low, row.accuracy_high) == pytest.approx(clopper_pearson(3, 4), abs=0.005)
    assert (row.p_value, row.holm_p) == (1, 1)
    assert row.delta_low < 25 < row.delta_high
    row = table.loc["A", "y"]
    assert (row.delta, row.lost, row.compared) == (-33.3333, 1, 3)


def test_comparison_over_all_items_and_the_baseline_without_paired_cells():
    base = run("base", {"x-multi": [True] * 4, "x-single": [False] * 4})
    other = run("A", {"x-multi": [True] * 4, "x-single": [True] * 4})
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    pooled = table.loc["A", ALL_ITEMS]
    assert (pooled.accuracy, pooled.delta, pooled.gained, pooled.lost) == (100, 50, 4, 0)
    # each of four clips gained one of two questions; another one might lose both
    assert pooled.p_value == pytest.approx(2 * (2 / 3) ** 4, abs=1e-4)
    assert pooled.delta_low < 0 < 50 < pooled.delta_high
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
    assert table["p_value"].to_dict() == pytest.approx(
        {"A": 0.03125, "B": 0.01562, "base": float("nan")}, nan_ok=True
    )
    assert table["holm_p"].to_dict() == pytest.approx(
        {"A": 0.03125, "B": 0.03125, "base": float("nan")}, nan_ok=True
    )


def test_comparison_with_a_published_baseline_ends_after_the_interval(tmp_path):
    table = comparison_table([run("A", {"x": flags(3, 4)})], [])
    write_csv(table, tmp_path / "comparison.csv")
    assert (tmp_path / "comparison.csv").read_text() == (
        "experiment,category,accuracy,accuracy_low,accuracy_high\nA,x,75.0,19.41,99.37\n"
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
    assert cells == ["base", "x", "25", "0.63", "80.59"] + [""] * 7


def test_comparison_of_fractional_credits_has_no_row_over_all_metrics():
    base = text_run("base", [1, 0.5, 0.5, 0], [1, 0, 0, 0])
    other = text_run("A", [1, 0.75, 1, 0], [1, 0, 1, 0])
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    assert len(table) == 4
    f1, em = table.loc["A", "squad-f1"], table.loc["A", "squad-em"]
    assert (f1.delta, f1.gained, f1.lost) == (18.75, 2, 0)
    assert (em.delta, em.gained, em.lost, em.p_value) == (25, 1, 0, 1)
    found = paired_difference([1, 0.75, 1, 0], [1, 0.5, 0.5, 0], range(4))
    assert (f1.delta_low, f1.delta_high) == (round(found.low, 2), round(found.high, 2))
    assert f1.p_value == pytest.approx(found.p_value, abs=1e-3)
    low, high = accuracy_interval([1, 0.75, 1, 0], range(4))
    assert (f1.accuracy_low, f1.accuracy_high) == (round(low, 2), round(high, 2))


def test_items_that_share_passages_within_a_category_are_clustered():
    em, passages = flags(10, 20), ["a", "b", "c", "d"] * 5
    base = text_run("base", em, em, passages)
    other = text_run("A", em, em[::-1], passages)
    table = comparison_table([base, other], ["base"]).set_index(["experiment", "category"])
    row = table.loc["A", "squad-em"]
    assert (row.gained, row.lost) == (10, 10)
    clustered = [round(end, 2) for end in accuracy_interval(em[::-1], passages)]
    assert [row.accuracy_low, row.accuracy_high] == clustered
    assert clustered != [round(end, 2) for end in clopper_pearson(10, 20)]


def test_no_row_of_a_table_contradicts_itself():
    base = run("base", {"x-multi": flags(30, 40), "x-single": flags(30, 40)})
    others = [
        run(f"A{right}", {"x-multi": flags(right, 40), "x-single": flags(right + 4, 40)})
        for right in range(18, 31)
    ]
    table = comparison_table([base, *others], ["base"]).dropna(subset="p_value")
    excludes = (table["delta_low"] > 0) | (table["delta_high"] < 0)
    assert (excludes == (table["p_value"] < 0.05)).all()
    assert 0 < excludes.sum() < len(table)
    assert (table["holm_p"] >= table["p_value"]).all()


def test_an_end_close_to_0_is_not_rounded_to_it():
    """0.003 points above 0 and p = .0499 would read as a contradiction."""
    assert [_rounded_end(end) for end in (0.0, 0.0031, -0.0009, 1.234)] == [0, 0.003, -0.0009, 1.23]


def test_rows_that_are_not_shown_belong_to_the_family_all_the_same():
    base = run("base", {"x": flags(0, 10)})
    runs = [base, run("A", {"x": flags(6, 10)}), run("B", {"x": flags(7, 10)})]
    whole = comparison_table(runs, ["base"]).set_index("experiment").loc["B"]
    assert whole.holm_p == pytest.approx(2 * whole.p_value, rel=1e-3)
    hidden = [replace(one, in_table=one.experiment == "B") for one in runs]
    table = comparison_table(hidden, ["base"])
    assert table["experiment"].tolist() == ["B"]
    assert table.iloc[0].holm_p == whole.holm_p
    older = [*runs, *(run(f"B-{n}", {"x": flags(7, 10)}, base="B", run_num=n) for n in (1, 2))]
    all_runs, newest = (
        comparison_table(older, ["base"], n).set_index("experiment") for n in (3, 1)
    )
    assert len(all_runs) == len(newest) + 2
    assert newest.loc["B-2"].holm_p == all_runs.loc["B-2"].holm_p > whole.holm_p


def test_what_only_charts_show_and_cannot_be_compared_is_no_comparison():
    base, shown = run("base", {"x": flags(0, 10)}), run("A", {"x": flags(6, 10)})
    others = [
        run("longer", {"x": flags(6, 11)}, in_table=False),
        run("other", {"y": flags(6, 10)}, in_table=False),
    ]
    row = comparison_table([base, shown, *others], ["base"]).iloc[0]
    assert row.holm_p == row.p_value == 0.03125


def test_a_published_baseline_with_counts_is_compared_with():
    runs = [run("A", {"x": flags(30, 40), "y": flags(30, 40)}), run("B", {"x": flags(36, 40)})]
    table = comparison_table(runs, [], published={name: {"x": (200, 400)} for name in "AB"})
    table = table.set_index(["experiment", "category"])
    row = table.loc["A", "x"]
    low, high = confint_proportions_2indep(30, 40, 200, 400, method="newcomb")
    assert row.delta == 25
    assert (row.delta_low, row.delta_high) == (round(100 * low, 2), round(100 * high, 2))
    assert row[["gained", "lost"]].isna().all()
    assert row.p_value == row.holm_p  # the larger of two p-values
    assert table.loc["B", "x"].holm_p == pytest.approx(2 * table.loc["B", "x"].p_value, rel=1e-3)
    for place in (("A", "y"), ("A", ALL_ITEMS)):
        assert table.loc[place, "delta":].isna().all()


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

"""Mean and standard deviation over the runs of an experiment, held against numpy's."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lorascope.reporting.columns import with_settings
from lorascope.reporting.comparison import COMPARED_COLUMNS, comparison_table
from lorascope.reporting.means import (
    MEAN_COLUMNS,
    accuracies_with_means,
    intervals_with_means,
    mean_over,
)
from lorascope.reporting.order import ordered
from lorascope.reporting.statistics import accuracy_interval
from lorascope.reporting.tables import accuracy_table, write_csv
from tests.support.pivots import compared
from tests.support.runs import TOKENS, flags, measured_run, run

RIGHT = (30, 24, 27, 33, 18)


def sampled():
    """Return five runs of A, and the baseline."""
    runs = [
        run(f"A-{n}" if n else "A", {"x": flags(right, 40)}, base="A", run_num=n)
        for n, right in enumerate(RIGHT)
    ]
    runs.append(run("BASE", {"x": flags(20, 40)}))
    return ordered(runs, compared(runs, "BASE"))


def accuracies(runs, newest=3):
    table = with_settings(accuracy_table(runs, {"x": 50}, newest), runs)
    return accuracies_with_means(table, runs, {"x": 50})


def test_the_mean_is_over_all_runs_and_stands_below_those_that_are_shown():
    table = accuracies(sampled())
    assert table["experiment"].tolist() == ["BASE", "A-4", "A-3", "A-2", "A (mean of 5 runs)"]
    mean, values = table.iloc[-1], 100 * np.array(RIGHT) / 40
    assert mean.accuracy == pytest.approx(values.mean(), rel=1e-15)
    assert mean["std"] == pytest.approx(values.std(ddof=1), rel=1e-15)
    assert (mean.runs, mean.accuracy_delta, mean.total, mean.n) == (5, 16.0, 40, 40)
    assert mean[["run_num", "correct", "incorrect"]].isna().all()
    assert not mean.is_baseline
    assert table["runs"].tolist() == [1, 1, 1, 1, 5]
    assert table["std"].iloc[:-1].isna().all()


def test_rows_of_runs_are_written_as_they_are_without_a_mean(tmp_path):
    runs = sampled()
    write_csv(accuracies(runs), tmp_path / "means.csv")
    write_csv(accuracy_table(runs, {"x": 50}), tmp_path / "runs.csv")
    means, before = (
        (tmp_path / name).read_text().splitlines() for name in ("means.csv", "runs.csv")
    )
    assert [line.startswith(old) for line, old in zip(means, before, strict=False)] == [True] * 5
    assert means[-1].startswith("A (mean of 5 runs),A,,x,,,40,66.0,16.0,False,")


def test_one_run_has_no_deviation_and_no_row_of_its_own():
    table = accuracies([run("A", {"x": flags(1, 3)})])
    assert tuple(table)[-2:] == MEAN_COLUMNS
    assert len(table) == 1
    assert table["std"].isna().all()


def test_equal_runs_deviate_by_nothing_at_all():
    same = [run(f"A-{n}", {"x": flags(1, 3)}, base="A", run_num=n) for n in range(3)]
    found = mean_over(same, "x")
    assert (found.value, found.std) == (same[0].measured["x"].value, 0)


def test_the_interval_of_a_mean_is_that_of_the_charts():
    runs = sampled()
    table = intervals_with_means(comparison_table(runs, ["BASE"]), runs)
    mean = table.set_index("experiment").loc["A (mean of 5 runs)"]
    credits = np.mean([[float(flag) for flag in flags(right, 40)] for right in RIGHT], axis=0)
    low, high = accuracy_interval(credits, range(40))
    assert (mean.accuracy, mean.accuracy_low, mean.accuracy_high) == (
        *(66.0, round(low, 2)),
        round(high, 2),
    )
    assert mean[list(COMPARED_COLUMNS)].isna().all()
    before = comparison_table(runs, ["BASE"])
    after = table[table["runs"] == 1][[*before]].reset_index(drop=True)
    assert (
        after.astype(object)
        .where(after.notna(), None)
        .equals(before.astype(object).where(before.notna(), None))
    )


def test_the_mean_of_perplexities_has_no_interval_of_another_mean():
    runs = [
        replace(
            measured_run(f"A-{n}", {"ppl": TOKENS}, {"ppl": [(nats, 1)] * 9}), base="A", run_num=n
        )
        for n, nats in enumerate((1.0, 2.0))
    ]
    table = intervals_with_means(comparison_table(runs, []), runs)
    mean, values = table.iloc[-1], np.exp([1.0, 2.0])
    assert mean.accuracy == pytest.approx(values.mean())
    assert mean["std"] == pytest.approx(values.std(ddof=1))
    assert math.isnan(mean.accuracy_low)


def test_a_run_without_a_value_leaves_the_mean_without_one():
    items = [(1.0, 1.0)] * 4
    runs = [
        replace(measured_run(f"A-{n}", {"ppl": TOKENS}, {"ppl": own}), base="A", run_num=n)
        for n, own in enumerate((items, [*items[1:], (None, 1.0)]))
    ]
    found = mean_over(runs, "ppl")
    assert math.isnan(found.value)
    assert math.isnan(found.std)
    assert found.runs == 2


def test_unjudged_items_are_counted_by_n_and_no_settings_are_made_up():
    runs = [run("A", {"x": [True, None, False, None]}, scaling=math.nan)]
    (row,) = with_settings(accuracy_table(runs, {"x": 50}), runs).to_dict("records")
    assert (row["n"], row["total"], row["adapter"]) == (2, 4, None)
    assert math.isnan(row["lora_scaling"])

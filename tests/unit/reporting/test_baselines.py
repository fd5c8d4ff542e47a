"""What runs are compared with: published counts, and baselines that are missing."""

from fractions import Fraction

import pytest

from lorascope.errors import UserError
from lorascope.reporting.baselines import levels_of, published_counts, values_of
from lorascope.reporting.comparison import comparison_table
from lorascope.reporting.tables import accuracy_table
from tests.support.runs import flags, run


def published(**accuracies: object) -> list[dict]:
    table = {"accuracies": accuracies, "scorer": None, "reproduction": None}
    return [{"of": ["A"], "model": None, "experiments": [], "published": table}]


def test_published_counts_are_exact_accuracies_and_percents_the_decimals_they_are_written_as():
    runs = [run("A", {"x": flags(1, 3), "y": flags(1, 2)})]
    compared = published(x={"correct": 2, "total": 3}, y=34.6)
    levels = levels_of(runs, compared)
    assert levels["A"]["x"].value == Fraction(200, 3)
    assert accuracy_table(runs, values_of(levels))["accuracy_delta"].tolist() == [-33.3333, 15.4]
    assert published_counts(compared) == {"A": {"x": (2, 3)}}


def test_a_published_baseline_with_counts_is_tested_where_it_has_them():
    runs = [run("A", {"x": flags(20, 40), "y": flags(20, 40)})]
    counts = published_counts(published(x={"correct": 360, "total": 400}, y=90.0))
    table = comparison_table(runs, [], published=counts).set_index("category")
    assert table.loc["x", "delta"] == -40
    assert table.loc["x", "delta_high"] < 0
    assert table.loc["x", "p_value"] < 0.001
    assert table.loc["y", ["delta", "p_value", "holm_p"]].isna().all()


def test_only_a_partial_report_leaves_out_what_has_no_baseline():
    runs = [run("base", {"x": flags(1, 4)}), run("A", {"x": flags(3, 4), "y": flags(1, 2)})]
    with pytest.raises(UserError, match="no accuracy for category 'y'"):
        accuracy_table(runs, {"x": 25.0})
    with pytest.raises(UserError, match="no accuracy for category 'y'"):
        comparison_table(runs, ["base"])
    table = accuracy_table(runs, {"x": 25.0}, partial=True).set_index(["base", "category"])
    assert table.loc[("A", "x"), "accuracy_delta"] == 50
    assert table["accuracy_delta"].isna().sum() == 1
    compared = comparison_table(runs, ["base"], partial=True).set_index(["experiment", "category"])
    assert compared.loc[("A", "x"), "delta"] == 50
    assert compared.loc["A"]["delta"].isna().sum() == 2

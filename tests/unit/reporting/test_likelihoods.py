"""Margins and calibration of options chosen by their likelihoods, by hand."""

import math

import pytest

from lorascope.reporting.likelihoods import likelihood_section, likelihood_table
from tests.support.runs import measured_run, run


def chosen(margins, probabilities, credits):
    found = measured_run("A", {}, {"qa": [(credit, 1) for credit in credits]})
    found.scores["margin"] = margins
    found.scores["probability"] = probabilities
    return found


def test_margins_near_ties_and_calibration():
    """Bins .9 to 1: .95, .95 with one right; .5 to .6: .55 with one right: (.9 + .45) / 3."""
    one = chosen([2.0, -0.1, 0.05], [0.95, 0.95, 0.55], [1, 0, 1])
    row = likelihood_table([one]).iloc[0]
    assert (row.experiment, row.category, row["items"]) == ("A", "qa", 3)
    assert row.mean_margin == pytest.approx(1.95 / 3, abs=1e-4)
    assert row.near_ties == pytest.approx(200 / 3, abs=1e-4)
    assert row.accuracy == pytest.approx(200 / 3, abs=1e-4)
    assert row.mean_probability == pytest.approx(245 / 3, abs=1e-4)
    assert row.calibration_error == pytest.approx(100 * (0.9 + 0.45) / 3, abs=1e-4)


def test_a_probability_of_1_is_in_the_last_bin():
    table = likelihood_table([chosen([40.0], [1.0], [1])])
    assert table["calibration_error"].tolist() == [0]


def test_items_without_a_margin_are_left_out_and_without_any_there_is_no_section():
    table = likelihood_table([chosen([2.0, None], [None, None], [1, 0])])
    assert table["items"].tolist() == [1]
    assert math.isnan(table["calibration_error"].iloc[0])
    assert likelihood_section(likelihood_table([chosen([None], [None], [1])])) == ""
    assert likelihood_section(likelihood_table([run("A", {"x": [True]})])) == ""
    section = likelihood_section(table)
    assert section.startswith("## Likelihoods of options")
    assert "| A " in section

"""Intervals hold the truth as often as they say; `make coverage` looks at all cases."""

import pytest

from tests.simulation import Case, coverage, false_verdicts
from tests.simulation_measures import covered


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("items", [5, 20, 100])
@pytest.mark.parametrize("shared", [False, True])
def test_differences(shared, items, share):
    assert coverage(Case("difference", shared, False, items, share, 0.05), 150) >= 94


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize(("items", "share"), [(10, 0.01), (50, 0.25)])
def test_accuracies_about_shared_clips(items, share, fractions):
    assert coverage(Case("accuracy", True, fractions, items, share), 150) >= 94


def test_clips_of_very_different_sizes():
    """A lost clip that is larger than most has not been seen yet, and counts all the same."""
    case = Case("difference", True, False, 400, 0.1, sizes=(1, 1, 1, 1, 10))
    assert coverage(case, 150) >= 94


def test_accuracies_of_right_and_wrong_items():
    """Where Wilson's interval holds in 90 and 92 of 100 cases."""
    for items in (10, 100):
        assert coverage(Case("accuracy", False, False, items, 0.01), 2000) >= 94


def test_the_true_difference_is_missed_now_and_then():
    """An interval that always holds would be of no use."""
    assert coverage(Case("difference", False, False, 500, 0.25, 0.05), 2000) < 97.5


def test_twenty_adapters_exactly_at_the_gate_rarely_have_a_false_pass():
    """By each verdict alone, every other study has one."""
    found = false_verdicts(studies=40)
    assert found["alone"] > 30
    assert found["pass"] <= 5
    assert found["fail"] <= 5


@pytest.mark.parametrize("name", ["word errors", "nats, spread 0.3"])
@pytest.mark.parametrize("items", [20, 100])
def test_measures_that_are_no_accuracy(name, items):
    assert min(covered(name, items, 60)) >= 93

"""Values, intervals and differences of measures that are no plain accuracy, by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest

from lorascope.reporting.measures import (
    difference,
    difference_p_value,
    measures_section,
    value_interval,
    value_of,
)
from lorascope.reporting.statistics import accuracy_interval, paired_difference
from lorascope.scoring.item_score import ACCURACY, Measure
from tests.support.runs import BITS, TOKENS, WORDS, pair

ROUGE = Measure("ROUGE-L")
WEIGHTED = Measure("share of sentences")
MISSED = Measure("share of facts missed", higher_is_better=False)


def array(*values):
    return np.asarray(values, dtype=float)


def test_a_word_error_rate_is_the_errors_of_all_items_by_the_words_of_all():
    """3 + 0 + 6 errors in 10 + 5 + 3 words: 50 %, where the mean of the rates is 76.7 %."""
    errors, words = array(3, 0, 6), array(10, 5, 3)
    assert value_of(WORDS, errors, words) == 50
    assert value_of(WORDS, array(1, 0, 0), array(1, 1, 1)) == Fraction(100, 3)


def test_a_perplexity_is_the_exponential_of_nats_by_tokens():
    nats, tokens = array(6, 14), array(4, 6)
    assert value_of(TOKENS, nats, tokens) == pytest.approx(math.exp(2))
    assert value_of(BITS, nats / math.log(2), tokens) == pytest.approx(2 / math.log(2))
    assert value_of(TOKENS, array(8000.0), array(10.0)) == math.inf


def test_a_missing_credit_leaves_no_value():
    nats, tokens = array(6, math.nan), array(4, 6)
    assert math.isnan(value_of(TOKENS, nats, tokens))
    low, high = value_interval(TOKENS, nats, tokens, np.arange(2))
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize("measure", [ACCURACY, ROUGE])
def test_shares_that_count_alike_are_treated_as_accuracies(measure):
    rng = np.random.default_rng(2)
    credits, base, clips = rng.random(40), rng.random(40), np.arange(40) // 2
    ones = np.ones(40)
    assert value_interval(measure, credits, ones, clips) == accuracy_interval(credits, clips)
    found = difference(measure, pair(credits, base, clips=clips))
    assert found == paired_difference(credits, base, clips)


def test_items_of_a_larger_weight_count_more_in_an_interval_too():
    """A share in which one item counts as three is that of three items about one clip."""
    credits, weights = array(*[3, 0, 1, 0] * 5), array(*[3, 3, 1, 1] * 5)
    low, high = value_interval(WEIGHTED, credits, weights, np.arange(20))
    each = np.repeat(credits / weights, weights.astype(int))
    clips = np.repeat(np.arange(20), weights.astype(int))
    assert (low, high) == pytest.approx(accuracy_interval(each, clips))


@pytest.mark.parametrize("measure", [WORDS, TOKENS, BITS])
def test_an_interval_is_around_its_value_and_narrower_with_more_items(measure):
    rng = np.random.default_rng(4)
    widths = []
    for items in (20, 200):
        weights = rng.integers(5, 30, items).astype(float)
        credits = rng.gamma(4, 0.1, items) * weights
        low, high = value_interval(measure, credits, weights, np.arange(items))
        assert low < value_of(measure, credits, weights) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_items_without_any_error_leave_room_for_errors():
    low, high = value_interval(WORDS, np.zeros(20), np.full(20, 8.0), np.arange(20))
    assert low == 0
    assert 10 < high < 25  # as of 20 right answers: 100 * (1 - 0.025 ** (1 / 20)) is 16.8


def test_a_delta_keeps_its_sign_and_gains_are_items_that_got_better():
    """Errors 4 -> 2, 1 -> 2, 3 -> 3, 2 -> 0 in 10 words each: 25 % -> 17.5 %."""
    found = difference(WORDS, pair([2, 2, 3, 0], [4, 1, 3, 2], [10] * 4))
    assert found.difference == Fraction(-15, 2)
    assert (found.gained, found.lost) == (2, 1)
    assert found.low < -7.5 < found.high
    rises = Measure("score", "plain", bounded=False)
    other = difference(rises, pair([2, 2, 3, 0], [4, 1, 3, 2], [10] * 4))
    assert (other.difference, other.gained, other.lost) == (Fraction(-3, 40), 1, 2)


def test_a_difference_of_perplexities_goes_with_the_test_of_the_means():
    """Means 2 and 1.5 nats: e^2 - e^1.5, with ends that are e^1.5 * (e^end - 1)."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(20, 60, 40).astype(float)
    base = 1.5 * tokens
    run = base + (0.5 + rng.normal(0, 0.2, 40)) * tokens
    found = difference(TOKENS, pair(run, base, tokens))
    means = run.sum() / tokens.sum(), base.sum() / tokens.sum()
    assert found.difference == pytest.approx(math.exp(means[0]) - math.exp(means[1]))
    plain = difference(Measure("nats", "plain", False, False), pair(run, base, tokens))
    assert found.p_value == plain.p_value < 1e-4
    assert found.low == pytest.approx(math.exp(1.5) * math.expm1(plain.low))
    assert found.high == pytest.approx(math.exp(1.5) * math.expm1(plain.high))
    assert (found.gained, found.lost) == ((run < base).sum(), (run > base).sum())


@pytest.mark.parametrize("measure", [WORDS, TOKENS, BITS, WEIGHTED, MISSED])
def test_an_interval_leaves_0_out_exactly_if_p_is_below_5_percent(measure):
    rng, seen = np.random.default_rng(3), set()
    weights = rng.integers(4, 20, 40).astype(float)
    base = rng.random(40) * weights * 0.5
    for off in np.linspace(0, 0.2, 9):
        run = np.clip(base + rng.normal(off, 0.3, 40) * weights, 0, weights)
        found = difference(measure, pair(run, base, weights))
        assert found.p_value == difference_p_value(measure, pair(run, base, weights))
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
        assert found.low < found.difference < found.high
        seen.add(found.p_value < 0.05)
    assert seen == {True, False}


@pytest.mark.parametrize("items", [5, 6, 12])
def test_items_that_all_move_by_the_same_make_a_sign_test(items):
    tokens = np.full(items, 10.0)
    found = difference(TOKENS, pair(23 * np.ones(items), 20 * np.ones(items), tokens))
    assert found.p_value == pytest.approx(2 * 0.5**items)


def test_equal_runs_do_not_differ():
    nats, tokens = np.arange(20.0, 28.0), np.full(8, 10.0)
    same = difference(TOKENS, pair(nats, nats, tokens))
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    errors = difference(WORDS, pair(nats, nats, tokens))
    assert errors.p_value == 1
    assert errors.low < 0 < errors.high  # one more transcript may go wrong


@pytest.mark.parametrize(("items", "known"), [(5, False), (6, True)])
def test_an_interval_of_values_without_bounds_needs_six_items(items, known):
    """2 ** -5 is more than 0.025: so often are all of five items on one side of anything."""
    nats, tokens = 20 + np.arange(items) / 10, np.full(items, 10.0)
    low, high = value_interval(TOKENS, nats, tokens, np.arange(items))
    assert math.isfinite(high) == known
    assert (low > 1) == known


def test_rates_by_other_references_are_compared_as_two_ratios():
    """3 errors in 10 and 5 in 20 words against 2 in 8 and 6 in 24: 8/30 - 8/32, in percent."""
    two = pair([3, 5], [2, 6], [10, 20], [8, 24])
    found = difference(WORDS, two)
    assert float(found.difference) == pytest.approx(100 * (8 / 30 - 8 / 32))
    assert (found.gained, found.lost) == (0, 1)  # 0.3 after 0.25; 0.25 as before
    assert two.differences.sum() / two.common.sum() == pytest.approx(8 / 30 - 8 / 32)
    assert two.has_unit(WORDS)
    assert not two.has_unit(TOKENS)


def test_the_section_names_each_measure_its_unit_and_direction_and_is_not_there_for_accuracies():
    assert measures_section({"a": ACCURACY}.items()) == ""
    named = {"a": ACCURACY, "w": WORDS, "v": WORDS, "p": TOKENS, "b": BITS}
    lines = measures_section(named.items()).splitlines()
    assert lines[0] == "## Measures"
    assert "- a: accuracy, in percent; **higher is better**." in lines
    assert (
        "- w, v: word error rate, in percent, without an upper bound; **lower is better**." in lines
    )
    assert any(line.startswith("- p: perplexity by token, the exponential of") for line in lines)
    assert "- b: bits per byte, without an upper bound; **lower is better**." in lines

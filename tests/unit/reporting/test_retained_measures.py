"""What is retained of measures that are no plain accuracy, by hand."""

import math

import numpy as np
import pytest

from lorascope.reporting.page import retention_section
from lorascope.reporting.retention import retained
from lorascope.reporting.verdicts import retention_table
from lorascope.scoring.item_score import Measure
from tests.support.runs import BITS, TOKENS, WORDS, measured_run, pair, run

MISSED = Measure("share of facts missed", higher_is_better=False)
MEAN = Measure("mean score", "plain", bounded=False)


def noisy(items, rate, spread=0.1, seed=0):
    """Return [items] credits of about ``rate`` by weights of 5 to 30, and these."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(5, 31, items).astype(float)
    return rng.normal(rate, spread * rate, items) * weights, weights


def test_of_an_error_rate_the_base_is_divided_by_the_run():
    found = retained(pair([4, 6], [3, 6], [10, 10]), 0.9, 0.95, measure=WORDS)
    assert found.retention == 0.9  # 45 % after 50 %
    assert found.point_verdict == "pass"
    better = retained(pair([3, 6], [4, 6], [10, 10]), 0.9, 0.95, measure=WORDS)
    assert better.retention == pytest.approx(10 / 9)
    rises = retained(pair([3, 6], [4, 6], [10, 10]), 0.9, 0.95, measure=MEAN)
    assert rises.retention == pytest.approx(0.9)


def test_of_a_perplexity_it_is_the_ratio_of_the_perplexities():
    """20 in place of 18 is 0.9 of it, in whatever unit the tokens are counted."""
    run, base = np.log(20) * 10 * np.ones(8), np.log(18) * 10 * np.ones(8)
    found = retained(pair(run, base, np.full(8, 10.0)), 0.9, 0.95, measure=TOKENS)
    assert found.retention == pytest.approx(0.9)
    words = retained(pair(run, base, np.full(8, 5.0)), 0.9, 0.95, measure=TOKENS)
    assert words.retention == pytest.approx(0.81)


@pytest.mark.parametrize("measure", [WORDS, TOKENS, BITS, MISSED, MEAN])
def test_a_bound_beyond_what_is_asked_for_decides(measure):
    """Where lower is better, 0.4 by weight in place of 0.44 keeps more than 0.9."""
    base, weights = noisy(300, 0.4)
    better, worse = 0.8 * base, 1.5 * base
    if measure.higher_is_better:
        better, worse = worse, better
    passed, failed, same = (
        retained(pair(one, base, weights), 0.95, 0.95, measure=measure)
        for one in (better, worse, base)
    )
    assert (passed.verdict, failed.verdict) == ("pass", "fail")
    assert passed.lower > 0.95 > failed.upper
    assert failed.lower < failed.retention < failed.upper
    assert passed.p_below < 0.05 < passed.p_above
    assert same.retention == 1
    assert same.lower <= 1 <= same.upper


@pytest.mark.parametrize(("items", "verdict"), [(2, "undecided"), (4, "undecided"), (5, "pass")])
def test_items_that_all_keep_enough_pass_as_in_a_sign_test(items, verdict):
    """2 ** -5 is below 0.05, however near the items are to each other."""
    run = 20 + 0.1 * np.arange(items)
    found = retained(pair(run, 20 * np.ones(items), [100] * items), 0.9, 0.95, measure=TOKENS)
    assert found.verdict == verdict
    assert (found.lower >= 0.9) == (verdict == "pass")


def test_few_items_decide_nothing():
    found = retained(pair([42, 41], [40, 40], [100, 100]), 0.95, 0.95, measure=WORDS)
    assert (found.verdict, found.upper) == ("undecided", None)
    assert found.lower < 0.95


def test_verdicts_agree_with_their_bounds():
    for seed, factor in enumerate(np.linspace(0.95, 1.2, 8)):
        base, weights = noisy(60, 0.5, seed=seed)
        run = noisy(60, 0.5 * factor, seed=seed)[0]
        for measure in (WORDS, TOKENS, BITS, MISSED):
            found = retained(pair(run, base, weights), 0.9, 0.95, measure=measure)
            expected = "pass" if found.lower >= 0.9 else "fail" if found.upper < 0.9 else None
            assert found.verdict == (expected or "undecided")


def test_a_run_without_an_error_keeps_everything_and_one_with_some_nothing_of_a_perfect_base():
    zeros, some, words = np.zeros(30), np.full(30, 2.0), np.full(30, 10.0)
    perfect = retained(pair(zeros, some, words), 0.9, 0.95, measure=WORDS)
    assert (perfect.retention, perfect.upper, perfect.verdict) == (math.inf, None, "pass")
    lost = retained(pair(some, zeros, words), 0.9, 0.95, measure=WORDS)
    assert (lost.retention, lost.verdict) == (0, "fail")
    neither = retained(pair(zeros, zeros, words), 0.9, 0.95, measure=WORDS)
    assert (neither.retention, neither.verdict) == (None, "undecided")


@pytest.mark.parametrize(
    ("measure", "run", "others"),
    [
        (TOKENS, [math.nan, 20], [10, 10]),  # a text without a finite number
        (TOKENS, [18, 20], [11, 10]),  # the tokens of another tokenizer
        (MEAN, [-1, 2], [10, 10]),  # a share of a negative value is none
    ],
)
def test_what_is_no_share_has_no_verdict(measure, run, others):
    found = retained(pair(run, [18, 19], [10, 10], others), 0.9, 0.95, measure=measure)
    assert (found.retention, found.verdict, found.p_below, found.p_above) == (
        *(None, "undecided"),
        *(1, 1),
    )


def test_error_rates_by_other_references_are_divided_as_they_are():
    found = retained(pair([4, 6], [4, 4], [10, 10], [8, 8]), 0.9, 0.95, measure=WORDS)
    assert found.retention == pytest.approx((8 / 16) / (10 / 20))


def gate(metric, of="BASE"):
    return {"of": of, "metric": metric, "at_least": 0.9, "confidence": 0.95}


def test_the_table_names_the_direction_and_has_values_in_their_units():
    measures = {"wer": WORDS, "ppl": TOKENS}
    runs = [
        measured_run(name, measures, {"wer": [(e, 10)] * 40, "ppl": [(10 * n, 10)] * 40})
        for name, e, n in [("BASE", 2, 2.0), ("A", 3, 1.9)]
    ]
    table = retention_table(runs, [gate("wer"), gate("ppl")]).set_index("metric")
    assert table["better"].tolist() == ["lower", "lower"]
    errors, text = table.loc["wer"], table.loc["ppl"]
    assert (errors.base, errors.score, errors.retention) == (20, 30, 0.6667)
    assert text.retention == pytest.approx(math.exp(0.1), abs=1e-4)
    assert (errors.verdict, text.verdict) == ("fail", "pass")
    assert math.isnan(errors.chance)
    section = retention_section(table.reset_index())
    assert "Of a metric where lower is better, it is the other way round" in section
    plain = retention_table([run("BASE", {"x": [True]}), run("A", {"x": [True]})], [gate("x")])
    assert "better" not in plain
    assert "the other way round" not in retention_section(plain)

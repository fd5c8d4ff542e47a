import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from lorascope.reporting.statistics import (
    accuracy_interval,
    clustered_interval,
    holm,
    mcnemar_exact,
    paired_difference,
    total_credit,
    wilson,
)


def test_wilson_agrees_with_its_formula():
    z, n, p = 1.959963984540054, 500, 192 / 500
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(192, 500) == pytest.approx((100 * (centre - half), 100 * (centre + half)))


def test_wilson_keeps_a_width_at_none_and_all_correct():
    low, high = wilson(0, 48)
    assert low == 0
    assert 7 < high < 8
    assert wilson(48, 48) == pytest.approx((100 - high, 100))


@pytest.mark.parametrize(("correct", "total"), [(3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(correct, total):
    with pytest.raises(ValueError):
        wilson(correct, total)


@pytest.mark.parametrize(("gained", "lost"), [(0, 5), (9, 3), (40, 17)])
def test_mcnemar_is_the_two_sided_sign_test_of_the_discordant_pairs(gained, lost):
    expected = 2 * binom.cdf(min(gained, lost), gained + lost, 0.5)
    assert mcnemar_exact(gained, lost) == pytest.approx(expected)
    assert mcnemar_exact(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize("discordant", [0, 1, 7])
def test_mcnemar_of_a_tie_is_one(discordant):
    assert mcnemar_exact(discordant, discordant) == 1


def test_clustered_interval_agrees_with_resampling_the_clips_one_by_one():
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 4, size=80)
    clips = np.repeat(np.arange(80), sizes)
    values = (rng.random(len(clips)) < np.repeat(rng.random(80), sizes)).astype(int)
    sums = np.bincount(clips, weights=values)

    def mean(index):
        return 100 * sums[index].sum() / sizes[index].sum()

    direct = bootstrap(
        (np.arange(80),), mean, method="percentile", n_resamples=5000, vectorized=False, rng=rng
    ).confidence_interval
    assert clustered_interval(values, clips) == pytest.approx(tuple(direct), abs=0.8)


def test_questions_that_share_a_clip_widen_the_interval():
    flags = np.tile([True, True, False, False], 50)  # two questions a clip, both alike
    low, high = clustered_interval(flags, np.repeat(np.arange(100), 2))
    alone_low, alone_high = clustered_interval(flags, np.arange(200))
    assert high - low == pytest.approx(np.sqrt(2) * (alone_high - alone_low), rel=0.1)


def test_interval_depends_neither_on_the_order_of_items_nor_on_how_clips_are_named():
    rng = np.random.default_rng(0)
    flags, clips = rng.random(60) < 0.4, np.repeat(np.arange(30), 2)
    order = rng.permutation(60)
    names = np.array([f"clip{30 - clip:02}.wav" for clip in clips])
    assert clustered_interval(flags, clips) == clustered_interval(flags[order], names[order])


def test_interval_of_fractional_scores():
    low, high = clustered_interval([0.0, 0.5, 1.0, 0.25] * 40, np.arange(160))
    assert low < 43.75 < high
    assert high - low < 15


def test_paired_difference_counts_the_discordant_pairs():
    a = [True, True, True, False, True, False, False, False]
    b = [True, False, False, False, False, True, False, False]
    found = paired_difference(a, b, range(8))
    assert (found.gained, found.lost) == (3, 1)
    assert found.difference == 25
    assert found.low < 25 < found.high
    assert found.p_value == mcnemar_exact(3, 1) == pytest.approx(0.625)


def test_equal_runs_differ_by_nothing():
    found = paired_difference([True, False], [True, False], [0, 1])
    assert (found.gained, found.lost, found.difference) == (0, 0, 0)
    assert (found.low, found.high, found.p_value) == (0, 0, 1)


@pytest.mark.parametrize("flags", [([True], [True, False], [0, 1]), ([], [], [])])
def test_paired_difference_refuses_what_is_not_paired(flags):
    with pytest.raises(ValueError, match="equally many"):
        paired_difference(*flags)


def test_fractional_credits_are_gained_and_lost_and_have_no_mcnemar():
    found = paired_difference([0.5, 1, 0.2, 0.3], [0.25, 1, 0.4, 0.1], range(4))
    assert (found.gained, found.lost, found.p_value) == (2, 1, None)
    assert found.difference == pytest.approx(6.25)
    assert (found.low, found.high) == clustered_interval([0.25, 0, -0.2, 0.2], range(4))


def test_items_that_share_clips_have_no_mcnemar():
    assert paired_difference([True, False], [False, False], ["a", "a"]).p_value is None


def test_sums_of_fractions_do_not_depend_on_their_order():
    rng = np.random.default_rng(4)
    credits = rng.random(1000)
    assert total_credit(credits) == total_credit(rng.permutation(credits))
    assert total_credit([1 / 3] * 3) == total_credit([0.1] * 10) == 1
    assert total_credit([True, False, True]) == 2


def test_interval_of_fractions_does_not_depend_on_the_order_of_items():
    rng = np.random.default_rng(5)
    credits, clips = rng.choice([0.1, 0.2, 0.3, 0.7], 400), np.repeat(np.arange(100), 4)
    order = rng.permutation(400)
    assert clustered_interval(credits, clips) == clustered_interval(credits[order], clips[order])


def test_an_accuracy_has_wilson_s_interval_where_items_are_right_or_wrong_and_alone():
    flags, clips = [True, True, False, False], ["a", "b", "c", "d"]
    assert accuracy_interval(flags, clips) == wilson(2, 4)
    assert accuracy_interval([1, 0.5, 0.5, 0], clips) == clustered_interval([1, 0.5, 0.5, 0], clips)
    assert accuracy_interval(flags, list("aabb")) == clustered_interval(flags, list("aabb"))


def test_holm_steps_down_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []

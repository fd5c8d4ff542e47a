import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from lorascope.reporting.statistics import (
    Mean,
    accuracy_interval,
    clopper_pearson,
    holm,
    paired_difference,
    paired_p_value,
    published_difference,
    total_credit,
)


def flags(right, total):
    return np.arange(total) < right


def paired(gained, lost, total):
    """Return the credits of two runs that differ in so many of so many items."""
    return flags(gained, total), flags(gained + lost, total) & ~flags(gained, total)


@pytest.mark.parametrize(("correct", "total"), [(0, 48), (48, 48), (3, 4), (192, 500)])
def test_an_accuracy_has_the_exact_binomial_interval(correct, total):
    exact = binomtest(correct, total).proportion_ci(method="exact")
    expected = pytest.approx((100 * exact.low, 100 * exact.high))
    credits, alone = flags(correct, total), np.arange(total)
    assert accuracy_interval(credits, alone) == clopper_pearson(correct, total) == expected
    assert Mean(credits, alone, 0).interval() == expected


@pytest.mark.parametrize(
    ("gained", "lost", "total"),
    [(0, 5, 64), (9, 3, 20), (40, 17, 500), (0, 320, 320), (300, 700, 4000), (1, 1, 2)],
)
def test_the_test_of_right_and_wrong_items_is_the_exact_mcnemar(gained, lost, total):
    expected = pytest.approx(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue, rel=1e-9)
    a, b = paired(gained, lost, total)
    assert paired_difference(a, b, range(total)).p_value == expected
    assert paired_difference(b, a, range(total)).p_value == expected


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("scale", [1, 0.3])
def test_an_interval_leaves_0_out_exactly_if_p_is_below_5_percent(size, scale):
    seen = set()
    for lost in range(0, 61, 3):
        a, b = paired(3, lost, 90)
        clips = np.arange(90) // size
        found = paired_difference(a * scale, b * scale, clips)
        assert found.p_value == paired_p_value(a * scale, b * scale, clips)
        assert (found.p_value < 0.05) == (found.high < 0 or found.low > 0)
        assert found.low < found.difference < found.high
        seen.add(found.p_value < 0.05)
    assert seen == {True, False}


def test_ends_are_where_the_p_value_is_5_percent():
    rng = np.random.default_rng(6)
    values, clips = rng.choice([-1, -0.5, 0, 0.25, 1], 60), np.arange(60) // 2
    mean = Mean(values, clips, -1)
    assert [mean.p_value(end / 100) for end in mean.interval()] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize("total", [5, 64])
def test_nothing_and_everything_changed_leave_a_width(total):
    a, clips = flags(0, total), np.arange(total)
    same = paired_difference(a, a, clips)
    rest = 100 * (1 - 0.025 ** (1 / total))
    assert (same.difference, same.p_value) == (0, 1)
    assert (same.low, same.high) == pytest.approx((-rest, rest))
    lost = paired_difference(a, ~a, clips)
    assert (lost.low, lost.difference) == (-100, -100)
    assert lost.high == pytest.approx(2 * rest - 100)  # one more item may be gained


def test_the_width_is_that_of_so_many_clips_as_there_are():
    """Where nothing changed, 60 questions about 20 clips say no more than 20 questions."""
    same = flags(30, 60)
    shared = paired_difference(same, same, np.arange(60) // 3)
    alone = paired_difference(same[:20], same[:20], np.arange(20))
    assert (shared.low, shared.high) == pytest.approx((alone.low, alone.high))


def test_questions_that_share_a_clip_widen_the_interval():
    credits = np.tile([True, True, False, False], 50)  # two questions a clip, both alike
    low, high = accuracy_interval(credits, np.repeat(np.arange(100), 2))
    alone_low, alone_high = accuracy_interval(credits, np.arange(200))
    assert high - low == pytest.approx(np.sqrt(2) * (alone_high - alone_low), rel=0.1)


def test_interval_depends_neither_on_the_order_of_items_nor_on_how_clips_are_named():
    rng = np.random.default_rng(0)
    credits, clips = rng.choice([0.1, 0.2, 0.3, 0.7], 60), np.repeat(np.arange(30), 2)
    order = rng.permutation(60)
    names = np.array([f"clip{30 - clip:02}.wav" for clip in clips])
    assert accuracy_interval(credits, clips) == accuracy_interval(credits[order], names[order])


def test_interval_of_fractional_scores():
    low, high = accuracy_interval([0.0, 0.5, 1.0, 0.25] * 40, np.arange(160))
    assert low < 43.75 < high
    assert high - low < 15


def test_paired_difference_counts_the_discordant_pairs():
    a = [True, True, True, False, True, False, False, False]
    b = [True, False, False, False, False, True, False, False]
    found = paired_difference(a, b, range(8))
    assert (found.gained, found.lost) == (3, 1)
    assert found.difference == 25
    assert found.low < 25 < found.high
    assert found.p_value == pytest.approx(0.625)


@pytest.mark.parametrize("credits", [([True], [True, False], [0, 1]), ([], [], [])])
def test_paired_difference_refuses_what_is_not_paired(credits):
    with pytest.raises(ValueError, match="equally many"):
        paired_difference(*credits)


def test_fractional_credits_are_gained_and_lost():
    found = paired_difference([0.5, 1, 0.2, 0.3], [0.25, 1, 0.4, 0.1], range(4))
    assert (found.gained, found.lost) == (2, 1)
    assert found.difference == pytest.approx(6.25)
    assert found.low < 0 < found.high
    assert found.p_value == 1


def test_sums_of_fractions_do_not_depend_on_their_order():
    rng = np.random.default_rng(4)
    credits = rng.random(1000)
    assert total_credit(credits) == total_credit(rng.permutation(credits))
    assert total_credit([1 / 3] * 3) == total_credit([0.1] * 10) == 1
    assert total_credit([True, False, True]) == 2


def test_a_published_proportion_has_newcombe_s_interval_and_its_test():
    for right in range(250, 351, 10):
        found = published_difference(flags(right, 500), range(500), 342, 500)
        low, high = confint_proportions_2indep(right, 500, 342, 500, method="newcomb")
        assert (found.low, found.high) == pytest.approx((100 * low, 100 * high))
        assert (found.p_value < 0.05) == (found.high < 0 or found.low > 0)
    assert found.difference == pytest.approx(1.6)
    # the p-value is where the interval ends at 0
    low, high = confint_proportions_2indep(
        right, 500, 342, 500, method="newcomb", alpha=found.p_value
    )
    assert low == pytest.approx(0, abs=1e-8)


def test_a_published_proportion_against_items_that_share_clips_or_have_fractions():
    alone = published_difference(flags(300, 500), range(500), 342, 500)
    shared = published_difference(flags(300, 500), np.arange(500) // 2, 342, 500)
    assert shared.difference == alone.difference == pytest.approx(-8.4)
    assert shared.low < alone.low < alone.high < shared.high < 0
    assert alone.p_value < shared.p_value < 0.05
    halves = published_difference([0.5] * 500, range(500), 342, 500)
    assert halves.high - halves.low < alone.high - alone.low


@pytest.mark.parametrize(("right", "p"), [(300, 1), (500, 0)])
def test_a_published_proportion_that_is_equal_or_the_contrary(right, p):
    found = published_difference(flags(right, 500), range(500), 300 if right == 300 else 0, 500)
    assert found.p_value == pytest.approx(p, abs=1e-100)


def test_holm_steps_down_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []

import numpy as np
import pytest
from scipy.stats import beta

from tests.support.runs import retained_shares


def flags(right, total):
    return np.arange(total) < right


@pytest.mark.parametrize(("kept", "total"), [(10, 10), (28, 28), (92, 100), (465, 500)])
def test_bounds_of_a_perfect_base_are_the_exact_binomial_ones(kept, total):
    """Then retention is a proportion, whose one-sided bound is Clopper's and Pearson's."""
    found = retained_shares(flags(kept, total), flags(total, total), np.arange(total), 0.9, 0.95)
    lower = beta.ppf(0.05, kept, total - kept + 1)
    assert found.retention == kept / total
    assert found.lower == pytest.approx(lower, abs=0.006)
    assert found.verdict == ("pass" if lower >= 0.9 else "undecided")


def test_a_few_items_without_a_loss_prove_little():
    assert (
        retained_shares(flags(20, 20), flags(20, 20), np.arange(20), 0.9, 0.95).verdict
        == "undecided"
    )
    assert retained_shares(flags(40, 40), flags(40, 40), np.arange(40), 0.9, 0.95).verdict == "pass"


def test_a_clear_loss_fails_and_a_clear_gain_passes():
    base, clips = flags(300, 500), np.arange(500)
    lost = retained_shares(flags(200, 500), base, clips, 0.9, 0.95)
    assert (lost.verdict, lost.point_verdict) == ("fail", "fail")
    assert lost.lower < lost.retention == 200 / 300 < lost.upper < 0.9
    gained = retained_shares(flags(400, 500), base, clips, 0.9, 0.95)
    assert (gained.verdict, gained.point_verdict) == ("pass", "pass")


def test_the_point_estimate_may_pass_where_the_bound_does_not():
    rng = np.random.default_rng(1)
    credits, base = rng.permutation(flags(272, 500)), rng.permutation(flags(300, 500))
    found = retained_shares(credits, base, np.arange(500), 0.9, 0.95)
    assert (found.verdict, found.point_verdict) == ("undecided", "pass")
    assert found.lower < 0.9 < found.retention


def test_exactly_what_was_asked_passes_the_point_gate():
    found = retained_shares(flags(9, 10), flags(10, 10), np.arange(10), 0.9, 0.95)
    assert found.point_verdict == "pass"


def test_more_confidence_means_wider_bounds():
    a, b, clips = flags(270, 500), flags(300, 500), np.arange(500)
    loose, strict = (retained_shares(a, b, clips, 0.9, level) for level in (0.8, 0.99))
    assert strict.lower < loose.lower < loose.retention < loose.upper < strict.upper


def test_gate_at_a_true_retention_of_exactly_what_is_asked():
    """The bound passes one in twenty at most, the point estimate every other one."""
    rng = np.random.default_rng(20)
    times, items, at_least = 400, 500, 0.9
    passed, failed, point = 0, 0, 0
    for _ in range(times):
        base = rng.random(items) < 0.6
        kept = base & (rng.random(items) < 0.85)
        gained = ~base & (rng.random(items) < 0.6 * (at_least - 0.85) / 0.4)
        found = retained_shares(kept | gained, base, np.arange(items), at_least, 0.95)
        passed += found.verdict == "pass"
        failed += found.verdict == "fail"
        point += found.point_verdict == "pass"
    assert 0.01 < passed / times < 0.07
    assert 0.01 < failed / times < 0.07
    assert 0.43 < point / times < 0.57


def test_items_that_share_a_clip_widen_the_bounds():
    rng = np.random.default_rng(2)
    base, kept = rng.random(200) < 0.7, rng.random(200) < 0.9
    a, b = np.repeat(base & kept, 4), np.repeat(base, 4)
    shared = retained_shares(a, b, np.repeat(np.arange(200), 4), 0.9, 0.95)
    alone = retained_shares(a, b, np.arange(800), 0.9, 0.95)
    assert shared.retention == alone.retention
    assert shared.retention - shared.lower > 1.8 * (alone.retention - alone.lower)


def test_bounds_depend_neither_on_order_nor_on_names():
    rng = np.random.default_rng(3)
    a, b, clips = rng.random(90), rng.random(90), np.repeat(np.arange(30), 3)
    order = rng.permutation(90)
    names = np.array([f"passage {30 - clip}" for clip in clips])
    found = retained_shares(a[order], b[order], names[order], 0.9, 0.95)
    assert found == retained_shares(a, b, clips, 0.9, 0.95)


def test_fractional_credits():
    found = retained_shares(
        [0.5, 0.25, 1.0, 0.0] * 50, [1.0, 0.5, 1.0, 0.0] * 50, np.arange(200), 0.6, 0.9
    )
    assert found.retention == 0.7
    assert found.lower < 0.7 < found.upper
    assert found.verdict == "pass"


def test_chance_alone_is_not_retention():
    """Guessing among four options keeps half of 50 %, and nothing of what exceeds chance."""
    base, guess = flags(500, 1000), np.tile([True, False, False, False], 250)
    found = retained_shares(guess, base, np.arange(1000), 0.4, 0.95, chance=0.25)
    assert found.verdict == "pass"
    assert found.retention == 0.5
    assert found.corrected == 0
    assert -0.3 < found.corrected_lower < 0


def test_chance_corrected_bound_of_a_hand_case():
    """70 % against 80 % with chance 25 %: 45 / 55, and wider below than the plain ratio."""
    found = retained_shares(
        flags(700, 1000), flags(800, 1000), np.arange(1000), 0.8, 0.95, chance=0.25
    )
    assert found.corrected == pytest.approx(45 / 55)
    assert found.corrected_lower < found.corrected
    assert found.corrected - found.corrected_lower > found.retention - found.lower


@pytest.mark.parametrize("right", [0, 20, 25])
def test_a_base_that_does_not_exceed_chance_has_no_corrected_retention(right):
    found = retained_shares(
        flags(50, 100), flags(right, 100), np.arange(100), 0.9, 0.95, chance=0.25
    )
    assert found.corrected is found.corrected_lower is None


def test_a_base_of_zero_decides_nothing():
    found = retained_shares(flags(5, 10), flags(0, 10), np.arange(10), 0.9, 0.95)
    assert (found.retention, found.lower, found.upper) == (None, None, None)
    assert (found.verdict, found.point_verdict) == ("undecided", "undecided")


def test_refuses_what_is_not_paired():
    with pytest.raises(ValueError, match="equally many"):
        retained_shares([1.0], [1.0, 0.0], [0, 1], 0.9, 0.95)
    with pytest.raises(ValueError, match="equally many"):
        retained_shares([], [], [], 0.9, 0.95)

"""Cross-fitting against a plain loop: who is chosen where, the held-out mean, what is kept."""

import numpy as np
import pytest

from lorascope.reporting.crossfitting import NOTHING, KeptSums, Sums, cross_fitted, dealt


def drawn(seed, clips=60, candidates=4, categories=2):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, (clips, 1, categories)) * np.ones((1, candidates, 1))
    shares = np.linspace(0.6, 0.7, candidates)[:, None]
    return rng.binomial(weights.astype(int), shares).astype(float), weights


def plainly(sums, weights, of, parts, rises=True, passes=lambda rows: [True] * 99):
    """Return the choices and the held-out mean of one partition, item by item."""
    chosen, held = [], []
    for part in range(parts):
        rest = np.flatnonzero(of != part)
        means = {
            i: np.mean([sums[rest, i, c].sum() / weights[rest, i, c].sum() for c in range(2)])
            for i in range(sums.shape[1])
            if passes(rest)[i]
        }
        best = (max if rises else min)(means, key=means.get) if means else NOTHING
        chosen.append(best)
        if best != NOTHING:
            rows = np.flatnonzero(of == part)
            held.append((sums[rows, best], weights[rows, best]))
    totals = [np.concatenate(one).sum(0) for one in zip(*held, strict=True)]
    return chosen, np.mean(totals[0] / totals[1])


@pytest.mark.parametrize("rises", [True, False])
def test_choices_and_the_held_out_mean_are_those_of_a_plain_loop(rises):
    sums, weights = drawn(3)
    found = cross_fitted(Sums(sums, weights, rises), np.zeros(60, dtype=int), 4, draws=2)
    loops = [plainly(sums, weights, of, 4, rises) for of in found.parts]
    assert found.choices.tolist() == [choices for choices, _ in loops]
    assert found.mean == pytest.approx(np.mean([mean for _, mean in loops]), rel=1e-12)
    assert len({*found.choices.ravel()}) > 1
    assert found.shares.sum() == pytest.approx(1)
    whole = (sums.sum(0) / weights.sum(0)).mean(-1)
    assert found.means == pytest.approx(whole)
    assert found.chosen == (whole.argmax() if rises else whole.argmin())


def test_a_gate_leaves_out_who_keeps_too_little_on_the_choosing_part():
    sums, weights = drawn(5, candidates=3)
    rng = np.random.default_rng(0)
    kept = rng.binomial(1, [0.9, 0.8, 0.7], (60, 3)).astype(float)
    base = np.ones((60, 3))
    gate = KeptSums(np.stack([kept, base, base, base], axis=1), 0.8, True, False)
    data = Sums(sums, weights, True, (gate,))
    found = cross_fitted(data, np.zeros(60, dtype=int), 5, draws=2)

    def passes(rows):
        return kept[rows].mean(0) >= 0.8

    loops = [plainly(sums, weights, of, 5, passes=passes) for of in found.parts]
    assert found.choices.tolist() == [choices for choices, _ in loops]
    assert found.passing.tolist() == (kept.mean(0) >= 0.8).tolist()
    assert 2 not in found.choices
    of_chosen = [
        np.mean([kept[i, choices[part]] for i, part in enumerate(parts)])
        for choices, parts in zip(found.choices, found.parts, strict=True)
    ]
    assert found.kept[0] == pytest.approx(np.mean(of_chosen))


def test_where_nobody_keeps_enough_nothing_is_chosen():
    sums, weights = drawn(1)
    four = np.ones((60, 4, 4))
    four[:, 0] = 0.1
    data = Sums(sums, weights, True, (KeptSums(four, 0.5, True, False),))
    found = cross_fitted(data, np.zeros(60, dtype=int), 3, draws=2)
    assert found.chosen == NOTHING
    assert (found.choices == NOTHING).all()
    assert np.isnan(found.mean)


@pytest.mark.parametrize(
    ("of_logs", "rises", "kept"),
    [(False, True, 0.5), (False, False, 2.0), (True, False, np.exp(1.5)), (True, True, None)],
)
def test_what_is_kept_is_a_ratio_by_the_direction_of_the_measure(of_logs, rises, kept):
    gate = KeptSums(np.zeros((1, 4, 1)), 0.9, rises, of_logs)
    kept = np.exp(-1.5) if kept is None else kept
    assert gate.kept(np.array([[3.0], [2.0], [6.0], [2.0]])) == pytest.approx([kept])
    nothing = 1.0
    assert gate.kept(np.array([[0.0], [2.0], [0.0], [2.0]])) == pytest.approx([nothing])


def test_equal_candidates_are_no_choice_of_rounding():
    sums, weights = drawn(2, candidates=3)
    sums[:] = sums[:, :1] / 3
    found = cross_fitted(Sums(sums, weights, True), np.zeros(60, dtype=int), 5, draws=2)
    assert (found.choices == 0).all()


def test_units_of_a_stratum_are_dealt_evenly_and_always_alike():
    strata = np.repeat([0, 1, 2], [10, 7, 3])
    parts = dealt(strata, 3, 20)
    assert (parts == dealt(strata, 3, 20)).all()
    assert len({row.tobytes() for row in parts}) == 20
    for row in parts:
        for stratum in range(3):
            counts = np.bincount(row[strata == stratum], minlength=3)
            assert counts.max() - counts.min() <= 1

"""Draws follow from a row's seed, its place in the answer and the token alone, and are exact."""

import pytest
import torch

from lorascope.models.engine.sampler import RowSampler, noise, row_keys, with_noise

ROWS = 20_000


def chi_square(counts: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far counts are from expected ones, in standard deviations of chi-square."""
    freedom = len(counts) - 1
    total = ((counts - expected) ** 2 / expected).sum().item()
    return abs(total - freedom) / (2 * freedom) ** 0.5


def shares(seeds: range, steps: int, tokens: int) -> torch.Tensor:
    """Return the uniform numbers behind the noise, float64 [seeds, steps, tokens]."""
    keys = row_keys(seeds).repeat_interleave(steps, 0)
    found = noise(keys, torch.arange(steps).repeat(len(seeds)), torch.arange(tokens)[None])
    return found.view(len(seeds), steps, tokens).double().neg().exp().neg().exp()


@pytest.mark.parametrize(
    ("seeds", "steps", "tokens"),
    [(range(40_000), 1, 1), (range(1), 40_000, 1), (range(1), 1, 40_000), (range(40), 40, 25)],
)
def test_numbers_are_uniform_along_seeds_steps_and_tokens(seeds, steps, tokens):
    found = shares(seeds, steps, tokens).flatten()
    counts = torch.histc(found, 100, 0, 1)
    assert chi_square(counts, torch.full((100,), len(found) / 100)) < 4


@pytest.mark.parametrize(
    "seeds", [range(300), range(2**31, 2**31 + 300), range(0, 300 << 20, 1 << 20)]
)
def test_neighbours_along_seeds_steps_and_tokens_are_independent(seeds):
    found = shares(seeds, 12, 12)
    for one, other in (
        (found[1:], found[:-1]),
        (found[:, 1:], found[:, :-1]),
        (found[:, :, 1:], found[:, :, :-1]),
        (found[2:], found[:-2]),
        (found[1:, 1:, :-1], found[:-1, :-1, 1:]),
        (found, found.transpose(1, 2)[:, torch.arange(12).roll(1)]),
    ):
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 4 / one.numel() ** 0.5
        cells = (one * 8).long() * 8 + (other * 8).long()
        counts = torch.bincount(cells.flatten(), minlength=64).double()
        assert chi_square(counts, torch.full((64,), one.numel() / 64)) < 4.5


def test_draws_follow_the_distribution():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.04, 0.01, 0.0])
    scores = probabilities.log().repeat(ROWS, 1)
    sampler = RowSampler(range(ROWS))
    for _ in range(2):
        drawn = sampler(torch.empty(ROWS, 0), scores).argmax(-1)
        counts = torch.bincount(drawn, minlength=6).double()
        assert counts[5] == 0
        assert chi_square(counts[:5], probabilities[:5].double() * ROWS) < 4


def test_rare_tokens_of_a_large_vocabulary_are_drawn_as_often_as_they_should():
    """One token of 0.5 and 20,000 of 2.5e-5 each: numbers too coarse would show here."""
    probabilities = torch.full((20_001,), 2.5e-5)
    probabilities[0] = 0.5
    drawn = with_noise(
        probabilities.log().repeat(300, 1), row_keys(range(300)), torch.zeros(300).long()
    ).argmax(-1)
    others = drawn[drawn > 0]
    assert abs(len(others) / 300 - 0.5) < 4 * (0.25 / 300) ** 0.5
    assert len(others.unique()) > len(others) - 6
    assert abs(others.double().mean() / 10_000 - 1) < 4 * 0.58 / len(others) ** 0.5


def test_a_rows_draws_do_not_depend_on_its_neighbours_or_on_what_is_possible():
    scores = torch.randn(5, 300, generator=torch.Generator().manual_seed(0))
    keys, steps = row_keys([3, 8, 2**40 + 3, -1, 7]), torch.tensor([0, 4, 0, 9, 4])
    together = with_noise(scores, keys, steps)
    for row in range(5):
        alone = with_noise(scores[row][None], keys[row][None], steps[row][None])
        assert torch.equal(alone[0], together[row])
    few = scores.masked_fill(scores < 1, -torch.inf)
    assert torch.equal(with_noise(few, keys, steps)[few > 0], together[few > 0])
    # On a device, noise is made for every token at once.
    every = scores + noise(keys, steps, torch.arange(300)[None])
    assert torch.equal(every, together)


def test_seeds_near_and_far_draw_differently():
    seeds = [0, 1, 2, 2**31, 2**32, 2**32 + 1, 2**63, 2**64 - 1, -2]
    zeros, steps = torch.zeros(len(seeds), 1000), torch.zeros(len(seeds)).long()
    drawn = with_noise(zeros, row_keys(seeds), steps)
    assert len({*drawn.argmax(-1).tolist()}) == len(seeds)
    again = with_noise(zeros, row_keys(seeds), steps + 1)
    assert not torch.equal(drawn.argmax(-1), again.argmax(-1))


def test_the_bits_are_these():
    """They are written down: a study's draws shall not change unnoticed."""
    found = noise(row_keys([0, 1]), torch.tensor([0, 5]), torch.tensor([[0, 31999]]))
    expected = [[0.8315486, 0.6571646], [0.0245025, -0.7649924]]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-5)

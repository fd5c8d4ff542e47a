"""Draws of tokens, each from its row's seed, its place in the answer and its id alone.

A token is drawn by adding Gumbel noise to the scores: the likeliest is then an exact sample (the
Gumbel-max trick, https://arxiv.org/abs/1411.0030). The noise is a function of three numbers, as
with the counter-based generators of https://doi.org/10.1145/2063384.2063405: nothing is drawn one
after the other, so that a row's draws are the same in any batch, and every device finds the same
bits (their logarithms are the device's, and may differ in the last place).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_BITS = 0xFFFFFFFF
_ROUNDS = ((17, 0x6D5AD4BB), (11, 0x2C4C1B51), (15, 0x31848BAB))
"""Shifts and odd multipliers of 31 bits: products of 32 bits with them fit into int64."""
_LEAP = 0x1E3779B1
_AT_ONCE = 2**15
"""Numbers that stay in a processor's cache while they are mixed."""
_MOST = 1.0 - 2.0**-24
"""The largest float32 below 1."""


def row_keys(seeds: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """Return int64 [rows, 2]: the 64 bits that each seed, an integer of any size, stands for."""
    keys = torch.tensor([[seed & _BITS, (seed >> 32) & _BITS] for seed in seeds], dtype=torch.int64)
    low, high = keys.reshape(-1, 2).unbind(1)
    low = _mixed(low ^ _mixed(high ^ 0x5851F42D))
    return torch.stack([low, _mixed(low ^ _mixed(high ^ 0x14057B7E))], 1).to(device)


def noise(keys: Tensor, steps: Tensor, tokens: Tensor) -> Tensor:
    """Return float32 Gumbel noise of tokens [rows or 1, n] at the steps [rows] of rows of ``keys``.

    A step is the number of tokens before.
    """
    first, second = _at(keys, steps)
    return _gumbel(first[:, None], second[:, None], tokens)


def with_noise(scores: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
    """Return float32 scores [rows, vocabulary] with noise added; -inf stays."""
    if not scores.is_cpu:
        return scores + noise(
            keys, steps, torch.arange(scores.shape[1], device=scores.device)[None]
        )
    # A CPU looks without waiting, and mostly finds few tokens that are possible.
    drawn, (first, second) = scores.clone(), _at(keys, steps)
    for places in (scores != -torch.inf).nonzero().split(_AT_ONCE):
        rows, tokens = places.unbind(1)
        drawn[rows, tokens] += _gumbel(first[rows], second[rows], tokens)
    return drawn


def _at(keys: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 64 bits of each row's step, as two numbers [rows] of 32."""
    first = _mixed(keys[:, 0] ^ _mixed(steps + _LEAP))
    return first, _mixed(keys[:, 1] ^ first)


def _gumbel(first: Tensor, second: Tensor, tokens: Tensor) -> Tensor:
    """Return the noise of tokens: numbers of 32 bits, finest where the noise is largest.

    That is where a draw is decided.
    """
    bits = _mixed(_mixed(((tokens * _LEAP) & _BITS) ^ first) ^ second)
    share = (bits + 0.5).mul_(2.0**-32).to(torch.float32).clamp_(max=_MOST)
    return share.neg_().log1p_().neg_().log_().neg_()


class RowSampler:
    """A logits processor that turns the choice of the likeliest token into a draw, row by row.

    transformers' own sampling draws all rows from one generator, so that neighbours would change a
    row's answer. It is called once a step, from the first on.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.keys, self.step = row_keys(seeds), 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores [rows, vocabulary] with noise added."""
        self.keys = self.keys.to(scores.device)
        steps = torch.full_like(self.keys[:, 0], self.step)
        self.step += 1
        return with_noise(scores.float(), self.keys, steps)


def _mixed(bits: Tensor) -> Tensor:
    """Return numbers of 32 bits mixed: each bit of one changes half of the other's, one to one."""
    bits = bits.clone()
    for shift, factor in _ROUNDS:
        bits.bitwise_xor_(bits >> shift).mul_(factor).bitwise_and_(_BITS)
    return bits.bitwise_xor_(bits >> 14)

"""The choice of the next token of each row of a lane, whose rows have come to different places."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lorascope.models.decoding import generation_config, warpers
from lorascope.models.engine.sampler import row_keys, with_noise

State = dict[str, Tensor]
"""What is known of each row, by name: tensors whose first dimension is the rows."""


class Chooser:
    """Chooses tokens with a study's generation settings, as ``decoding.generate`` does.

    Of each row the state holds the positions that were read (``length``), the tokens that it said
    (``said`` [rows, max_new_tokens]) and their number (``made``), the next one to be read
    (``last``), whether it is over (``ended``), whether its numbers are finite (``sound``) and for
    how many tokens they were (``good``); where they matter the bits that its draws come from
    (``keys``) and the tokens that a repetition penalty counts (``seen`` [rows, vocabulary]).
    """

    def __init__(self, settings: Mapping[str, Any], eos_token_ids: Sequence[int]) -> None:
        config = generation_config(settings, eos_token_ids)
        self.most = int(settings["max_new_tokens"])
        self.least: int = config.min_new_tokens or 0
        self.penalty = float(settings["repetition_penalty"])
        self.sampled: bool = settings["do_sample"]
        self.warpers = warpers(settings) if self.sampled else []
        self.eos_token_ids = list(eos_token_ids)
        self._eos = torch.tensor(self.eos_token_ids)

    def begin(self, prompts: Sequence[Tensor], seeds: Sequence[int], vocabulary: int) -> State:
        """Return the state of rows whose prompts are ids [positions] or embeddings."""
        device, rows = prompts[0].device, len(prompts)
        length = torch.tensor([len(prompt) for prompt in prompts], device=device)
        state = {name: torch.zeros_like(length) for name in ("made", "last", "good")}
        state |= {"length": length, "said": length.new_zeros(rows, self.most)}
        state["ended"] = torch.zeros(rows, dtype=torch.bool, device=device)
        state["sound"] = torch.stack([torch.isfinite(prompt).all() for prompt in prompts])
        if self.sampled:
            state["keys"] = row_keys(seeds, device)
        if self.penalty != 1.0:
            state["seen"] = torch.zeros(rows, vocabulary, dtype=torch.bool, device=device)
            if not prompts[0].is_floating_point():
                for seen, prompt in zip(state["seen"], prompts, strict=True):
                    seen[prompt] = True
        return state

    def choose(self, logits: Tensor, state: State) -> None:
        """Go on by one token of each row, by its logits [rows, vocabulary].

        A row whose logits have no finite maximum is over, see ``decoding.Soundness``.
        """
        scores = logits.to(state["last"].device, torch.float32)
        highest = scores.amax(-1)  # NaN if one is
        state["sound"] &= highest - highest == 0
        self._eos = self._eos.to(scores.device)
        chosen = self._scored(scores, state).argmax(-1)
        chosen = torch.where(state["sound"], chosen, self._eos[0])
        state["last"].copy_(chosen)
        state["said"].scatter_(1, state["made"][:, None], chosen[:, None])
        if "seen" in state:
            state["seen"].scatter_(1, chosen[:, None], True)
        state["made"] += 1
        state["good"] += state["sound"]
        state["ended"] |= (chosen[:, None] == self._eos).any(1) | ~state["sound"]

    def _scored(self, scores: Tensor, state: State) -> Tensor:
        """Return the scores of which the highest is chosen, changed in transformers' order."""
        if self.least:
            early = (state["made"] < self.least)[:, None]
            ends = scores.index_select(1, self._eos)
            scores = scores.index_copy(1, self._eos, ends.masked_fill(early, -torch.inf))
        if "seen" in state:
            less = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
            scores = torch.where(state["seen"], less, scores)
        # They look at the scores alone.
        for warper in self.warpers:
            scores = warper(state["last"][:, None], scores)
        return with_noise(scores, state["keys"], state["made"]) if self.sampled else scores


def keep_rows(state: State, rows: Tensor) -> State:
    """Return the state of these rows."""
    return {name: tensor.index_select(0, rows) for name, tensor in state.items()}


def join_rows(state: State, other: State) -> State:
    """Return the state of both's rows."""
    return {name: torch.cat([tensor, other[name]]) for name, tensor in state.items()}

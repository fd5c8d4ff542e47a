"""The choice of the next token of each row of a lane, whose rows have come to different places."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.generation.logits_process import LogitsProcessor

from lorascope.models.decoding import Completion, cut, generation_config, trim, warpers
from lorascope.models.engine.sampler import row_keys, with_noise
from lorascope.models.stop_strings import StopStrings

if TYPE_CHECKING:
    from lorascope.models.engine.lanes import Running

State = dict[str, Tensor]
"""What is known of each row, by name: tensors whose first dimension is the rows."""


class Choice(ABC):
    """A way of choosing tokens with a study's generation settings.

    ``most`` and ``least`` are the tokens of an answer, ``beams`` how many of a row are followed.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        eos_token_ids: Sequence[int],
        stops: StopStrings | None = None,
    ) -> None:
        config = generation_config(settings, eos_token_ids)
        self.settings, self.beams = settings, int(settings["num_beams"])
        self.most = int(settings["max_new_tokens"])
        self.least: int = config.min_new_tokens or 0
        self.penalty = float(settings["repetition_penalty"])
        self.eos_token_ids, self.stops = list(eos_token_ids), stops
        self.eos = torch.tensor(self.eos_token_ids)

    @abstractmethod
    def begin(self, prompts: Sequence[Tensor], seeds: Sequence[int], vocabulary: int) -> State:
        """Return the state of rows whose prompts are ids [positions] or embeddings."""

    @abstractmethod
    def choose(self, logits: Tensor, state: State) -> None:
        """Go on by one token of each row, by logits [rows x beams, vocabulary]."""

    @abstractmethod
    def completions(self, running: "Running", places: Sequence[int]) -> list[Completion]:
        """Return what rows said, by place."""

    def stopped(self, running: "Running", fresh: int) -> set[int]:
        """Return the places of rows that a stop string ended in the last so many tokens.

        None where the state says itself that they are over.
        """
        return set()

    def seen(self, prompts: Sequence[Tensor], vocabulary: int) -> Tensor:
        """Return which tokens a repetition penalty counts from the start, bool [rows, vocabulary].

        They are those of prompts that are ids.
        """
        found = torch.zeros(len(prompts), vocabulary, dtype=torch.bool, device=prompts[0].device)
        if not prompts[0].is_floating_point():
            for seen, prompt in zip(found, prompts, strict=True):
                seen[prompt] = True
        return found

    def scored(self, scores: Tensor, state: State) -> Tensor:
        """Return scores [rows, ..., vocabulary] with least length and penalty, in their order."""
        if self.least:
            self.eos = self.eos.to(scores.device)
            early = (state["made"] < self.least).view(-1, *(1,) * (scores.dim() - 1))
            ends = scores.index_select(-1, self.eos)
            scores = scores.index_copy(-1, self.eos, ends.masked_fill(early, -torch.inf))
        if "seen" in state:
            less = torch.where(scores < 0, scores * self.penalty, scores / self.penalty)
            scores = torch.where(state["seen"], less, scores)
        return scores

    def trimmed(self, tokens: Sequence[int]) -> Completion:
        """Return a row's tokens up to its end."""
        return trim(tokens, self.eos_token_ids, self.stops)


class Chooser(Choice):
    """Chooses the likeliest tokens, or draws them, as ``decoding.generate`` does.

    Beside what ``begun`` tells of it the state holds the tokens that each row said (``said`` [rows,
    max_new_tokens]), and the next one to be read (``last``); where they matter the bits that its
    draws come from (``keys``) and the tokens that a repetition penalty counts (``seen`` [rows,
    vocabulary]).
    """

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn."""
        return bool(self.settings["do_sample"])

    @cached_property
    def warpers(self) -> list[LogitsProcessor]:
        """What changes the scores of tokens before one is drawn."""
        return warpers(self.settings) if self.sampled else []

    def begin(self, prompts: Sequence[Tensor], seeds: Sequence[int], vocabulary: int) -> State:
        """Return the state of rows, see `Choice`."""
        state = begun(prompts)
        length = state["length"]
        state["last"] = torch.zeros_like(length)
        state["said"] = length.new_zeros(len(prompts), self.most)
        if self.sampled:
            state["keys"] = row_keys(seeds, length.device)
        if self.penalty != 1.0:
            state["seen"] = self.seen(prompts, vocabulary)
        return state

    def choose(self, logits: Tensor, state: State) -> None:
        """Go on by one token of each row, by its logits [rows, vocabulary].

        A row whose logits have no finite maximum is over, see ``decoding.Soundness``.
        """
        scores = logits.to(state["last"].device, torch.float32)
        highest = scores.amax(-1)  # NaN if one is
        state["sound"] &= highest - highest == 0
        self.eos = self.eos.to(scores.device)
        chosen = self._scored(scores, state).argmax(-1)
        chosen = torch.where(state["sound"], chosen, self.eos[0])
        state["last"].copy_(chosen)
        state["said"].scatter_(1, state["made"][:, None], chosen[:, None])
        if "seen" in state:
            state["seen"].scatter_(1, chosen[:, None], True)
        state["made"] += 1
        state["good"] += state["sound"]
        state["ended"] |= (chosen[:, None] == self.eos).any(1) | ~state["sound"]

    def _scored(self, scores: Tensor, state: State) -> Tensor:
        """Return the scores of which the highest is chosen, changed in transformers' order."""
        scores = self.scored(scores, state)
        # They look at the scores alone.
        for warper in self.warpers:
            scores = warper(state["last"][:, None], scores)
        return with_noise(scores, state["keys"], state["made"]) if self.sampled else scores

    def stopped(self, running: "Running", fresh: int) -> set[int]:
        """Return the places of rows that a stop string ended in the last so many tokens."""
        if self.stops is None:
            return set()
        rows = zip(running.told("said"), running.made, strict=True)
        return {i for i, (said, n) in enumerate(rows) if self.stops.stopped(said[:n], fresh)}

    def completions(self, running: "Running", places: Sequence[int]) -> list[Completion]:
        """Return what rows said, by place."""
        said, good = running.told("said"), running.told("good")
        return [cut(self.trimmed(said[i][: running.made[i]]), good[i]) for i in places]


def begun(prompts: Sequence[Tensor]) -> State:
    """Return of each row the positions that were read (``length``), the number of tokens that it
    said (``made``), whether it is over (``ended``), whether its numbers are finite (``sound``) and
    for how many tokens they were (``good``).
    """
    device = prompts[0].device
    length = torch.tensor([len(prompt) for prompt in prompts], device=device)
    return {
        "length": length,
        "made": torch.zeros_like(length),
        "ended": torch.zeros_like(length, dtype=torch.bool),
        "sound": torch.stack([torch.isfinite(prompt).all() for prompt in prompts]),
        "good": torch.zeros_like(length),
    }


def keep_rows(state: State, rows: Tensor) -> State:
    """Return the state of these rows."""
    return {name: tensor.index_select(0, rows) for name, tensor in state.items()}


def join_rows(state: State, other: State) -> State:
    """Return the state of both's rows."""
    return {name: torch.cat([tensor, other[name]]) for name, tensor in state.items()}

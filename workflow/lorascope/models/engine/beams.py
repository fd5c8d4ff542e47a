"""Beam search over the rows of a lane, whose rows have come to different places.

It is that of transformers' generate (``GenerationMixin._beam_search`` of transformers 5, with its
``early_stopping`` off), row by row: a row is over when none of its live beams can outdo those that
have come to an end, whatever the others do.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from lorascope.models.decoding import Completion
from lorascope.models.engine.choosing import Choice, State, begun
from lorascope.models.engine.lanes import Running

OUT = -1e9
"""What is added to the score of a beam that is out, as transformers does."""


class BeamSearch(Choice):
    """Chooses the tokens of so many beams of each row with a study's generation settings.

    Beside what ``choosing.begun`` tells of it the state holds of each row's live beams, the
    likeliest first, their tokens (``said`` [rows, beams, max_new_tokens]), and [rows, beams] the
    ``last`` of these, the sum of their log-probabilities (``score``) and the beam that each went on
    from (``source``). Of the best that came to an end it holds the tokens (``ends``), their number
    (``ends_made``), the score under the length penalty (``ends_score``) and whether there is such a
    one (``done``).
    """

    @cached_property
    def candidates(self) -> int:
        """So many that as many beams as are followed are left where others end."""
        return max(2, 1 + len(self.eos_token_ids)) * self.beams

    @cached_property
    def _lengths(self) -> Tensor:
        exponent = float(self.settings["length_penalty"])
        return torch.tensor([1.0, *((n + 1) ** exponent for n in range(self.most))])

    def begin(self, prompts: Sequence[Tensor], seeds: Sequence[int], vocabulary: int) -> State:
        """Return the state of rows, see `Choice`: all beams of a row are one at first."""
        state = begun(prompts)
        length, rows = state["length"], len(prompts)
        empty = length.new_zeros(rows, self.beams)
        state |= dict.fromkeys(("last", "source", "ends_made"), empty)
        state["score"] = torch.full_like(empty, OUT, dtype=torch.float32)
        state["ends_score"] = state["score"].clone()
        state["score"][:, 0] = 0
        state["done"] = torch.zeros_like(empty, dtype=torch.bool)
        state["said"] = state["ends"] = length.new_zeros(rows, self.beams, self.most)
        if self.penalty != 1.0:
            seen = self.seen(prompts, vocabulary)
            state["seen"] = seen[:, None].repeat(1, self.beams, 1)
        return state

    def choose(self, logits: Tensor, state: State) -> None:
        """Go on by one token of each beam, by their logits [rows x beams, vocabulary].

        A row is over where the logits of one of its beams have no finite maximum: it might have
        won.
        """
        scores = logits.to(state["length"].device, torch.float32)
        highest = scores.amax(-1).view(-1, self.beams)  # NaN if one is
        state["sound"] &= (highest - highest == 0).all(1) | state["ended"]
        logs = log_softmax(scores, -1).view(*highest.shape, -1)
        summed = (self.scored(logs, state) + state["score"][:, :, None]).flatten(1)
        score, index = summed.topk(self.candidates)
        beam, token = index // logs.shape[2], index % logs.shape[2]
        said, made = _of(state["said"], beam), state["made"]
        said.scatter_(2, made[:, None, None].expand(-1, self.candidates, 1), token[:, :, None])
        end = self._end(said, token, made)
        self._finish(state, said, score, end)
        self._follow(state, said, score + end * OUT, beam, token)
        made += 1
        state["good"] += state["sound"]
        state["ended"] |= end.all(1) | ~self._improvable(state) | ~state["sound"]

    def _end(self, said: Tensor, token: Tensor, made: Tensor) -> Tensor:
        """Return which candidates come to an end with their token, bool [rows, candidates]."""
        self.eos = self.eos.to(token.device)
        end = (token[:, :, None] == self.eos).any(2) | (made + 1 >= self.most)[:, None]
        if self.stops:
            rows = zip(said.tolist(), made.tolist(), strict=True)
            stopped = [[self.stops.stopped(one[: n + 1]) for one in row] for row, n in rows]
            end |= torch.tensor(stopped, device=end.device)
        return end

    def _finish(self, state: State, said: Tensor, score: Tensor, end: Tensor) -> None:
        """Put those of the best candidates that have come to an end among the others that did."""
        made = (state["made"] + 1)[:, None].expand_as(end)
        end = end.clone()
        end[:, self.beams :] = False
        score = score / self._penalties(made) + state["ended"][:, None] * OUT + ~end * OUT
        several = {"ends": said, "ends_made": made, "ends_score": score, "done": end}
        several = {name: torch.cat([state[name], more], 1) for name, more in several.items()}
        places = several["ends_score"].topk(self.beams)[1]
        state |= {name: _of(both, places) for name, both in several.items()}

    def _follow(
        self, state: State, said: Tensor, score: Tensor, beam: Tensor, token: Tensor
    ) -> None:
        """Go on from the best candidates; what an unsound row said before stays as it was."""
        state["score"], places = score.topk(self.beams)
        state["source"], state["last"] = beam.gather(1, places), token.gather(1, places)
        sound = state["sound"][:, None, None]
        state["said"] = torch.where(sound, _of(said, places), state["said"])
        if "seen" in state:
            state["seen"] = _of(state["seen"], state["source"])
            state["seen"].scatter_(2, state["last"][:, :, None], True)

    def _improvable(self, state: State) -> Tensor:
        """Return of which rows a live beam may outdo one that ended, were it to end now."""
        best = state["score"][:, :1] / self._penalties(state["made"])[:, None]
        worst = state["ends_score"].amin(1, keepdim=True).where(state["done"], OUT)
        return (best > worst).any(1)

    def _penalties(self, made: Tensor) -> Tensor:
        self._lengths = self._lengths.to(made.device)
        return self._lengths[made]

    def completions(self, running: Running, places: Sequence[int]) -> list[Completion]:
        """Return what rows said, by place."""
        state, found = running.state, []
        for i in places:
            if not state["sound"][i]:
                tokens = state["said"][i, 0, : state["good"][i]]
                found.append(Completion(tokens.tolist(), "nonfinite"))
                continue
            tokens = state["ends"][i, 0, : state["ends_made"][i, 0]]
            found.append(self.trimmed(tokens.tolist()))
        return found


def _of(beams: Tensor, places: Tensor) -> Tensor:
    """Return beams [rows, beams, ...] at places [rows, several]."""
    index = places.view(*places.shape, *(1,) * (beams.dim() - 2))
    return beams.gather(1, index.expand(*places.shape, *beams.shape[2:]))

"""Several continuations of a prompt in one row, each of which sees its prompt and itself alone.

A row is what is left to read of a prompt, then its continuations but for their last tokens, one
after the other. Every continuation has the positions that it has right after the prompt, and a
mask hides the others from it. Nothing is copied, and there is no second pass.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lorascope.models.engine.forward import Forward
from lorascope.models.pretrained import embedding_weight
from lorascope.models.prompts import Begun, Continuations, Found, Prompts, scored
from lorascope.running.counters import count

log = logging.getLogger("lorascope")

MOST_PACKED = 2048
"""Positions of a row with its continuations: its mask has their square."""
CPU_POSITIONS = 1024
"""Positions that are read at once on a CPU, whose caches hold no more: a third less time."""
_CHUNK = "attention_chunk_size"
_SAME = {"abs_tol": 1e-3, "rel_tol": 1e-4}
"""How far apart sums in float32 may be that are the same number."""


class Packer:
    """Reads prompts with their continuations, a row for each prompt."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward

    def reads(
        self, prompts: Prompts, continuations: Sequence[Continuations], apart: Sequence[Found]
    ) -> bool:
        """Tell whether the model finds what it found of continuations that it read apart.

        Some models refuse such masks, or do not heed them.
        """
        if "position_ids" not in self.forward.takes:
            return False
        try:
            found = self.read(prompts, None, continuations, len(prompts.rows) * 2**20)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            log.debug("continuations are read apart from their prompts: %s", error)
            return False
        pairs = [
            pair for both in zip(found, apart, strict=True) for pair in zip(*both, strict=False)
        ]
        same = [math.isclose(one, other, **_SAME) for (one, _), (other, _) in pairs]
        return len(same) == sum(map(len, apart)) and all(same)

    def read(
        self,
        prompts: Prompts,
        begun: Begun | None,
        continuations: Sequence[Continuations],
        most_scores: int,
    ) -> list[Found]:
        """Return what is found of each prompt's continuations, nothing for those too long to pack.

        At most so many scores are held at once. A sum that is not finite may be another's fault.
        """
        starts = [0] * len(continuations) if begun is None else begun.lengths
        lengths = [len(row) - start for row, start in zip(prompts.rows, starts, strict=True)]
        widths = [*map(width_of, lengths, continuations)]
        asked = [*map(asked_of, continuations)]
        scores = most_scores // len(embedding_weight(self.forward.model))
        limit = self._widest(0 if begun is None else begun.read.width)
        fit = [i for i, w in enumerate(widths) if w <= limit and asked[i] <= scores]
        positions = CPU_POSITIONS if prompts.rows[0].device.type == "cpu" else None
        found: list[Found] = [[]] * len(continuations)
        for batch in fitting([widths[i] for i in fit], [asked[i] for i in fit], positions, scores):
            chosen = [fit[i] for i in batch]
            count("prefill positions", sum(lengths[i] for i in chosen))
            several = [continuations[i] for i in chosen]
            part = prompts.chosen(chosen), begun and begun.of(chosen)
            for i, one in zip(chosen, self._read(*part, several), strict=True):
                found[i] = one
        return found

    def _widest(self, before: int) -> int:
        """Return how many positions a row may have after so many that were read.

        No window may matter: a mask like this one says nothing of it.
        """
        config = self.forward.model.config.get_text_config(decoder=True)
        windows = [getattr(config, name, None) for name in ("sliding_window", _CHUNK)]
        return min([MOST_PACKED, *(window - 1 - before for window in windows if window)])

    def _read(
        self, prompts: Prompts, begun: Begun | None, continuations: Sequence[Continuations]
    ) -> list[Found]:
        starts = [0] * len(continuations) if begun is None else begun.lengths
        rests = [row[start:] for row, start in zip(prompts.rows, starts, strict=True)]
        packed = pack(starts, [len(rest) for rest in rests], continuations)
        inputs = pad_sequence(
            [
                torch.cat([rest, self.forward.inputs(_ids(several), rest)])
                for rest, several in zip(rests, continuations, strict=True)
            ],
            batch_first=True,
        )
        device, read = inputs.device, None if begun is None else begun.chosen()
        mask = packed.mask(None if read is None else read.mask, torch.float32).to(device)
        rows = torch.arange(len(rests), device=device)[:, None]
        scores, _ = self.forward.scores(
            inputs,
            mask,
            (rows, packed.asked.to(device)),
            prompts.scalings,
            None if read is None else read.cache,
            use_cache=read is not None,
            positions=packed.positions.to(device),
        )
        return packed.found(scores, continuations)


def _ids(continuations: Continuations) -> Tensor:
    return torch.tensor([i for tokens in continuations for i in tokens[:-1]]).long()


@dataclass
class Packed:
    """Rows [rows, width], padded on the right.

    ``segments`` are 0 for the prompt, 1, 2, ... for its continuations, -1 for padding.
    ``asked`` [rows, most] are the places after which a token is asked for. ``at``, ``targets`` and
    ``owners`` say of each token of the continuations where it is asked for, by number in ``asked``,
    which it is, and which continuation's, counted over all rows.
    """

    positions: Tensor
    segments: Tensor
    asked: Tensor
    at: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)

    def found(self, scores: Tensor, continuations: Sequence[Continuations]) -> list[Found]:
        """Return what scores [rows, asked, vocabulary] say of the continuations."""
        total = sum(map(len, continuations))
        owners = torch.tensor(self.owners)
        logs, likeliest = scored(scores.flatten(0, 1), torch.tensor(self.targets), self.at)
        sums = torch.zeros(total, dtype=torch.float64).index_add_(0, owners, logs)
        missed = torch.zeros(total).index_add_(0, owners, (~likeliest).float())
        one = iter(zip(sums.tolist(), (missed == 0).tolist(), strict=True))
        return [[next(one) for _ in several] for several in continuations]

    def mask(self, before: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Return what is added to attention scores, [rows, 1, width, positions before + width].

        0 where one sees the other. ``before`` [rows, positions] tells what there is of the
        beginnings of prompts that were read already.
        """
        to, seer = self.segments[:, None, :], self.segments[:, :, None]
        width = to.shape[2]
        earlier = torch.ones(width, width, dtype=torch.bool).tril()
        # Padding sees its prompt: a row of a mask that hides everything makes no numbers.
        seen = ((to == 0) | ((to == seer) & (to > 0))) & earlier
        if before is not None:
            seen = torch.cat([before.cpu().bool()[:, None].expand(-1, width, -1), seen], 2)
        hidden = torch.finfo(dtype).min
        return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, hidden)[:, None]


def pack(
    starts: Sequence[int], lengths: Sequence[int], continuations: Sequence[Continuations]
) -> Packed:
    """Lay out rows: where each prompt goes on, how many positions are left, what continues it."""
    rows, width = len(lengths), max(map(width_of, lengths, continuations))
    most = max(map(asked_of, continuations))
    packed = Packed(
        torch.zeros(rows, width, dtype=torch.long),
        torch.full((rows, width), -1),
        torch.zeros(rows, most, dtype=torch.long),
    )
    owner = 0
    for row, (start, length, several) in enumerate(
        zip(starts, lengths, continuations, strict=True)
    ):
        _place(packed, row, 0, (0, length), start)
        packed.asked[row, 0] = length - 1
        end, asked = length, 1
        for number, tokens in enumerate(several, 1):
            more = len(tokens) - 1
            _place(packed, row, number, (end, end + more), start + length)
            packed.asked[row, asked : asked + more] = torch.arange(end, end + more)
            first = row * most
            packed.at.extend([first, *range(first + asked, first + asked + more)])
            packed.targets.extend(tokens)
            packed.owners.extend([owner] * len(tokens))
            end, asked, owner = end + more, asked + more, owner + 1
    return packed


def _place(packed: Packed, row: int, segment: int, places: tuple[int, int], start: int) -> None:
    where = slice(*places)
    packed.segments[row, where] = segment
    packed.positions[row, where] = torch.arange(start, start + places[1] - places[0])


def width_of(length: int, continuations: Continuations) -> int:
    """Return how many positions a row has."""
    return length + asked_of(continuations) - 1


def asked_of(continuations: Continuations) -> int:
    """Return after how many positions of a row a token is asked for."""
    return 1 + sum(len(tokens) - 1 for tokens in continuations)


def fitting(
    widths: Sequence[int], asked: Sequence[int], positions: int | None, scores: int
) -> Iterator[list[int]]:
    """Yield rows, by index, that are read at once, the widest first.

    Those have at most so many ``positions`` (None: any number) and ask after so many (``scores``),
    padding counted; one row is always read.
    """
    batch: list[int] = []
    most = 0
    for row in sorted(range(len(widths)), key=lambda i: -widths[i]):
        rows, more = len(batch) + 1, max(most, asked[row])
        full = positions is not None and rows * widths[(batch or [row])[0]] > positions
        if batch and (full or rows * more > scores):
            yield batch
            batch, more = [], asked[row]
        batch, most = [*batch, row], more
    if batch:
        yield batch

"""Log-likelihoods of texts that a model is given, shared by the model families.

What prompts of a batch have in common is read once, then the rest of each prompt. Each
continuation goes on from a copy of what the model keeps of its prompt, its cache of keys and
values; in float32, those of a prompt are read in one row with it where the model takes a mask for
that (``lorascope.models.packing``). A model that keeps something else (a recurrent state, a cache
of its own) reads every continuation with its whole prompt instead. All of them give the same
numbers, beyond rounding.

Log-likelihoods are natural ones, of float32 scores, whatever the model's dtype. Where the scores
of a row are not finite, neither is its sum, and its neighbours are what they were.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.models.batching import make_batches
from lorascope.models.engine import rows_cache
from lorascope.models.engine.forward import Forward, last, real
from lorascope.models.engine.lanes import Prompt
from lorascope.models.packing import Packer
from lorascope.models.prefixes import Group
from lorascope.models.pretrained import embedding_weight
from lorascope.models.profiles import Scaling
from lorascope.models.prompts import Begun, Continuations, Found, Prompts, Read, scored
from lorascope.running.counters import count

MOST_SCORES = 2**27
"""Scores (rows x positions x vocabulary) that are held at once: 0.5 GB in float32."""

Sums: TypeAlias = tuple[Tensor, Tensor]
"""Of each row: its log-likelihood, float64 [rows], and whether it is greedy, bool [rows]."""


@dataclass(frozen=True)
class Row:
    """A continuation as token ids, and the number of its prompt in the batch."""

    prompt: int
    tokens: Sequence[int]


class _NoRowsError(Exception):
    """What a model keeps has no rows that could be copied."""


class Reader:
    """Reads continuations of prompts with a causal language model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.forward = model, Forward(model)
        self._copies = "past_key_values" in self.forward.takes
        self._packer = Packer(self.forward)
        self._packs: bool | None = None
        """Whether rows are packed: known once the model has read some in both ways."""

    def choose(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuations]
    ) -> list[Likelihoods]:
        """Return the likelihoods of the continuations of prompts as the engine has them."""
        keys = [prompt.keys for prompt in prompts]
        scalings = [prompt.scaling for prompt in prompts]
        return self.read([prompt.read() for prompt in prompts], continuations, keys, scalings)

    @torch.inference_mode()
    def read(
        self,
        prompts: Sequence[Tensor],
        continuations: Sequence[Continuations],
        keys: Sequence[Sequence[Hashable]] | None = None,
        scalings: Sequence[Scaling | None] | None = None,
    ) -> list[Likelihoods]:
        """Return the likelihoods of each prompt's continuations, none of which is empty.

        Prompts are embeddings [positions, width] or ids [positions]. ``keys`` has one key per
        position of each, () where they are unknown, and what has equal keys is equal: ids are
        their own. ``scalings`` are the prompts' own absolute LoRA scalings, for a model of which
        ``scales_rows`` is true. Where they are not packed, as many continuations are read at
        once as there are prompts, so that they take as much memory again at most.
        """
        given = Prompts.of(prompts, keys, scalings)
        try:
            found = self._found(given, continuations) if self._copies else None
        except _NoRowsError:
            self._copies, found = False, None
        found = found or self._whole(given, continuations)
        count("prompts read", len(prompts))
        count("continuations read", sum(map(len, continuations)))
        return [
            likelihoods(sums, several, len(prompt))
            for prompt, several, sums in zip(prompts, continuations, found, strict=True)
        ]

    def _found(self, prompts: Prompts, continuations: Sequence[Continuations]) -> list[Found]:
        found: list[Found] = [[]] * len(prompts.rows)
        for which, groups in prompts.parts():
            part, several = prompts.chosen(which), [continuations[i] for i in which]
            begun = self._begin(part, groups)
            for i, one in zip(which, self._continued(part, begun, several), strict=True):
                found[i] = one
        return found

    def _continued(
        self, prompts: Prompts, begun: Begun | None, continuations: Sequence[Continuations]
    ) -> list[Found]:
        """Read prompts and their continuations, packed where that may be."""
        if self._packs is None:
            self._packs = embedding_weight(self.model).dtype == torch.float32 and self._try()
        found: list[Found] = [[]] * len(continuations)
        if self._packs:
            found = self._packer.read(prompts, begun, continuations, MOST_SCORES)
        # An overflow in one continuation shows in those that lie in its row, too.
        left = [i for i, sums in enumerate(found) if not (sums and _finite(sums))]
        if left:
            rest = begun and begun.of(left)
            several = [continuations[i] for i in left]
            for i, one in zip(left, self._apart(prompts.chosen(left), rest, several), strict=True):
                found[i] = one
        return found

    def _try(self) -> bool:
        """Tell whether the model reads continuations packed as it reads them apart."""
        device = embedding_weight(self.model).device
        ids = [torch.tensor(row, device=device) for row in ([1, 2, 3, 4], [5, 6])]
        prompts, several = Prompts.of(ids, None, None), [[[3, 1], [2, 4]], [[1, 5], [6, 2, 1]]]
        apart = self._apart(prompts, None, several)
        return self._packer.reads(prompts, several, apart)

    # -------------------------------------------------------------------------- prompts

    def _begin(self, prompts: Prompts, groups: Sequence[Group]) -> Begun | None:
        """Read the prefixes of groups that hold every prompt; None for no groups.

        What all prefixes have in common with others is read once in turn.
        """
        if not groups:
            return None
        prefixes = prompts.prefixes(groups)
        (which, outer), *others = prefixes.parts()
        begun = None
        if outer and not others:
            begun = self._begin(prefixes.chosen(which), outer)
            begun = begun and begun.of([which.index(i) for i in range(len(which))])
        count("prefixes shared", len(groups))
        owners = {i: number for number, group in enumerate(groups) for i in group.rows}
        read = self._read_on(prefixes, begun)
        return Begun(read, [owners[i] for i in range(len(prompts.rows))])

    def _read_on(self, prompts: Prompts, begun: Begun | None) -> Read:
        """Read prompts, from where their beginnings that were read end."""
        rows, scalings = prompts.rows, prompts.scalings
        if begun is None:
            scores, cache, width = self.forward.prompts(rows, scalings)
            if not rows_cache.joinable(cache):
                raise _NoRowsError
        else:
            read = begun.chosen()
            scores, cache, width = self.forward.rests(
                rows, begun.lengths, read.cache, read.width, scalings
            )
        return Read(cache, [len(row) for row in rows], width, scores)

    # -------------------------------------------------------------------- continuations

    def _apart(
        self, prompts: Prompts, begun: Begun | None, continuations: Sequence[Continuations]
    ) -> list[Found]:
        """Read prompts, then rows of their continuations from the ends of the prompts on."""
        read = self._read_on(prompts, begun)
        rows = [Row(i, ids) for i, several in enumerate(continuations) for ids in several]
        firsts = torch.tensor([row.tokens[0] for row in rows])
        sums, greedy = scored(read.scores, firsts, [row.prompt for row in rows])
        longer = [i for i, row in enumerate(rows) if len(row.tokens) > 1]
        for batch in make_batches([len(rows[i].tokens) for i in longer], len(prompts.rows)):
            chosen = [longer[i] for i in batch]
            more, also = self._follow(prompts, read, [rows[i] for i in chosen])
            sums[chosen] += more
            greedy[chosen] &= also
        return _split(sums, greedy, continuations)

    def _follow(self, prompts: Prompts, read: Read, rows: Sequence[Row]) -> Sums:
        """Read rows but for their first tokens, in blocks of as many as scores may be held of."""
        ids, given = _right_pad([row.tokens[:-1] for row in rows])
        targets, _ = _right_pad([row.tokens[1:] for row in rows])
        own = read.chosen([row.prompt for row in rows])
        scalings = [prompts.scalings[row.prompt] for row in rows]
        mask, cache = torch.cat([own.mask, given.to(own.mask)], 1), own.cache
        sums = torch.zeros(len(rows), dtype=torch.float64)
        greedy = torch.ones(len(rows), dtype=torch.bool)
        block = max(1, MOST_SCORES // (len(rows) * read.scores.shape[1]))
        for start in range(0, ids.shape[1], block):
            end = min(start + block, ids.shape[1])
            inputs = self.forward.inputs(ids[:, start:end], prompts.rows[0])
            so_far = mask[:, : own.width + end]
            scores, cache = self.forward.scores(inputs, so_far, last(end - start), scalings, cache)
            logs, likeliest = scored(scores, targets[:, start:end])
            sums += logs.masked_fill(~given[:, start:end], 0).sum(-1)
            greedy &= (likeliest | ~given[:, start:end]).all(-1)
        return sums, greedy

    def _whole(self, prompts: Prompts, continuations: Sequence[Continuations]) -> list[Found]:
        """Read each row with its whole prompt, padded on the right, where nothing looks at it."""
        rows = [Row(i, ids) for i, several in enumerate(continuations) for ids in several]
        sums = torch.zeros(len(rows), dtype=torch.float64)
        greedy = torch.ones(len(rows), dtype=torch.bool)
        lengths = [len(prompts.rows[row.prompt]) + len(row.tokens) - 1 for row in rows]
        vocabulary = len(embedding_weight(self.model))
        most = max(1, MOST_SCORES // (max(lengths) * vocabulary))
        for batch in make_batches(lengths, min(len(prompts.rows), most)):
            own = prompts.chosen([rows[i].prompt for i in batch])
            tokens = [rows[i].tokens for i in batch]
            count("prefill positions", sum(map(len, own.rows)))
            inputs = pad_sequence(
                [self.forward.joined(*row) for row in zip(own.rows, tokens, strict=True)],
                batch_first=True,
            )
            mask = real([lengths[i] for i in batch], inputs.shape[1], inputs.device, before=False)
            # From the last position of the shortest prompt on.
            start = min(map(len, own.rows)) - 1
            asked = last(inputs.shape[1] - start)
            scores, _ = self.forward.scores(inputs, mask, asked, own.scalings, use_cache=False)
            for i, prompt, ids, of_row in zip(batch, own.rows, tokens, scores, strict=True):
                found = of_row[len(prompt) - 1 - start :][: len(ids)]
                logs, likeliest = scored(found, torch.tensor(ids))
                sums[i], greedy[i] = logs.sum(), likeliest.all()
        return _split(sums, greedy, continuations)


def _split(sums: Tensor, greedy: Tensor, continuations: Sequence[Continuations]) -> list[Found]:
    """Return (sum, whether greedy) of each prompt's continuations; no overflow is greedy."""
    found = iter(zip(sums.tolist(), (greedy & sums.isfinite()).tolist(), strict=True))
    return [[next(found) for _ in several] for several in continuations]


def _finite(sums: Found) -> bool:
    return all(math.isfinite(total) for total, _ in sums)


def likelihoods(
    found: Sequence[tuple[float, bool]], tokens: Sequence[Sequence[int]], prompt: int
) -> Likelihoods:
    """Return (sum, whether greedy) of a prompt's continuations as what a family answers with."""
    return Likelihoods(
        sums=tuple(total for total, _ in found),
        tokens=tuple(map(len, tokens)),
        greedy=tuple(greedy for _, greedy in found),
        prompt_tokens=prompt,
    )


def _right_pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return ids [rows, longest], padded on the right, and which of them are real."""
    ids = [torch.tensor(row, dtype=torch.long) for row in rows]
    padded, lengths = pad_sequence(ids, batch_first=True), [len(row) for row in rows]
    return padded, real(lengths, padded.shape[1], padded.device, before=False).bool()


# ------------------------------------------------------------------------------ what is read


def turn_ids(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, texts: Sequence[str]
) -> list[list[int]]:
    """Return the token ids of texts that each begin the model's turn, without blanks before."""
    found = [tokenizer(text.lstrip(), add_special_tokens=False).input_ids for text in texts]
    for text, ids in zip(texts, found, strict=True):
        check_ids(model, ids, text)
    return found


def check_ids(model: PreTrainedModel, ids: Sequence[int], text: str) -> None:
    """UserError for a continuation without tokens, or with one that the model does not have."""
    if not ids:
        raise UserError(f"a continuation has no tokens whose likelihood could be told: {text!r}.")
    if max(ids) >= len(embedding_weight(model)):
        raise UserError(
            f"model: its tokenizer gives the id {max(ids)}, which the model does not have. Are "
            "both from one model?"
        )


def most_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads at once; None where its configuration is silent."""
    config = model.config.get_text_config(decoder=True)
    most: int | None = getattr(config, "max_position_embeddings", None)
    return most


def check_room(
    most: int | None, prompt: int, continuations: Sequence[Sequence[int]], question: str
) -> None:
    """UserError where a continuation leads beyond the positions that a model has.

    The last token of one is predicted, and not read.
    """
    longest = max(map(len, continuations), default=0)
    if most is not None and prompt + longest - 1 > most:
        raise UserError(
            f"{prompt} tokens of prompt and {longest} of what follows are more than the {most} "
            f"that the model reads at once. Leave out the item whose question starts "
            f"{question[:80]!r}."
        )

"""Log-likelihoods of texts that a model is given, shared by the model families.

The prompts of a batch are read once, padded on the left and masked as for generation. Each
continuation goes on from a copy of what the model keeps of its prompt, its cache of keys and
values. A model that keeps something else (a recurrent state, a cache of its own) reads every
continuation with its whole prompt instead: the same numbers, beyond rounding.

Log-likelihoods are natural ones, of float32 scores, whatever the model's dtype. Where the scores
of a row are not finite, neither is its sum, and its neighbours are what they were.
"""

import copy
import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.models.batching import make_batches
from lorascope.models.decoding import left_pad
from lorascope.models.pretrained import embedding_weight

MOST_SCORES = 2**27
"""Scores (rows x positions x vocabulary) that are held at once: 0.5 GB in float32."""
_COPIED = (DynamicLayer, DynamicSlidingWindowLayer)
"""Layers of a cache whose rows can be copied, and gone on from by several tokens at once."""

Sums: TypeAlias = tuple[Tensor, Tensor]
"""Of each row: its log-likelihood, float64 [rows], and whether it is greedy, bool [rows]."""


@dataclass(frozen=True)
class Row:
    """A continuation as token ids, and the number of its prompt in the batch."""

    prompt: int
    tokens: Sequence[int]


@dataclass(frozen=True)
class Read:
    """The prompts of a batch, read: what the model keeps of them, and their mask.

    The mask is [prompts, positions], ``scores`` [prompts, vocabulary] are of the token after each.
    """

    cache: Any
    mask: Tensor
    scores: Tensor


class Reader:
    """Reads continuations of prompts with a causal language model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._takes = inspect.signature(model.forward).parameters.keys()
        self._copies = "past_key_values" in self._takes

    @torch.inference_mode()
    def read(
        self, prompts: Sequence[Tensor], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[Likelihoods]:
        """Return the likelihoods of each prompt's continuations, none of which is empty.

        Prompts are embeddings [positions, width] or ids [positions]. As many continuations are
        read at once as there are prompts, so that they take as much memory again at most.
        """
        rows = [Row(i, ids) for i, several in enumerate(continuations) for ids in several]
        read = self._read_prompts(prompts) if self._copies else None
        sums, greedy = self._go_on(prompts, read, rows) if read else self._whole(prompts, rows)
        found = iter(zip(sums.tolist(), (greedy & sums.isfinite()).tolist(), strict=True))
        return [
            likelihoods([next(found) for _ in several], several, len(prompt))
            for prompt, several in zip(prompts, continuations, strict=True)
        ]

    def _read_prompts(self, prompts: Sequence[Tensor]) -> Read | None:
        """Read prompts; None where what the model keeps of them cannot be copied."""
        inputs, mask = left_pad(prompts)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        scores, cache = self._forward(inputs, mask, positions, 1)
        self._copies = type(cache) is DynamicCache and all(type(x) in _COPIED for x in cache.layers)
        return Read(cache, mask, scores[:, 0]) if self._copies else None

    def _go_on(self, prompts: Sequence[Tensor], read: Read, rows: Sequence[Row]) -> Sums:
        """Read rows from the ends of their prompts on."""
        firsts = torch.tensor([row.tokens[0] for row in rows])
        sums, greedy = scored(read.scores[[row.prompt for row in rows]], firsts)
        longer = [i for i, row in enumerate(rows) if len(row.tokens) > 1]
        for batch in make_batches([len(rows[i].tokens) for i in longer], len(prompts)):
            chosen = [longer[i] for i in batch]
            more, also = self._follow(prompts[0], read, [rows[i] for i in chosen])
            sums[chosen] += more
            greedy[chosen] &= also
        return sums, greedy

    def _follow(self, like: Tensor, read: Read, rows: Sequence[Row]) -> Sums:
        """Read rows but for their first tokens, in blocks of as many as scores may be held of."""
        ids, real = _right_pad([row.tokens[:-1] for row in rows])
        targets, _ = _right_pad([row.tokens[1:] for row in rows])
        chosen = torch.tensor([row.prompt for row in rows])
        mask = torch.cat([read.mask[chosen], real.to(read.mask)], 1)
        width, length = read.mask.shape[1], ids.shape[1]
        positions = (mask.cumsum(-1) - 1)[:, width:]
        cache = _copied(read.cache, chosen)
        sums = torch.zeros(len(rows), dtype=torch.float64)
        greedy = torch.ones(len(rows), dtype=torch.bool)
        block = max(1, MOST_SCORES // (len(rows) * read.scores.shape[1]))
        for start in range(0, length, block):
            end = min(start + block, length)
            inputs = self._inputs(ids[:, start:end], like)
            scores, cache = self._forward(
                inputs, mask[:, : width + end], positions[:, start:end], end - start, cache
            )
            logs, likeliest = scored(scores, targets[:, start:end])
            sums += logs.masked_fill(~real[:, start:end], 0).sum(-1)
            greedy &= (likeliest | ~real[:, start:end]).all(-1)
        return sums, greedy

    def _whole(self, prompts: Sequence[Tensor], rows: Sequence[Row]) -> Sums:
        """Read each row with its whole prompt, padded on the right, where nothing looks at it."""
        sums = torch.zeros(len(rows), dtype=torch.float64)
        greedy = torch.ones(len(rows), dtype=torch.bool)
        lengths = [len(prompts[row.prompt]) + len(row.tokens) - 1 for row in rows]
        vocabulary = len(embedding_weight(self.model))
        most = max(1, MOST_SCORES // (max(lengths) * vocabulary))
        for batch in make_batches(lengths, min(len(prompts), most)):
            inputs = pad_sequence(
                [self._sequence(prompts[rows[i].prompt], rows[i].tokens[:-1]) for i in batch],
                batch_first=True,
            )
            mask = _real([lengths[i] for i in batch]).to(inputs.device, torch.long)
            positions = torch.arange(inputs.shape[1], device=inputs.device).expand_as(mask)
            # From the last position of the shortest prompt on.
            start = min(len(prompts[rows[i].prompt]) for i in batch) - 1
            last = inputs.shape[1] - start
            scores, _ = self._forward(inputs, mask, positions, last, use_cache=False)
            for i, row_scores in zip(batch, scores, strict=True):
                own = row_scores[len(prompts[rows[i].prompt]) - 1 - start :][: len(rows[i].tokens)]
                logs, likeliest = scored(own, torch.tensor(rows[i].tokens))
                sums[i], greedy[i] = logs.sum(), likeliest.all()
        return sums, greedy

    def _sequence(self, prompt: Tensor, tokens: Sequence[int]) -> Tensor:
        ids = torch.tensor(tokens, dtype=torch.long)
        return torch.cat([prompt, self._inputs(ids, prompt)])

    def _inputs(self, ids: Tensor, like: Tensor) -> Tensor:
        """Return ids as the model is given them: as they are, or embedded as its prompts are."""
        ids = ids.to(embedding_weight(self.model).device)
        return self.model.get_input_embeddings()(ids) if like.is_floating_point() else ids

    def _forward(
        self,
        inputs: Tensor,
        mask: Tensor,
        positions: Tensor,
        last: int,
        cache: Any = None,
        use_cache: bool = True,
    ) -> tuple[Tensor, Any]:
        """Return the scores at the ``last`` positions [rows, last, vocabulary], and the cache.

        No others are computed: not every model has transformers' logits_to_keep.
        """
        told = {"position_ids": positions, "past_key_values": cache, "use_cache": use_cache}
        given = {"inputs_embeds" if inputs.is_floating_point() else "input_ids": inputs}
        known = {key: value for key, value in told.items() if key in self._takes}

        def cut(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            return arguments and (arguments[0][:, -last:], *arguments[1:])

        head: Any = self.model.get_output_embeddings()
        handle = nullcontext() if head is None else head.register_forward_pre_hook(cut)
        with handle:
            output = self.model(**given, attention_mask=mask, **known)
        return output.logits[:, -last:], getattr(output, "past_key_values", None)


def scored(scores: Tensor, targets: Tensor) -> Sums:
    """Return the log-likelihoods of targets [...] by scores [..., vocabulary], and which lead."""
    targets = targets.to(scores.device)
    logs = scores.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return logs.double().cpu(), (scores.argmax(-1) == targets).cpu()


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
    return pad_sequence(ids, batch_first=True), _real([len(row) for row in rows])


def _real(lengths: Sequence[int]) -> Tensor:
    """Return bool [rows, longest]: the first so many of each row."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _copied(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """Return a cache of these rows of another one, which stays as it is."""
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    copied.batch_select_indices(rows)
    return copied


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

"""One pass of a causal language model, as it is called with what it keeps of its rows."""

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.cache_utils import DynamicCache
from transformers.modeling_utils import PreTrainedModel

from lorascope.models.decoding import left_pad
from lorascope.models.engine import rows_cache
from lorascope.models.pretrained import embedding_weight
from lorascope.models.profiles import Scaling
from lorascope.models.row_scalings import row_scalings
from lorascope.running.counters import count

Index: TypeAlias = tuple[Any, Any]
"""Of positions in [rows, positions, ...], as tensors are indexed."""


def last(positions: int) -> Index:
    """Return the index of the last positions of every row."""
    return slice(None), slice(-positions, None)


def real(lengths: Sequence[int], width: int, device: Any, before: bool = True) -> Tensor:
    """Return int64 [rows, width]: 1 at the last so many columns of each row, or the first."""
    columns = torch.arange(width, device=device)
    given = torch.tensor(lengths, device=device)[:, None]
    return (columns >= width - given if before else columns < given).long()


class Forward:
    """Calls a model with what its forward takes."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.takes = inspect.signature(model.forward).parameters.keys()
        config = model.config.get_text_config(decoder=True)
        attention, alibi = config._attn_implementation, getattr(config, "alibi", False)
        self.reads_masks = "position_ids" in self.takes and attention == "sdpa" and not alibi
        """Whether all that it derives from a mask is what attention masks: no positions, ALiBi."""
        self.dense = self.reads_masks and model.device.type != "cpu"
        """Whether a step is given the mask as attention takes it, [rows, 1, 1, columns].

        Of one [rows, columns] transformers looks at each step whether it masks anything, for which
        the host waits.
        """

    def __call__(
        self,
        inputs: Tensor,
        mask: Tensor | None,
        positions: Tensor,
        cache: Any = None,
        use_cache: bool = True,
    ) -> Any:
        """Return what the model says of ids [rows, positions] or embeddings."""
        given = {"inputs_embeds" if inputs.is_floating_point() else "input_ids": inputs}
        told = {"position_ids": positions, "past_key_values": cache, "use_cache": use_cache}
        known = {key: value for key, value in told.items() if key in self.takes}
        return self.model(**given, attention_mask=mask, **known)

    def step(self, tokens: Tensor, mask: Tensor | None, positions: Tensor, cache: Any) -> Any:
        """Return what the model says of one token [rows] more of each row."""
        if mask is not None and self.dense and rows_cache.is_full(cache):
            mask = mask.bool()[:, None, None]
        return self(tokens[:, None], mask, positions[:, None], cache)

    def scores(
        self,
        inputs: Tensor,
        mask: Tensor,
        asked: Index,
        scalings: Sequence[Scaling | None],
        cache: Any = None,
        use_cache: bool = True,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Return the scores [rows, asked, vocabulary] where asked for, and the cache.

        No others are computed: not every model has transformers' logits_to_keep. ``scalings`` are
        the rows', see ``row_scalings``; positions are those that the mask [rows, positions so
        far] says, or are given beside another mask.
        """
        if positions is None:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        head: Any = self.model.get_output_embeddings()
        cuts: list[bool] = []

        def cut(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            cuts.append(bool(arguments))
            return arguments and (arguments[0][asked], *arguments[1:])

        handle = nullcontext() if head is None else head.register_forward_pre_hook(cut)
        with handle, row_scalings(self.model, scalings):
            output = self(inputs, mask, positions, cache, use_cache)
        logits = output.logits if any(cuts) else output.logits[asked]
        return logits, getattr(output, "past_key_values", None)

    def inputs(self, ids: Tensor, like: Tensor) -> Tensor:
        """Return ids as the model is given them: as they are, or embedded as its prompts are."""
        ids = ids.to(embedding_weight(self.model).device)
        return self.model.get_input_embeddings()(ids) if like.is_floating_point() else ids

    def joined(self, prompt: Tensor, tokens: Sequence[int]) -> Tensor:
        """Return a prompt and what follows it but for its last token, which is not read."""
        return torch.cat([prompt, self.inputs(torch.tensor(tokens[:-1]).long(), prompt)])

    def prompts(
        self, rows: Sequence[Tensor], scalings: Sequence[Scaling | None]
    ) -> tuple[Tensor, Any, int]:
        """Read prompts [positions, ...] from their beginnings on.

        Returns the scores [rows, vocabulary] after each, the cache and its width. It may be the
        cache of something else than keys and values, see ``rows_cache.joinable``.
        """
        count("prefill positions", sum(map(len, rows)))
        padded, mask = left_pad(rows)
        scores, cache = self.scores(padded, mask, last(1), scalings)
        return scores[:, 0], cache, mask.shape[1]

    def rests(
        self,
        rows: Sequence[Tensor],
        starts: Sequence[int],
        cache: DynamicCache,
        width: int,
        scalings: Sequence[Scaling | None],
    ) -> tuple[Tensor, DynamicCache, int]:
        """Read prompts from the ends of their beginnings on, as `prompts` does.

        The cache, which becomes theirs, holds the beginnings in ``width`` columns: ``starts``
        positions of each row. What pads the rests comes last, and is moved to the front
        afterwards: a window would count padding between two positions.
        """
        rests = [row[start:] for row, start in zip(rows, starts, strict=True)]
        lengths, device = [len(rest) for rest in rests], rests[0].device
        count("prefill positions", sum(lengths))
        more, ends = max(lengths), torch.tensor(lengths, device=device)
        before = real(starts, width, device)
        mask = torch.cat([before, real(lengths, more, device, before=False)], 1)
        asked = torch.arange(len(rests), device=device)[:, None], ends[:, None] - 1
        inputs = pad_sequence(rests, batch_first=True)
        rows_cache.keep_past(cache, True)
        scores, cache = self.scores(inputs, mask, asked, scalings, cache)
        rows_cache.keep_past(cache, False)
        rows_cache.shift(cache, more - ends, width + more)
        longest = max(map(len, rows))
        rows_cache.keep(cache, None, longest)
        return scores[:, 0], cache, longest

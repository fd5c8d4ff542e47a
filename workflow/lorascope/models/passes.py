"""One pass of a causal language model over rows that scores the positions asked about alone."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from lorascope.models.engine.forward import Forward
from lorascope.models.lora import row_scalings
from lorascope.models.pretrained import embedding_weight

Index: TypeAlias = tuple[Any, Any]
"""Of positions in [rows, positions, ...], as tensors are indexed."""


def last(positions: int) -> Index:
    """Return the index of the last positions of every row."""
    return slice(None), slice(-positions, None)


class Passes(Forward):
    """Passes of a model, each over rows at scalings of their own."""

    def scores(
        self,
        inputs: Tensor,
        mask: Tensor,
        asked: Index,
        scalings: Sequence[float | None],
        cache: Any = None,
        use_cache: bool = True,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Return the scores [rows, asked, vocabulary] where asked for, and the cache.

        No others are computed: not every model has transformers' logits_to_keep. ``scalings`` are
        the rows', see ``lora.row_scalings``; positions are those that the mask [rows, positions so
        far] says, or are given beside another mask.
        """
        if positions is None:
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        told = {"position_ids": positions, "past_key_values": cache, "use_cache": use_cache}
        given = {"inputs_embeds" if inputs.is_floating_point() else "input_ids": inputs}
        known = {key: value for key, value in told.items() if key in self.takes}
        head: Any = self.model.get_output_embeddings()
        cuts: list[bool] = []

        def cut(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            cuts.append(bool(arguments))
            return arguments and (arguments[0][asked], *arguments[1:])

        handle = nullcontext() if head is None else head.register_forward_pre_hook(cut)
        with handle, row_scalings(self.model, scalings):
            output = self.model(**given, attention_mask=mask, **known)
        logits = output.logits if any(cuts) else output.logits[asked]
        return logits, getattr(output, "past_key_values", None)

    def inputs(self, ids: Tensor, like: Tensor) -> Tensor:
        """Return ids as the model is given them: as they are, or embedded as its prompts are."""
        ids = ids.to(embedding_weight(self.model).device)
        return self.model.get_input_embeddings()(ids) if like.is_floating_point() else ids

    def joined(self, prompt: Tensor, tokens: Sequence[int]) -> Tensor:
        """Return a prompt and what follows it but for its last token, which is not read."""
        return torch.cat([prompt, self.inputs(torch.tensor(tokens[:-1]).long(), prompt)])

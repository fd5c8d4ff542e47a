"""One pass of a causal language model, as it is called with what it keeps of its rows."""

import inspect
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import PreTrainedModel

from lorascope.models.engine import rows_cache


class Forward:
    """Calls a model with what its forward takes."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.takes = inspect.signature(model.forward).parameters.keys()
        config = model.config.get_text_config(decoder=True)
        attention, alibi = config._attn_implementation, getattr(config, "alibi", False)
        reads = "position_ids" in self.takes and attention == "sdpa" and not alibi
        self.dense = reads and model.device.type != "cpu"
        """Whether a step is given the mask as attention takes it, [rows, 1, 1, columns].

        Of one [rows, columns] transformers looks at each step whether it masks anything, for which
        the host waits. Models that derive more from the mask (positions, ALiBi) need that one.
        """

    def __call__(self, inputs: Tensor, mask: Tensor | None, positions: Tensor, cache: Any) -> Any:
        """Return what the model says of ids [rows, positions] or embeddings."""
        given = {"inputs_embeds" if inputs.is_floating_point() else "input_ids": inputs}
        told = {"position_ids": positions, "past_key_values": cache, "use_cache": True}
        known = {key: value for key, value in told.items() if key in self.takes}
        return self.model(**given, attention_mask=mask, **known)

    def step(self, tokens: Tensor, mask: Tensor | None, positions: Tensor, cache: Any) -> Any:
        """Return what the model says of one token [rows] more of each row."""
        if mask is not None and self.dense and rows_cache.is_full(cache):
            mask = mask.bool()[:, None, None]
        return self(tokens[:, None], mask, positions[:, None], cache)

    def read(
        self, inputs: Tensor, mask: Tensor, last: Tensor, cache: Any = None
    ) -> tuple[Tensor, Any]:
        """Return the logits [rows, vocabulary] at the position ``last`` of each row, and the cache.

        No others are computed: not every model has transformers' logits_to_keep.
        """
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        head: Any = self.model.get_output_embeddings()

        def pick(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            return arguments and (_picked(arguments[0], last), *arguments[1:])

        with nullcontext() if head is None else head.register_forward_pre_hook(pick):
            output = self(inputs, mask, positions, cache)
        logits = _picked(output.logits, last) if head is None else output.logits
        return logits[:, -1], getattr(output, "past_key_values", None)


def _picked(states: Tensor, places: Tensor) -> Tensor:
    """Return [rows, 1, width] of states [rows, positions, width]."""
    rows = torch.arange(len(states), device=states.device)
    return states[rows, places.to(states.device)][:, None]

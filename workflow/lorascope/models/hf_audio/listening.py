"""What a model's language model reads: its prompt's embeddings, with the audio's among them."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.feature_extraction_utils import BatchFeature
from transformers.modeling_utils import PreTrainedModel


class _HeardError(Exception):
    """Stops a model where its language model would start."""


@torch.inference_mode()
def heard(model: PreTrainedModel, inputs: BatchFeature) -> Tensor:
    """Return what ``model`` gives its language model for one prompt, [positions, width].

    ``inputs`` are the processor's. The model's own code runs the audio encoder and puts the audio
    embeddings in their places; the language model itself does not run.
    """
    embeddings: list[Tensor] = []

    def listen(module: nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        embeddings.append(named["inputs_embeds"])
        raise _HeardError

    handle = model.get_decoder().register_forward_pre_hook(listen, with_kwargs=True)
    try:
        model(**inputs)
    except _HeardError:
        pass
    finally:
        handle.remove()
    return embeddings[0][0]

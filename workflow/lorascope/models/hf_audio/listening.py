"""What a model's language model reads: its prompt's embeddings, with the audio's among them."""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers.feature_extraction_utils import BatchFeature
from transformers.modeling_utils import PreTrainedModel


class _HeardError(Exception):
    """Stops a model where its language model would start."""


def audio_part(decoder: nn.Module) -> nn.Module | None:
    """Return the part of a language model that puts the audio embeddings in their places.

    Phi-4-multimodal's holds the audio encoder too; most language models have none.
    """
    return getattr(decoder, "embed_tokens_extend", None)


@torch.inference_mode()
def heard(model: PreTrainedModel, inputs: BatchFeature) -> Tensor:
    """Return what ``model`` gives its language model for one prompt, [positions, width].

    ``inputs`` are the processor's. The model's own code runs the audio encoder and puts the audio
    embeddings in their places; the language model itself does not run.
    """
    embeddings: list[Tensor] = []

    def stop(found: Tensor) -> NoReturn:
        embeddings.append(found)
        raise _HeardError

    def listen_before(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        stop(named["inputs_embeds"])

    def listen_after(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        stop(output)

    decoder = model.get_decoder()
    part = audio_part(decoder)
    if part is None:
        handle = decoder.register_forward_pre_hook(listen_before, with_kwargs=True)
    else:
        handle = part.register_forward_hook(listen_after)
    try:
        model(**inputs)
    except _HeardError:
        pass
    finally:
        handle.remove()
    return embeddings[0][0]

"""Which of transformers' audio language models a folder holds, and loading it or its audio half."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.feature_extraction_utils import BatchFeature
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.configuration_auto import AutoConfig
from transformers.models.auto.modeling_auto import AutoModelForMultimodalLM, AutoModelForSeq2SeqLM

from lorascope.errors import UserError
from lorascope.models.hf_audio.listening import audio_part, heard
from lorascope.models.hf_audio.prompting import Prompter
from lorascope.models.pretrained import load_model
from lorascope.models.remote_code import refuse_code
from lorascope.models.weights import UNREADABLE, first_line

# In 5.23, most are multimodal language models; Audio Flamingo 3 is a sequence-to-sequence one.
_LOADERS = (AutoModelForMultimodalLM, AutoModelForSeq2SeqLM)


def load_config(folder: Path, trust_remote_code: bool) -> PreTrainedConfig:
    """Return the configuration in ``folder``; UserError when transformers does not know it."""
    refuse_code(folder, "model", trust_remote_code)
    try:
        config = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    except UNREADABLE as error:
        raise UserError(f"model: {folder}: {first_line(error)}") from error
    # Qwen2.5-Omni's folder also holds what speaks its answers aloud.
    return config.thinker_config if config.model_type == "qwen2_5_omni" else config


def model_class(config: PreTrainedConfig, folder: Path) -> type[PreTrainedModel]:
    """Return transformers' class for a configuration; UserError where it has none."""
    for loader in _LOADERS:
        classes: Any = loader._model_mapping
        if type(config) in classes:
            return cast(type[PreTrainedModel], classes[type(config)])
    raise UserError(
        f"model: {folder} is a {config.model_type} model, which transformers has no audio language "
        "model for."
    )


def load_full(
    folder: Path, device: str, dtype: str, trust_remote_code: bool, key: str = "model"
) -> PreTrainedModel:
    """Load the whole model, without the adapter that the folder may bring along."""
    config = load_config(folder, trust_remote_code)
    loader = model_class(config, folder)
    decoder_name(loader, config)
    return load_model(loader, folder, device, dtype, key, trust_remote_code, config=config)


def load_audio_half(folder: Path, device: str, trust_remote_code: bool) -> PreTrainedModel:
    """Load the model in float32 with silence in place of its language model.

    It runs as far as ``heard`` goes; the embeddings of text are zeros. What is not audio never
    comes to ``device``.
    """
    config = load_config(folder, trust_remote_code)
    loader = model_class(config, folder)
    text = config.get_text_config(decoder=True)
    width, text.num_hidden_layers = text.hidden_size, 0
    if getattr(text, "layer_types", None):
        text.layer_types = []
    layers = rf"^{re.escape(decoder_name(loader, config))}\.layers\."
    ignored = [*(loader._keys_to_ignore_on_load_unexpected or []), layers]
    # transformers renames the tensors of older files for its own modules' classes only.
    own = {"__module__": loader.__module__, "_keys_to_ignore_on_load_unexpected": ignored}
    half = type(loader.__name__, (loader,), own)
    model = load_model(half, folder, "cpu", "float32", "model", trust_remote_code, config=config)
    _silence(model, width)
    return model.to(device)


def _silence(model: PreTrainedModel, width: int) -> None:
    """Take the language model out of a model."""
    decoder = model.get_decoder()
    if audio_part(decoder) is None:
        model.set_decoder(_Silence(width))
    else:
        decoder.set_input_embeddings(_Zeros(width))
        decoder.norm = nn.Identity()
    model.set_output_embeddings(nn.Identity())


class _Zeros(nn.Module):
    """Embeds every token as zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, ids: Tensor) -> Tensor:
        """Return zeros [..., width] for ids [...]."""
        return torch.zeros(*ids.shape, self.width, device=ids.device)


class _Silence(nn.Module):
    """Takes the place of a language model that is not to run."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed_tokens = _Zeros(width)

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of tokens, as transformers' models do."""
        return self.embed_tokens


def decoder_name(loader: type[PreTrainedModel], config: PreTrainedConfig) -> str:
    """Return the name of the language model within the model; UserError where it has no own."""
    with torch.device("meta"):
        model = loader(config)
    decoder = model.get_decoder()
    if decoder in (model, model.base_model) and audio_part(decoder) is None:
        raise UserError(
            f"model: {config.model_type} has no language model apart from the whole, which "
            "hf_audio does not support."
        )
    return next(name for name, module in model.named_modules() if module is decoder)


def verify(model: PreTrainedModel, prompter: Prompter) -> None:
    """Try the model out: UserError unless embeddings alone make it answer as audio and ids do.

    They do not where the language model reads more than its embeddings, such as the tokens too.
    """
    noise = np.random.default_rng(0).standard_normal(prompter.sampling_rate).astype(np.float32)
    inputs = on_device(prompter.inputs(prompter.text("?"), 0.1 * noise), model)
    try:
        own = _logits(model, inputs)
        embeddings = heard(model, inputs)[None]
        mask = inputs["attention_mask"]  # it may decide how attention is computed, and rounded
        ours = _logits(model, {"inputs_embeds": embeddings, "attention_mask": mask})
    except (TypeError, ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise UserError(
            f"model: {model.config.model_type} does not take a clip and a question as hf_audio "
            f"gives them: {first_line(error)}"
        ) from error
    if not torch.isfinite(own).all():
        raise UserError(
            f"model: in {model.dtype}, {model.config.model_type} gives scores that are not finite "
            "numbers. Set dtype: bfloat16 or float32."
        )
    tolerance = max(1e-3, 4 * torch.finfo(model.dtype).eps) * own.abs().max().item()
    if not torch.allclose(own, ours, rtol=0, atol=tolerance):
        raise UserError(
            f"model: {model.config.model_type} reads more than the embeddings of its prompt, which "
            "hf_audio does not support."
        )


@torch.inference_mode()
def _logits(model: PreTrainedModel, inputs: Mapping[str, Any]) -> Tensor:
    """Return the scores of every token after a prompt, float32 [vocabulary]."""
    return model(**inputs).logits[0, -1].float()


def on_device(inputs: BatchFeature, model: PreTrainedModel) -> BatchFeature:
    """Return a processor's outputs where and as the model takes them."""
    return inputs.to(model.device, dtype=model.dtype)

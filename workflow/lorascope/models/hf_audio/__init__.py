"""Audio language models of transformers, with any LoRA adapter of peft or with none.

Tested: Qwen2-Audio (qwen2_audio), Audio Flamingo 3 (audioflamingo3), Granite Speech
(granite_speech), Phi-4-multimodal (phi4_multimodal) and what thinks in Qwen2.5-Omni (qwen2_5_omni,
which needs torchvision). Every model is tried out when it loads, see ``architecture.verify``: one
whose answers do not follow from the embeddings of its prompt is refused, and so is Voxtral, whose
processor takes clips in requests of mistral-common alone. Phi-4-multimodal is served in
transformers' layout (revision refs/pr/70), with its projection for audio without images; the LoRA
that it wants for speech, the folder speech-lora of the model, is an adapter like others.

The settings:

- ``model``: folder of the model and its processor, such as Qwen/Qwen2-Audio-7B-Instruct
- ``system``: text of the system's turn before the user's, in the processor's chat template
- ``encode_once``: whether a clip's features are the audio embeddings that the language model reads,
  computed in float32. Where not, they are its waveform, and the audio encoder runs for every
  question: in the model's dtype, and with what an adapter changes in it
- ``trust_remote_code``: whether Python code of the folder's processor and tokenizer may run; the
  model itself has to be one of transformers' own

An adapter replaces the one that a model folder brings along (adapter_config.json, as Granite
Speech's does); without a study's adapter, the model answers with its own, at its own scaling.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorascope.models.protocol import Answerer, Encoder

_LOADING = (
    "models/checkpoints.py",
    "models/pretrained.py",
    "models/hf_audio/__init__.py",
    "models/hf_audio/architecture.py",
    "models/hf_audio/listening.py",
    "models/hf_audio/mel.py",
    "models/hf_audio/phi4.py",
    "models/hf_audio/prompting.py",
)

ENCODES = True
ENCODE_SOURCES = ("model",)
ENCODE_SETTINGS = ("encode_once", "trust_remote_code")
ENCODE_CODE = (*_LOADING, "models/hf_audio/encoder.py")
INFER_SOURCES = ("model",)
INFER_SETTINGS = ("system", "encode_once", "trust_remote_code")
INFER_CODE = (*_LOADING, "models/hf_audio/answerer.py")

DEFAULTS = {"system": None, "encode_once": True, "trust_remote_code": False}
"""For settings that leave them out."""

_SECONDS = 30


def feature_bytes(settings: Mapping[str, Any]) -> int:
    """Return the size of the features of a clip of 30 s.

    Encoded once: 25 positions a second of width 4096, as Qwen2-Audio's 7B; otherwise 16 kHz.
    """
    values = 25 * 4096 if (DEFAULTS | dict(settings))["encode_once"] else 16000
    return _SECONDS * values * 4


def load_encoder(settings: Mapping[str, Any], device: str, dtype: str = "float32") -> "Encoder":
    """Load the audio encoder and its projector, always in float32 whatever ``dtype``."""
    from lorascope.models.hf_audio.encoder import load

    return load(DEFAULTS | dict(settings), device)


def load_answerer(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: float | None,
    adapter: str | None = None,
) -> "Answerer":
    """Load the model in ``dtype`` and its adapter at ``lora_scaling``."""
    from lorascope.models.hf_audio.answerer import load

    return load(DEFAULTS | dict(settings), device, dtype, lora_scaling, adapter)

"""SALMONN (https://arxiv.org/abs/2310.13289): a Whisper encoder, BEATs, a Q-Former and a Llama.

7B, 13B and smaller ones of the released layout: every size comes from the files. The settings:

- ``whisper``: folder of a Whisper model, such as openai/whisper-large-v2; its encoder is used
- ``beats``: file of a BEATs model, such as BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt
- ``checkpoint``: file of SALMONN's trained part, such as salmonn_7b_v0.pth
- ``llm``: folder of a Llama model, such as lmsys/vicuna-7b-v1.5
- ``second_per_window``, ``second_stride``: the Q-Former's window and stride, in seconds
- ``qformer_heads``: its attention heads, which no tensor shows
- ``prompt_template``: text with one ``{}`` for the audio and the question
- ``lora_alpha``: the adapter's own scaling is ``lora_alpha`` / rank
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorascope.models.protocol import Answerer, Encoder

ENCODES = True
ENCODE_SOURCES = ("whisper", "beats", "checkpoint")
ENCODE_SETTINGS = ("second_per_window", "second_stride", "qformer_heads")
ENCODE_CODE = (
    "models/checkpoints.py",
    *(
        f"models/salmonn/{name}.py"
        for name in ("__init__", "beats", "bridge", "checkpoint", "encoder", "frontend")
    ),
)
INFER_SOURCES = ("llm", "checkpoint")
INFER_SETTINGS = ("prompt_template", "lora_alpha")
INFER_CODE = (
    "models/checkpoints.py",
    "models/pretrained.py",
    *(f"models/salmonn/{name}.py" for name in ("__init__", "answerer", "checkpoint")),
)

BRIDGE = "bridge.safetensors"
"""A bridge that was trained with an adapter, beside peft's files, under its released names."""

DEFAULTS = {
    "second_per_window": 0.333333,
    "second_stride": 0.333333,
    "qformer_heads": 12,
    "prompt_template": "USER: {}\nASSISTANT:",
    "lora_alpha": 32,
}
"""The released models' values, for settings that leave them out."""


def feature_bytes(settings: Mapping[str, Any]) -> int:
    """Return the size of one clip's features for the released models: 30 s, width 768, float32."""
    window, stride = (round(50 * settings[k]) for k in ("second_per_window", "second_stride"))
    return ((1500 - window) // stride + 1) * 768 * 4


def load_encoder(settings: Mapping[str, Any], device: str, dtype: str = "float32") -> "Encoder":
    """Load Whisper's encoder, BEATs and the bridge, always in float32 whatever ``dtype``.

    ``adapter`` in the settings is the folder of an adapter that was trained with its own bridge.
    """
    from lorascope.models.salmonn.encoder import load

    return load(DEFAULTS | dict(settings), device)


def load_answerer(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: float | None,
    adapter: str | None = None,
) -> "Answerer":
    """Load the language model in ``dtype``, its LoRA at ``lora_scaling``, and the projection.

    ``adapter``, a folder of peft's files, takes the place of the checkpoint's LoRA, and of its
    bridge where it brings its own.
    """
    from lorascope.models.salmonn.answerer import load

    return load(DEFAULTS | dict(settings), device, dtype, lora_scaling, adapter)

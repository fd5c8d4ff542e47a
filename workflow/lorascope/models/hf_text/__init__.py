"""Any causal language model of transformers, with any LoRA adapter of peft or with none.

The settings:

- ``model``: folder of the model and its tokenizer, such as meta-llama/Meta-Llama-3-8B
- ``prompt_template``: text with one ``{}`` for the question, which is the benchmark's whole prompt
- ``chat_template``: whether the prompt is a user's turn in the tokenizer's chat template
- ``system``: text of the system's turn before it, for ``chat_template``
- ``add_special_tokens``: whether the tokenizer adds its own, such as BOS, to a prompt without chat
  template; a chat template brings them along
- ``trust_remote_code``: whether Python code in the folder may run
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorascope.models.protocol import Answerer

ENCODES = False
INFER_SOURCES = ("model",)
INFER_SETTINGS = (
    "chat_template",
    "system",
    "prompt_template",
    "add_special_tokens",
    "trust_remote_code",
)
INFER_CODE = (
    "models/checkpoints.py",
    "models/pretrained.py",
    "models/hf_text/__init__.py",
    "models/hf_text/answerer.py",
)

DEFAULTS = {
    "chat_template": False,
    "system": None,
    "prompt_template": "{}",
    "add_special_tokens": True,
    "trust_remote_code": False,
}
"""For settings that leave them out."""


def load_answerer(
    settings: Mapping[str, Any],
    device: str,
    dtype: str,
    lora_scaling: float | None,
    adapter: str | None,
) -> "Answerer":
    """Load the model in ``dtype`` and its adapter at ``lora_scaling``."""
    from lorascope.models.hf_text.answerer import load

    return load(DEFAULTS | dict(settings), device, dtype, lora_scaling, adapter)

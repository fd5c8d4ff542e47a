"""Names of LoRA parameters: peft's and those that MindPet gives the same tensors.

MindFormers' Llama calls its layers after the published one: attention.wq, feed_forward.w1.
"""

import re

from lorascope.errors import UserError

PEFT_PREFIX = "base_model.model."
MINDPET_MODULES = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}
_PEFT_MODULES = {theirs: ours for ours, theirs in MINDPET_MODULES.items()}
_PEFT = re.compile(
    re.escape(PEFT_PREFIX) + r"model\.layers\.(\d+)\.(\w+\.\w+)\.lora_([AB])\.default\.weight"
)
_MINDPET = re.compile(r"model\.layers\.(\d+)\.(\w+\.\w+)\.mindpet_delta_lora_([ab])")


def to_mindpet(name: str) -> str:
    """Return MindPet's name of a LoRA parameter of a Llama, given peft's; UserError for others."""
    match = _PEFT.fullmatch(name)
    if match is None or match[2] not in MINDPET_MODULES:
        raise UserError(
            f"train.parameter_names: MindPet has no name for {name}, only for the LoRA of a "
            "Llama's layers; set parameter_names: peft"
        )
    layer, module, side = match.groups()
    return f"model.layers.{layer}.{MINDPET_MODULES[module]}.mindpet_delta_lora_{side.lower()}"


def to_peft(name: str) -> str:
    """Return peft's name of a LoRA parameter of a Llama, given MindPet's; UserError for others."""
    match = _MINDPET.fullmatch(name)
    if match is None or match[2] not in _PEFT_MODULES:
        raise UserError(f"{name} is not MindPet's name of a LoRA parameter of a Llama")
    layer, module, side = match.groups()
    inner = f"model.layers.{layer}.{_PEFT_MODULES[module]}"
    return f"{PEFT_PREFIX}{inner}.lora_{side.upper()}.default.weight"

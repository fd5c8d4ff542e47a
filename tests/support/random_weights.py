"""Random weights under which every part of a model shows in its outputs."""

import torch
from torch import nn

VOCABULARY = 64
WIDTHS = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
"""A small model of transformers, as its configurations say it; GROUPED shares keys and values."""
GROUPED = WIDTHS | {"num_key_value_heads": 2}


def randomise(module: nn.Module) -> nn.Module:
    """Make every parameter matter: a fresh model's biases are zero and its outputs nearly equal."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
        else:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return module

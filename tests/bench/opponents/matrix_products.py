"""The products of a Llama's matrices and of its attention, and nothing else."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class Products:
    """What generation multiplies: weights are the model's own, numbers between them made up."""

    def __init__(self, llm: Any) -> None:
        self.config = llm.config
        self.layers = [
            {
                name: getattr(part, name).weight
                for part in (layer.self_attn, layer.mlp)
                for name in vars(part)["_modules"]
                if name.endswith("_proj")
            }
            for layer in llm.model.layers
        ]
        self.head = llm.lm_head.weight

    @torch.inference_mode()
    def generate(self, rows: int, prompt: int, new_tokens: int) -> None:
        """Multiply as a batch of prompts does that is followed by so many tokens a row."""
        width = self.config.hidden_size
        heads, size = self.config.num_attention_heads, width // self.config.num_attention_heads
        cache = torch.randn(2, rows, heads, prompt + new_tokens, size)
        self._forward(torch.randn(rows, prompt, width), cache[:, :, :, :prompt], causal=True)
        for step in range(1, new_tokens):
            seen = cache[:, :, :, : prompt + step]
            self._forward(torch.randn(rows, 1, width), seen, causal=False)

    def _forward(self, states: Tensor, cache: Tensor, causal: bool) -> None:
        rows, positions, _ = states.shape
        heads, size = cache.shape[2], cache.shape[4]
        for weights in self.layers:
            query, _, _ = (F.linear(states, weights[f"{name}_proj"]) for name in "qkv")
            asked = query.view(rows, positions, heads, size).transpose(1, 2)
            heard = F.scaled_dot_product_attention(asked, cache[0], cache[1], is_causal=causal)
            F.linear(heard.transpose(1, 2).reshape(states.shape), weights["o_proj"])
            inner = F.linear(states, weights["gate_proj"])
            F.linear(states, weights["up_proj"])
            F.linear(inner, weights["down_proj"])
        F.linear(states[:, -1], self.head)

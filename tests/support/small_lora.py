"""A small model with adapters as peft writes them, and the dense products that they are."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn

TARGETS = ["embed", "q_proj", "up_proj"]
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {"layers.1.q_proj": 2, "up_proj": 5},
        "alpha_pattern": {r"layers\.0\..*": 3.0, "q_proj": -2.0},
    },
    "rslora and patterns": {"use_rslora": True, "rank_pattern": {"q_proj": 7}},
}


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.up_proj = nn.Linear(12, 12), nn.Linear(12, 30, bias=False)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layers = nn.Embedding(40, 12), nn.ModuleList([Layer(), Layer()])


def adapted(folder: Path, seed: int = 0, **own: Any) -> Any:
    """Write a small model and a random adapter of it, as peft does; return peft's model."""
    torch.manual_seed(seed)
    model = Small()
    folder.mkdir(exist_ok=True)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": TARGETS, **own})
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter)
    wrapped.save_pretrained(folder / "adapter")
    return wrapped


def dense(wrapped: Any, module: str) -> tuple[np.ndarray, np.ndarray]:
    """Return s B A and W of a module, as peft has them."""
    layer = wrapped.base_model.model.get_submodule(module)
    change = layer.get_delta_weight("default").detach().double().numpy()
    return change, layer.base_layer.weight.detach().double().numpy()


def with_experts(folder: Path) -> np.ndarray:
    """Write an adapter of a parameter with three experts; return peft's own s B A of each."""
    torch.manual_seed(0)
    experts = nn.Module()
    experts.w = nn.Parameter(torch.randn(3, 6, 10))
    model = nn.ModuleDict({"experts": experts})
    config = LoraConfig(r=2, lora_alpha=4, target_parameters=["experts.w"], target_modules=[])
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter)
    wrapped.save_pretrained(folder)
    layer = wrapped.base_model.model["experts"]
    change = layer.get_delta_weight("default").detach().double().numpy()
    return change

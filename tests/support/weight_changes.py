"""Changes of a tiny text model's weights, written by peft and transformers, and merged by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from tests.support.tiny_text_files import TARGETS, write_tokenizer

RANK, ALPHA = 4, 8
IDS = torch.arange(3, 40).reshape(1, -1)


def write_change(folder: Path, base: Path, kind: str = "llama", **config: Any) -> Path:
    """Let peft write an adapter in which all that it could train is moved at random."""
    settings = {"r": RANK, "lora_alpha": ALPHA, "target_modules": TARGETS[kind]} | config
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


def write_checkpoint(folder: Path, base: Path, dtype: str = "float32", steps: int = 3) -> Path:
    """Fine-tune all of a model for a few steps, and write it with a tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(base)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(steps):
        model(IDS, labels=IDS).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def edit_tensors(path: Path, changes: Mapping[str, Tensor | None]) -> None:
    """Replace tensors of a file, or leave them out."""
    found = load_file(path) | changes
    save_file({n: t.contiguous() for n, t in found.items() if t is not None}, path)


@torch.inference_mode()
def logits(model: nn.Module, ids: Tensor = IDS) -> Tensor:
    """Return the logits of a text, in float32."""
    return model.eval()(ids).logits.float()


def by_peft(base: Path, adapter: Path, dtype: str = "float32") -> PeftModel:
    """Return a model as peft runs it."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
    return PeftModel.from_pretrained(model, adapter)


def merged_by_hand(base: Path, adapter: Path) -> dict[str, Tensor]:
    """Return the weights that an adapter changes, in float64, by the formulas of their papers."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(base)
    weights = {n: w.double() for n, w in model.state_dict().items()}
    own = {n.removeprefix("base_model.model."): t.double() for n, t in tensors.items()}
    found = {n.replace(".base_layer.", "."): t for n, t in own.items() if ".lora_" not in n}
    for name in [n for n in found if n.endswith("trainable_tokens_delta")]:
        module = name.removesuffix(".token_adapter.trainable_tokens_delta")
        rows = weights[f"{module}.weight"].clone()
        rows[config["trainable_token_indices"]] = found.pop(name)
        found[f"{module}.weight"] = rows
    for name, down in own.items():
        if ".lora_A" in name or ".lora_embedding_A" in name:
            _merge(name, down, own, weights, found, config)
    return found


def _merge(
    name: str,
    down: Tensor,
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    found: dict[str, Tensor],
    config: Mapping[str, Any],
) -> None:
    module = name.partition(".lora_")[0]
    up = own[name.replace("_A", "_B")]
    pattern = next((r for p, r in config["rank_pattern"].items() if module.endswith(p)), RANK)
    scaling = config["lora_alpha"] / (pattern**0.5 if config["use_rslora"] else pattern)
    weight = found.get(f"{module}.weight", weights[f"{module}.weight"])
    turned = "embedding" in name or config["fan_in_fan_out"]
    change = (up @ down).T if turned else up @ down
    tuned = weight + scaling * change
    if (magnitude := own.get(f"{module}.lora_magnitude_vector")) is not None:
        # DoRA: a norm for each output, rows of W [outputs, inputs].
        axis = 0 if turned else 1
        size = magnitude.reshape(1, -1) if turned else magnitude.reshape(-1, 1)
        tuned = size * tuned / tuned.norm(dim=axis, keepdim=True)
    found[f"{module}.weight"] = tuned

"""How many parameters a LoRA has, by its file or its model's config.json: no torch needed."""

from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lorascope.models.adapter_config import WEIGHTS
from lorascope.storage.files import parse_json, read_text, regular

LAYOUTS = ("llama", "mistral", "qwen2", "qwen3", "gemma")
"""The model types whose projections have these shapes; a test builds one of each."""


def stored_parameters(folder: Path) -> int | None:
    """Return the number of parameters in an adapter's safetensors; None where there are none.

    The file's header tells it.
    """
    try:
        with safe_open(regular(folder / WEIGHTS[0]), framework="numpy") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError, ValueError):
        return None


def trainable_parameters(folder: Path, rank: int, target_modules: Iterable[str]) -> int | None:
    """Return the number of LoRA parameters of a model in a local folder.

    Each adapted projection of m inputs and n outputs has rank * (m + n). None where it cannot be
    told: there is no config.json, its model type is not one of ``LAYOUTS``, or a target module is
    none of the layers' projections.
    """
    path = folder / "config.json"
    if not path.exists():
        return None
    # The job that loads the model says what is wrong with it.
    try:
        config = parse_json(read_text(path))
        if not isinstance(config, dict) or config.get("model_type") not in LAYOUTS:
            return None
        shapes, targets = projections(config), set(target_modules)
        if not targets <= shapes.keys():
            return None
        layers = int(config["num_hidden_layers"])
        return layers * sum(rank * sum(shapes[name]) for name in targets)
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return None


def projections(config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the (inputs, outputs) of each projection of a layer of a llama-like model."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    key_heads = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or width // heads
    inner = config["intermediate_size"]
    return {
        "q_proj": (width, heads * head),
        "k_proj": (width, key_heads * head),
        "v_proj": (width, key_heads * head),
        "o_proj": (heads * head, width),
        "gate_proj": (width, inner),
        "up_proj": (width, inner),
        "down_proj": (inner, width),
    }

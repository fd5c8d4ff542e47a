"""What an adapter is made of, and what it becomes: peft's configuration and tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorascope.models.auditing.adapters import Adapter
from lorascope.models.auditing.tensors import Stored

Tensor = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """An adapter by its ``name`` in the study, and its ``weight`` in a sum.

    ``config`` is its adapter_config.json, None of one that a model brings along; ``tensors`` are
    those of its file by their names there.
    """

    name: str
    weight: float
    adapter: Adapter
    config: Mapping[str, Any] | None
    tensors: Mapping[str, Stored]


@dataclass(frozen=True)
class Made:
    """A made adapter: keys of adapter_config.json, and tensors in float32 by peft's names.

    ``told`` is what its account says beside its parts.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    told: Mapping[str, Any]


def tensor_name(module: str, side: str) -> str:
    """Return the name that peft's file has for the A or B of a module of the base model."""
    return f"base_model.model.{module}.lora_{side}.weight"


def plain_config(modules: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """Return the configuration of a LoRA on exactly these modules -> their rank and own scaling.

    Their names begin with ^ in peft's patterns, so that one is never the end of another's.
    """
    ranks = {f"^{module}": rank for module, (rank, _) in modules.items()}
    alphas = {f"^{module}": rank * scaling for module, (rank, scaling) in modules.items()}
    rank, alpha = next(iter(ranks.values())), next(iter(alphas.values()))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "bias": "none",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "use_rslora": False,
        "target_modules": sorted(modules),
        "rank_pattern": {name: own for name, own in ranks.items() if own != rank},
        "alpha_pattern": {name: own for name, own in alphas.items() if own != alpha},
    }

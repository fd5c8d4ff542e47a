"""The modules that an adapter changes, and the files of one that changes them otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lorascope.errors import UserError, listing
from lorascope.models.auditing.adapters import TENSOR
from lorascope.models.auditing.adapters import Part as Lora
from lorascope.models.deriving.parts import Part, Tensor, plain_config, tensor_name


@dataclass(frozen=True)
class Module:
    """A module that an adapter changes: its LoRA, and side -> name of its tensor in peft's file.

    The sides are A, B and, where B has one, bias.
    """

    lora: Lora
    names: Mapping[str, str]

    @cached_property
    def values(self) -> dict[str, Tensor]:
        """Side -> values, in the shapes that they have in the file."""
        found = {"A": self.lora.down, "B": self.lora.up, "bias": self.lora.bias}
        return {side: one.read().astype(np.float32) for side, one in found.items() if one}


def modules_of(part: Part) -> list[Module]:
    """Return the modules of an adapter; UserError for one that is zero, or not finite."""
    names = _names(part)
    found = [Module(one, names[one.module]) for one in part.adapter.parts]
    broken = [
        module.lora.module
        for module in found
        if not all(np.isfinite(one).all() for one in module.values.values())
    ]
    if broken:
        raise UserError(f"{part.name}: values that are not finite in {listing(broken)}: no null")
    if not any(module.values["A"].any() and module.values["B"].any() for module in found):
        raise UserError(f"{part.name} changes nothing (s B A is zero), and so would its null")
    return found


def _names(part: Part) -> dict[str, dict[str, str]]:
    """Return module -> side -> the name of its tensor in peft's file."""
    found: dict[str, dict[str, str]] = {}
    for name in part.tensors:
        if match := TENSOR.fullmatch(name):
            side = "bias" if match["what"] == "bias" else match["side"]
            own = name if part.config is not None else tensor_name(match["module"], side)
            found.setdefault(match["module"], {})[side] = own
    return found


def config_of(part: Part, by_module: Mapping[str, Lora]) -> Mapping[str, Any]:
    """Return the configuration by which each module has the rank and s of the LoRA it is given."""
    if part.config is None:
        return plain_config({name: (one.rank, one.scaling) for name, one in by_module.items()})
    before = {one.module: one.alpha for one in part.adapter.parts}
    alphas = {name: one.alpha for name, one in by_module.items()}
    if alphas == before:
        return part.config
    return {**part.config, "alpha_pattern": {f"^{name}": a for name, a in alphas.items()}}

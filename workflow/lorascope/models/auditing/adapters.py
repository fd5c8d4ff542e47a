"""The parts of a LoRA adapter: which modules it changes, by which s B A."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.errors import UserError, listing
from lorascope.models.adapter_config import (
    CONFIG,
    LoraKeys,
    more_than_lora,
    read_config,
    weights_file,
)
from lorascope.models.auditing.tensors import Array, Stored, from_torch, read_file
from lorascope.models.places import place_of
from lorascope.storage.records import peek

# "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight", with the adapter's name in
# between where it is peft's own state dict; of an embedding, lora_embedding_A.
TENSOR = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+?)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])"
    r"(?:\.(?!(?:weight|bias)$)[^.]+)?(?:\.(?P<what>weight|bias))?"
)


@dataclass(frozen=True)
class Part:
    """A module that an adapter changes by s B A; ``down`` is A, ``up`` B.

    They are [rank, inputs] and [outputs, rank], for each of ``experts`` where a parameter holds
    several. W is [outputs, inputs] or, if ``transposed``, the other way round.
    """

    module: str
    rank: int
    alpha: float
    scaling: float
    experts: int
    down: Stored
    up: Stored
    bias: Stored | None
    transposed: bool

    @property
    def inputs(self) -> int:
        """Width of A; of a convolution, over its kernel."""
        return self.down.size // self.down.shape[0]

    @property
    def outputs(self) -> int:
        """Height of B."""
        return self.up.shape[0]

    @property
    def place(self) -> tuple[str, int | None, str]:
        """Stack of layers, number of the layer and what it is in there: a kind of module."""
        return place_of(self.module)

    def factors(self) -> tuple[Array, Array]:
        """Return A as [experts, rank, inputs] and B as [experts, outputs, rank], as peft does."""
        down = self.down.read().reshape(self.experts, self.rank, -1)
        up = self.up.read().reshape(self.outputs, self.rank, self.experts)
        return down, up.transpose(2, 0, 1)


@dataclass(frozen=True)
class Adapter:
    """An adapter's parts, and what it says of itself: its base model's name, None if it does not.

    ``where`` is the file or folder that messages name, ``beyond`` says what it is more than its
    parts, "" for nothing.
    """

    where: Path
    base: str | None
    use_rslora: bool
    parts: list[Part]
    beyond: str = ""


def read_adapter(folder: Path, more: bool = False) -> Adapter:
    """Return the adapter in a folder of peft's files; UserError where its parts do not fit.

    With ``more``, of one that is a LoRA and more, too: the parts are its LoRA's.
    """
    keys = LoraKeys(**read_config(folder, more))
    path = weights_file(folder)
    parts = []
    for module, sides in _sides(read_file(path), path).items():
        rank = keys.rank_pattern.get(_pattern(keys.rank_pattern, module), keys.r)
        alpha = keys.lora_alpha
        alpha = keys.alpha_pattern.get(_pattern(keys.alpha_pattern, module), alpha)
        scaling = alpha / (math.sqrt(rank) if keys.use_rslora else rank)
        experts = _experts(sides, rank) if keys.target_parameters else 1
        _check(sides, rank * experts, f"{path}: {module}")
        transposed = keys.fan_in_fan_out or "embedding" in sides
        parts.append(Part(module, rank, alpha, scaling, experts, *_tensors(sides), transposed))
    named = peek(folder / CONFIG).get("base_model_name_or_path")
    base = named if isinstance(named, str) and named.strip() else None
    reasons = more_than_lora(folder)
    beyond = f"is more than s B A, of which alone the numbers are: {'; '.join(reasons)}"
    return Adapter(folder, base, keys.use_rslora, parts, beyond if reasons else "")


def whole_copy(folder: Path) -> Adapter:
    """Return a fully fine-tuned copy of a model, which has no parts to look into."""
    return Adapter(folder, None, False, [], "is a whole model: there is no s B A to look into")


def brought_along(tensors: Mapping[str, Any], alpha: float, path: Path) -> Adapter:
    """Return the adapter of one rank that a model brings along, of torch's tensors by name."""
    parts = []
    for module, sides in _sides(from_torch(tensors, path), path).items():
        rank = sides["A"].shape[0] if sides["A"].shape else 0
        _check(sides, rank, f"{path}: {module}")
        parts.append(Part(module, rank, alpha, alpha / rank, 1, *_tensors(sides), False))
    return Adapter(path, None, False, parts)


def _pattern(patterns: Mapping[str, Any], module: str) -> str:
    """Return the first pattern that a module has, as peft's ``get_pattern_key`` does."""
    found = (p for p in patterns if re.match(rf"(.*\.)?({p})$", module))
    return next(found, module)


def _sides(tensors: Mapping[str, Stored], path: Path) -> dict[str, dict[str, Stored]]:
    """Group tensors as {module: {"A": ..., "B": ...}}.

    Beside them, "bias" may be B's; those of an embedding have A under "embedding", too.
    """
    found: dict[str, dict[str, Stored]] = {}
    for name, tensor in tensors.items():
        if match := TENSOR.fullmatch(name):
            side = "bias" if match["what"] == "bias" else match["side"]
            found.setdefault(match["module"], {})[side] = tensor
            if match["embedding"] and side == "A":
                found[match["module"]]["embedding"] = tensor
    if not found:
        raise UserError(f"{path} holds no tensors of a LoRA. Is it peft's file?")
    if halves := [module for module, sides in found.items() if not {"A", "B"} <= sides.keys()]:
        raise UserError(
            f"{path}: lacks A or B of {listing(halves)}. Is the file complete? Save it again."
        )
    return found


def _tensors(sides: Mapping[str, Stored]) -> tuple[Stored, Stored, Stored | None]:
    return sides["A"], sides["B"], sides.get("bias")


def _experts(sides: Mapping[str, Stored], rank: int) -> int:
    """Return how many experts a parameter's A holds, one above the other."""
    return max(sides["A"].shape[0] // rank, 1) if sides["A"].shape else 1


def _check(sides: Mapping[str, Stored], rank: int, where: str) -> None:
    """UserError, naming ``where``, unless A and B are matrices of a rank (of all experts)."""
    for tensor in (sides["A"], sides["B"]):
        if not tensor.is_number or len(tensor.shape) < 2 or not tensor.size:
            raise UserError(
                f"{where}: {tensor.format} of shape {[*tensor.shape]} is no matrix to look at. "
                "Save the adapter in float32, float16 or bfloat16."
            )
    down, up = sides["A"].shape[0], sides["B"].size // sides["B"].shape[0]
    if (down, up) != (rank, rank):
        raise UserError(
            f"{where}: A has rank {down}, B {up}, and {CONFIG} says {rank}. Take both files from "
            "one training."
        )

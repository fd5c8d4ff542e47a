"""LoRA adapters: attaching their tensors and setting their scaling.

An adapted layer computes W x + s B A x (https://arxiv.org/abs/2106.09685). s is absolute
throughout lorascope; peft's own ``set_scale`` multiplies alpha / r instead.
"""

import math
import re
from collections.abc import Mapping

from torch import Tensor, nn

from lorascope.errors import UserError, listing

_TENSOR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.default\.weight")


def set_scaling(model: nn.Module, scaling: float) -> int:
    """Set s = ``scaling`` on every LoRA layer of ``model`` and return the number of layers.

    UserError when the scaling is not finite or would have no effect: no LoRA layer, or one whose
    adapter is disabled or merged into the base's weights.
    """
    from peft.tuners.lora import LoraLayer

    if not math.isfinite(scaling):
        raise UserError(f"lora_scaling is {scaling}: give a finite number.")
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    layers = [layer for layer in layers if layer.active_adapters]
    if not layers:
        raise UserError(
            f"lora_scaling {scaling} touches no layer: the model has no active LoRA adapter."
        )
    if any(layer.merged or layer.disable_adapters for layer in layers):
        raise UserError("lora_scaling has no effect on a merged or disabled adapter.")
    for layer in layers:
        for adapter in layer.active_adapters:
            layer.scaling[adapter] = float(scaling)
    return len(layers)


def attach(model: nn.Module, tensors: Mapping[str, Tensor], alpha: float, source: str) -> float:
    """Attach a LoRA adapter to ``model`` in place and return its own scaling, alpha / r.

    ``tensors`` maps ``<module>.lora_A.default.weight`` to [r, inputs] and ``lora_B`` to
    [outputs, r]; rank and target modules are read off it. The adapter takes the layers' dtype, has
    no dropout and is frozen. UserError, naming ``source``, unless every layer that carries one of
    the adapted projections has exactly one pair of the one rank.
    """
    from peft import LoraConfig, inject_adapter_in_model

    if not tensors:
        raise UserError(f"{source}: no LoRA tensors. Use a checkpoint that was trained with LoRA.")
    sides = _sides(tensors, source)
    rank = _rank(sides, source)
    targets = _check_modules(model, sides, source)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, inference_mode=True)
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data.copy_(tensors[name])
    return alpha / rank


def _sides(tensors: Mapping[str, Tensor], source: str) -> dict[str, dict[str, Tensor]]:
    """Group the tensors as {module: {"A": ..., "B": ...}}."""
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise UserError(f"{source}: {name} is not the name of a LoRA tensor.")
        sides.setdefault(match["module"], {})[match["side"]] = tensor
    for module, pair in sides.items():
        for side in {"A", "B"} - pair.keys():
            raise UserError(
                f"{source}: missing key {module}.lora_{side}.default.weight. Is the file complete?"
            )
    return sides


def _rank(sides: Mapping[str, Mapping[str, Tensor]], source: str) -> int:
    """Return the adapter's one rank."""
    ranks: dict[int, str] = {}
    for module, pair in sides.items():
        ranks.setdefault(pair["A"].shape[0], f"{module}.lora_A")
        ranks.setdefault(pair["B"].shape[1], f"{module}.lora_B")
    if len(ranks) != 1:
        found = ", ".join(f"{rank} in {where}" for rank, where in ranks.items())
        raise UserError(f"{source}: LoRA tensors of several ranks ({found}); one is expected.")
    return next(iter(ranks))


def _check_modules(
    model: nn.Module, sides: Mapping[str, Mapping[str, Tensor]], source: str
) -> list[str]:
    """Compare the adapter with the model's linear layers; return the target modules' suffixes."""
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    # "model.layers.3.self_attn.q_proj" -> "self_attn.q_proj"
    suffixes = sorted({re.split(r"\.\d+\.", module)[-1] for module in sides})
    targets = {n for n in linears if any(n == s or n.endswith(f".{s}") for s in suffixes)}
    hint = "Is this adapter for another language model?"
    for problem, names in (
        ("adapts layers the language model lacks", sides.keys() - targets),
        ("lacks LoRA tensors for layers of the language model", targets - sides.keys()),
    ):
        if names:
            raise UserError(f"{source}: {problem}: {listing(names)}. {hint}")
    for module, pair in sides.items():
        want = (linears[module].in_features, linears[module].out_features)
        have = (pair["A"].shape[1], pair["B"].shape[0])
        if want != have:
            raise UserError(
                f"{source}: {module}: LoRA tensors for {have[0]} inputs and {have[1]} outputs, but "
                f"the layer has {want[0]} and {want[1]}. {hint}"
            )
    return suffixes

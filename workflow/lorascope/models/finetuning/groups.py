"""The optimiser's parameter groups, as MindFormers has them: which parameters decay, and how much.

Matrices are in the group ``decay``, vectors and biases in ``no_decay``. Under LoRA+
(https://arxiv.org/abs/2402.12354) the B matrices have their own group and learning rate.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from lorascope.models.finetuning.names import to_mindpet

Groups = dict[str, dict[str, Any]]


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    weight_decay: float,
    learning_rate: float,
    lora_plus_ratio: float | None,
) -> Groups:
    """Return group -> {weight_decay, params: names}, of the trainable parameters in their order.

    With ``lora_plus_ratio`` each group also has ``lr``, its learning rate at the schedule's peak.
    """
    rates = {"decay": 1.0, "no_decay": 1.0, "decay_lora_b": lora_plus_ratio or 1.0}
    groups: Groups = {}
    for name, parameter in named:
        if parameter.requires_grad:
            key = _group(name, parameter, lora_plus_ratio is not None)
            decay = 0.0 if key == "no_decay" else weight_decay
            groups.setdefault(key, {"weight_decay": decay, "params": []})["params"].append(name)
    if lora_plus_ratio is not None:
        for key, group in groups.items():
            group["lr"] = learning_rate * rates[key]
    return groups


def _group(name: str, parameter: nn.Parameter, lora_plus: bool) -> str:
    if parameter.ndim < 2:
        return "no_decay"
    return "decay_lora_b" if lora_plus and ".lora_B." in name else "decay"


def optimizer_groups(model: nn.Module, groups: Groups) -> list[dict[str, Any]]:
    """Return the groups as a torch optimiser takes them: parameters in place of names."""
    parameters = dict(model.named_parameters())
    return [
        {**group, "params": [parameters[name] for name in group["params"]]}
        for group in groups.values()
    ]


def renamed(
    groups: Mapping[str, Mapping[str, Any]], names: str, published: Callable[[str], str] = str
) -> Groups:
    """Return the groups with their parameters named in the way of ``names``: peft or mindpet.

    ``published`` gives peft's name for the one that the parameter has in the trained model.
    """
    ways: dict[str, Callable[[str], str]] = {"peft": str, "mindpet": to_mindpet}
    rename = ways[names]
    return {
        key: {**group, "params": [rename(published(name)) for name in group["params"]]}
        for key, group in groups.items()
    }

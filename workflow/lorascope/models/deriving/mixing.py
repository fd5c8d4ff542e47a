"""Weighted sums of adapters, exactly: a LoRA whose rank is the sum of their ranks.

The sum of w s B A over adapters is [w1 s1 B1, w2 s2 B2, ...] [A1; A2; ...], module by module
(task arithmetic, https://arxiv.org/abs/2212.04089; combination_type="cat" of peft's
``add_weighted_adapter``). A module that one adapter alone changes has that one's rank.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorascope.errors import UserError
from lorascope.models.adapter_config import check_summand
from lorascope.models.auditing import adapters
from lorascope.models.deriving.parts import Made, Part, Tensor, plain_config, tensor_name

Terms = Sequence[tuple[Part, adapters.Part]]
"""Adapters that change a module, each with what it has of it."""


def summed(parts: Sequence[Part], seed: int | None, draw: int) -> Made:
    """Return the sum of weight x s B A over the parts, as an adapter whose own scaling is 1.

    Products are taken in float64 and rounded to float32 once. UserError for adapters whose shapes
    are those of different models, for what is no plain LoRA, and for values that are not finite.
    """
    found: dict[str, list[tuple[Part, adapters.Part]]] = {}
    for one in parts:
        check_summand(one.config or {}, one.name)
        for part in one.adapter.parts:
            found.setdefault(part.module, []).append((one, part))
    has_bias = any(_says(one, "lora_bias") for one in parts)
    tensors: dict[str, Tensor] = _beside(parts)
    for module, terms in found.items():
        _check_shapes(module, terms)
        for name, values in _summed(module, terms, has_bias):
            tensors[name] = _float32(values, module, terms)
    ranks = {module: (sum(part.rank for _, part in terms), 1.0) for module, terms in found.items()}
    config = {
        **plain_config(ranks),
        "task_type": _agreed([one.config.get("task_type") for one in parts if one.config]),
        "lora_bias": has_bias,
        "fan_in_fan_out": any(_says(one, "fan_in_fan_out") for one in parts),
    }
    return Made(config, tensors, {})


def _agreed(values: Sequence[Any]) -> Any:
    """Return what all say that say something, None where they differ."""
    said = {value for value in values if value}
    return said.pop() if len(said) == 1 else None


def _says(part: Part, key: str) -> bool:
    return bool((part.config or {}).get(key))


def _summed(module: str, terms: Terms, has_bias: bool) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield A, B and, where the sum has some, B's bias of a module, by peft's names."""
    is_embedding = any(_is_embedding(one, module) for one, _ in terms)
    if is_embedding and has_bias:
        raise UserError(
            f"{_names(terms)}: {module} is an embedding, and B of other parts has biases "
            "(lora_bias), which peft does not take together. Leave out one of them."
        )
    down, up = (_name(module, side, is_embedding) for side in "AB")
    yield down, np.concatenate([part.down.read() for _, part in terms])
    scaled = [one.weight * part.scaling * part.up.read() for one, part in terms]
    yield up, np.concatenate(scaled, axis=1)
    if has_bias:
        own = [(one.weight * part.scaling, part.bias) for one, part in terms]
        biases = [factor * bias.read() for factor, bias in own if bias]
        yield up.removesuffix("weight") + "bias", sum(biases, np.zeros(terms[0][1].outputs))


def _is_embedding(part: Part, module: str) -> bool:
    return any(f"{module}.lora_embedding_A" in name for name in part.tensors)


def _name(module: str, side: str, is_embedding: bool) -> str:
    name = tensor_name(module, side)
    return name.replace(".lora_", ".lora_embedding_").removesuffix(".weight") * is_embedding or name


def _float32(values: NDArray[np.float64], module: str, terms: Terms) -> Tensor:
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise UserError(
            f"{_names(terms)}: {module}: values that are NaN, infinite, or too large for float32 "
            "once they are weighted. Look at the adapters' files, and at the weights."
        )
    return rounded


def _names(terms: Terms) -> str:
    return " and ".join(one.name for one, _ in terms)


def _check_shapes(module: str, terms: Terms) -> None:
    """UserError for adapters of which one takes what another does not."""
    (first, own), *others = terms
    for other, part in others:
        if _shape(part) != _shape(own):
            raise UserError(
                f"{first.name} and {other.name} are for different models: {module} is "
                f"{_said(own)} in {first.name}, {_said(part)} in {other.name}. A sum is of "
                "adapters for one model."
            )


def _shape(part: adapters.Part) -> tuple[Any, ...]:
    """Return what A takes and B gives, with the kernels of a convolution."""
    return part.down.shape[1:], part.up.shape[0], part.up.shape[2:]


def _said(part: adapters.Part) -> str:
    return f"{part.outputs} x {part.inputs}"


def _beside(parts: Sequence[Part]) -> dict[str, Tensor]:
    """Return the tensors that are no LoRA's: peft saves an adapted embedding's own weights, too.

    UserError where adapters that have one have it otherwise.
    """
    found: dict[str, tuple[str, NDArray[np.float64]]] = {}
    for one in parts:
        for name, tensor in _others(one).items():
            values = tensor.read()
            first, same = found.setdefault(name, (one.name, values))
            if not np.array_equal(same, values):
                raise UserError(
                    f"{first} and {one.name} are for different models: {name} differs between "
                    "their files. A sum is of adapters for one model."
                )
    return {name: values.astype(np.float32) for name, (_, values) in found.items()}


def _others(part: Part) -> Mapping[str, Any]:
    return {name: tensor for name, tensor in part.tensors.items() if ".lora_" not in name}

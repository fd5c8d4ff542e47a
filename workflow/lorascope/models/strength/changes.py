"""What a change does to each weight of a model: W as it is, and W' as it is tuned.

W' of an adapter is what peft computes with: s B A merged into W, DoRA's rescaled sum, and the
tensors that take the place of the model's own (modules_to_save, biases, single tokens).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lorascope.errors import UserError, listing
from lorascope.models import lora
from lorascope.models.adapter_config import CONFIG
from lorascope.models.strength.references import wide
from lorascope.storage.files import read_object

TOKENS = ".token_adapter.trainable_tokens_delta"
_HINT = "Is this adapter for another model?"


@dataclass(frozen=True)
class Change:
    """A weight of the model by its name, before and after; both in the precision of their files."""

    name: str
    before: Tensor
    after: Tensor


def of_checkpoint(reference: nn.Module, tuned: nn.Module) -> Iterator[Change]:
    """Yield the weights in which a fine-tuned copy of a model differs from it."""
    before, after = reference.state_dict(), tuned.state_dict()
    for name, weight in before.items():
        yield from _change(name, weight, after[name])


def of_adapter(reference: nn.Module, folder: Path) -> Iterator[Change]:
    """Yield the weights that an adapter of peft's changes, one module's after the other's.

    ``reference`` is taken apart on the way. UserError where the adapter is not of this model.
    """
    before = dict(reference.state_dict())
    path, tensors = lora.read_tensors(folder)
    replaced = _replaced(reference, before, tensors, path)
    _check_saved(reference, replaced, path)
    loras = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    merged: set[str] = set()
    if loras:
        lora.inject(reference, lora.lora_config(folder, more=True), loras, path)
        for name, tensor in _merged(reference, replaced):
            merged.add(name)
            yield from _change(name, before[name], tensor)
    for name, tensor in replaced.items():
        if name not in merged:
            yield from _change(name, before[name], tensor)


def _change(name: str, before: Tensor, after: Tensor) -> Iterator[Change]:
    """Yield the change of a weight, if it is one."""
    kind = torch.promote_types(before.dtype, after.dtype)
    if not torch.equal(before.to(kind), after.to(kind)):
        yield Change(name, before, after)


# ------------------------------------------------------------------------ tensors that replace


def _replaced(
    model: nn.Module, before: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Return the model's own weights that an adapter's tensors take the place of, by name."""
    own = {lora.own_name(name): t for name, t in tensors.items() if ".lora_" not in name}
    found = {name: tensor for name, tensor in own.items() if not name.endswith(TOKENS)}
    if lacking := found.keys() - before.keys():
        raise UserError(
            f"{path}: has tensors for layers that the model lacks: {listing(lacking)}. {_HINT}"
        )
    for name, tensor in own.items():
        if name.endswith(TOKENS):
            for weight in _with_tied(model, f"{name.removesuffix(TOKENS)}.weight", own):
                found[weight] = _with_tokens(before, weight, tensor, path)
    if odd := [name for name, tensor in found.items() if tensor.shape != before[name].shape]:
        raise UserError(
            f"{path}: does not fit the model: {odd[0]} has the shape {[*found[odd[0]].shape]}, the "
            f"model's {[*before[odd[0]].shape]}. {_HINT}"
        )
    return found


def _with_tied(model: nn.Module, name: str, own: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield an embedding's weight, and what is tied to the model's own: as peft changes both."""
    yield name
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    if embedding is not None and parameters.get(name) is embedding.weight:
        for other, parameter in parameters.items():
            given = f"{other.removesuffix('.weight')}{TOKENS}" in own
            if parameter is embedding.weight and other != name and not given:
                yield other


def _with_tokens(before: Mapping[str, Tensor], name: str, rows: Tensor, path: Path) -> Tensor:
    """Return an embedding in which the rows of some tokens are replaced."""
    given = read_object(path.parent / CONFIG).get("trainable_token_indices")
    if isinstance(given, dict):
        module = name.removesuffix(".weight")
        fitting = (v for k, v in given.items() if module == k or module.endswith(f".{k}"))
        # What is tied to an embedding has the embedding's tokens.
        given = next(fitting, next(iter(given.values()), None))
    weight = before.get(name)
    if (
        weight is None
        or not isinstance(given, list)
        or not all(isinstance(i, int) and 0 <= i < len(weight) for i in given)
        or rows.shape != (len(given), *weight.shape[1:])
    ):
        raise UserError(
            f"{path}: the trained tokens of {name} do not fit trainable_token_indices in {CONFIG}, "
            f"or the model. {_HINT}"
        )
    kind = torch.promote_types(wide(weight).dtype, rows.dtype)
    return weight.to(kind).index_copy(0, torch.tensor(given), rows.to(kind))


def _check_saved(model: nn.Module, replaced: Mapping[str, Tensor], path: Path) -> None:
    """UserError where a module of modules_to_save is none of the model's, or none of the file's."""
    saved = read_object(path.parent / CONFIG).get("modules_to_save") or []
    if not isinstance(saved, list) or not all(isinstance(name, str) for name in saved):
        raise UserError(f"{path.parent / CONFIG}: modules_to_save is no list of names. Fix it.")
    for end in saved:
        modules = [n for n, _ in model.named_modules() if n == end or n.endswith(f".{end}")]
        if not modules:
            raise UserError(
                f"{path.parent / CONFIG}: modules_to_save names what the model lacks: {end}. "
                f"{_HINT}"
            )
        lacking = [
            f"{module}.{name}"
            for module in modules
            for name in model.get_submodule(module).state_dict()
            if f"{module}.{name}" not in replaced
        ]
        if lacking:
            raise UserError(
                f"{path}: lacks tensors of modules_to_save: {listing(lacking)}. Is the file "
                "complete? Save it again."
            )


# --------------------------------------------------------------------------------- merged layers


def _merged(model: nn.Module, replaced: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of adapted layers as peft merges them, by the model's own names."""
    groups: dict[nn.Module, tuple[str, list[Any]]] = {}
    for name, layer in lora.lora_layers(model).items():
        plain = f"{name}.".replace(".base_layer.", ".").rstrip(".")
        groups.setdefault(layer.get_base_layer(), (plain, []))[1].append(layer)
    for module, (name, layers) in groups.items():
        start = {n: replaced.get(f"{name}.{n}") for n, _ in module.named_parameters(recurse=False)}
        with _in_their_own_place(module, start):
            for layer in layers:  # several, where each is of one parameter
                layer.merge(safe_merge=False, adapter_names=["default"])
            found = {n: p.data for n, p in module.named_parameters(recurse=False)}
        yield from ((f"{name}.{n}", tensor) for n, tensor in found.items())


@contextmanager
def _in_their_own_place(module: nn.Module, start: Mapping[str, Tensor | None]) -> Iterator[None]:
    """Let a module's parameters be wide copies, of ``start`` where it has some, for a while."""
    parameters: Sequence[tuple[str, nn.Parameter]] = [*module.named_parameters(recurse=False)]
    kept = [parameter.data for _, parameter in parameters]
    for name, parameter in parameters:
        given = start.get(name)
        first = parameter.data if given is None else given
        kind = torch.promote_types(first.dtype, torch.float32)
        parameter.data = first.to(kind, copy=True)
    try:
        yield
    finally:
        for (_, parameter), data in zip(parameters, kept, strict=True):
            parameter.data = data

"""LoRA scalings of rows: each row of what a model reads is scaled by its own."""

# A model without an adapter needs no peft, which takes seconds to import.
# ruff: noqa: PLC0415

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorascope.models.lora import by_layer, lora_layers
from lorascope.models.profiles import Profile, Scaling

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer


@contextmanager
def row_scalings(model: nn.Module, scalings: Sequence[Scaling | None]) -> Iterator[None]:
    """Scale each row of what ``model`` reads by its own absolute scaling; None is the one in force.

    That may differ by layer, and does under a profile. A single scaling is that of any number of
    rows. Only for a model of which ``scales_rows`` is true, unless all are None; afterwards each
    layer has its own again.
    """
    if all(scaling is None for scaling in scalings):
        yield
        return
    before: list[tuple[dict[str, Any], dict[str, Any]]] = []
    made: dict[Any, Tensor] = {}  # alike on most layers
    of_rows = _of_rows(model, scalings)
    for name, layer in lora_layers(model).items():
        before.append((layer.scaling, dict(layer.scaling)))
        for adapter in layer.active_adapters:
            rows, device = of_rows(name, layer.scaling[adapter]), _device(layer, adapter)
            if (rows, device) not in made:
                made[rows, device] = torch.tensor(rows, device=device)[:, None, None]
            layer.scaling[adapter] = made[rows, device]
    try:
        yield
    finally:
        for scaling, own in before:
            scaling.update(own)


def _of_rows(
    model: nn.Module, scalings: Sequence[Scaling | None]
) -> Callable[[str, float], tuple[float, ...]]:
    """Return a function (a layer's name, its own scaling) -> the scalings of rows in it."""
    profiles = {one: by_layer(model, one) for one in {*scalings} if isinstance(one, Profile)}

    def of_rows(name: str, own: float) -> tuple[float, ...]:
        return tuple(
            profiles[one][name] if isinstance(one, Profile) else own if one is None else one
            for one in scalings
        )

    return of_rows


class HeldScalings:
    """The scalings of a model's LoRA layers as tensors that stay where they are.

    Kernels that are recorded read them again each time; a number would be recorded with them.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        layers = lora_layers(model) if "peft" in sys.modules else {}
        self._layers = [*layers.values()]
        self._places = [(n, x, adapter) for n, x in layers.items() for adapter in x.active_adapters]
        self._held: dict[int | None, Tensor] = {}
        self._values: dict[int | None, list[Any]] = {}

    def holds(self) -> bool:
        """Return whether the model still has the same LoRA layers."""
        now = [*lora_layers(self.model).values()] if "peft" in sys.modules else []
        return len(now) == len(self._layers) and all(map(operator.is_, now, self._layers))

    def fill(self, scalings: Sequence[Scaling | None] | None) -> None:
        """Note the scalings in force, or those of rows as in ``row_scalings``."""
        of_rows = _of_rows(self.model, scalings or ())
        own = ((name, layer.scaling[adapter]) for name, layer, adapter in self._places)
        values = [s if scalings is None else of_rows(name, s) for name, s in own]
        rows = None if scalings is None else len(scalings)
        if not self._places or self._values.get(rows) == values:
            return
        given = torch.tensor(values, dtype=torch.float32)
        shape = (len(values),) if rows is None else (len(values), rows, 1, 1)
        if rows not in self._held:
            device = next(self.model.parameters()).device
            self._held[rows] = torch.empty(shape, device=device)
        self._held[rows].copy_(given.view(shape))
        self._values[rows] = values

    @contextmanager
    def in_force(self, rows: int | None) -> Iterator[None]:
        """Let the layers be scaled by what was filled last, for so many rows or for any."""
        before = [layer.scaling[adapter] for _, layer, adapter in self._places]
        for (_, layer, adapter), held in zip(self._places, self._held.get(rows, ()), strict=True):
            layer.scaling[adapter] = held
        try:
            yield
        finally:
            for (_, layer, adapter), own in zip(self._places, before, strict=True):
                layer.scaling[adapter] = own


def _device(layer: "LoraLayer", adapter: str) -> torch.device:
    matrix: Any = layer.lora_A[adapter]
    device: torch.device = matrix.weight.device
    return device


def scales_rows(model: nn.Module, read: Callable[[], Any]) -> bool:
    """Return whether rows may have scalings of their own, with the answers of one at a time.

    ``read`` lets the model read a few rows of text. It may in float32, and where that leads
    through each of its LoRA layers as [rows, positions, inputs]: not where a layer is a lookup, an
    expert that is given single tokens, one that sees rows flattened, or not the text's.
    """
    from peft.tuners.lora import Linear

    layers: list[Any] = [layer for layer in lora_layers(model).values() if layer.active_adapters]
    if not layers or any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        return False
    if any(type(x) is not Linear or x.merged or x.disable_adapters for x in layers):
        return False
    shapes: dict[int, set[int]] = {}

    def look(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        shapes.setdefault(id(layer), set()).add(arguments[0].ndim)

    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        read()
    finally:
        for handle in handles:
            handle.remove()
    return all(shapes.get(id(layer)) == {3} for layer in layers)

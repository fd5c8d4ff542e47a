"""Giving a loaded model an adapter: a LoRA at a scaling, or any change of weights at a strength.

W + t (W' - W) for every weight that changes (https://arxiv.org/abs/2109.01903,
https://arxiv.org/abs/2212.04089): t = 0 is W and t = 1 is W', to the bit. It is always computed
from the files of W and W', in float64, and rounded once to the precision of the model.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lorascope.errors import UserError
from lorascope.models import lora
from lorascope.models.profiles import Profile, Scaling
from lorascope.models.strength.changes import Change, of_adapter, of_checkpoint
from lorascope.models.strength.kinds import kind_of, no_scaling, no_strength
from lorascope.models.strength.references import Base
from lorascope.models.weights import check_finite
from lorascope.study.scaling_words import in_words

AT_ONCE = 1 << 20
"""Values of a weight that are computed at once."""


class Adapted(NamedTuple):
    """What is in force: a scaling, and on how many layers; or a strength, and of how many weights.

    The scaling is not a number where there is a strength.
    """

    lora_scaling: float
    strength: float | None
    adapted: int


@dataclass
class _State:
    """What was done to a model: by which folder, to which weights, and what it had tied before."""

    folder: Path
    ties: Sequence[tuple[str, ...]]
    strength: float | None = None
    names: set[str] = field(default_factory=set)


_states: "WeakKeyDictionary[nn.Module, _State]" = WeakKeyDictionary()


def adapt(
    model: nn.Module,
    adapter: Path | str | None,
    scaling: Scaling | None,
    strength: float | None,
    base: Base,
) -> Adapted:
    """Give ``model`` an adapter, or none; ``base`` is where its own weights lie.

    A LoRA is given at an absolute scaling, see ``lora.adapt``; anything else at a strength, None is
    1. May be called again and again. UserError as from ``lora.adapt``, for a scaling of what has
    none and a strength of a LoRA, and for a change that does not fit the model, which is without an
    adapter then.
    """
    folder = None if adapter is None else Path(adapter).resolve()
    state = _states.get(model)
    if state and state.folder != folder:
        restore(model, base)
    if folder is None or _is_lora(model, folder):
        try:
            refuse_strength(folder, strength)
        except UserError:
            detach(model, base)
            raise
        found, layers = lora.adapt(model, adapter, scaling)
        return Adapted(found, None, layers)
    lora.detach(model)
    try:
        if scaling is not None:
            named = str(scaling) if isinstance(scaling, Profile) else in_words(scaling)
            raise UserError(no_scaling(folder, named))
        _change(model, folder, 1.0 if strength is None else float(strength), base)
    except BaseException:
        restore(model, base)
        raise
    state = _states[model]
    return Adapted(math.nan, state.strength, len(state.names))


def refuse_strength(folder: Path | None, strength: float | None) -> None:
    """UserError for a strength of no adapter of the study, or of a LoRA."""
    if strength is not None:
        raise UserError(no_strength(folder, strength))


def adapted_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that an adapter in force is of, whatever its scaling or strength."""
    if model not in _states:
        return {name: model.get_submodule(name) for name in lora.lora_layers(model)}
    names = sorted({name.rpartition(".")[0] for name in _states[model].names})
    return {name: model.get_submodule(name) for name in names}


def detach(model: nn.Module, base: Base) -> None:
    """Take whatever was given off ``model``, in place."""
    lora.detach(model)
    restore(model, base)


def restore(model: nn.Module, base: Base) -> None:
    """Give ``model`` its own weights back, where a change is in force."""
    state = _states.pop(model, None)
    if state is None or not state.names:
        return
    own = base.reference().state_dict()
    for group in state.ties:
        _tie(model, group)
    for name in state.names:
        _write(_weight(model, name), own[name], own[name], 0.0)


def _is_lora(model: nn.Module, folder: Path) -> bool:
    """Return whether a folder holds a LoRA alone; copies of the model's own weights are no more."""
    if model in _states or lora.attached(model) == str(folder):
        return model not in _states
    kind = kind_of(folder)
    if kind is not None:
        return kind == "lora"
    lora.detach(model)  # below an adapter, weights have other names
    return not lora.changed_copies(model, lora.read_tensors(folder)[1])


# --------------------------------------------------------------------------------- interpolation


@torch.no_grad()
def _change(model: nn.Module, folder: Path, strength: float, base: Base) -> None:
    """Set every weight that the change in a folder is of."""
    if not math.isfinite(strength):
        raise UserError(f"strength is {strength}: give a finite number.")
    state = _states.setdefault(model, _State(folder, _ties(model)))
    if state.strength == strength:
        return
    state.strength = None
    tied = {name for group in state.ties for name in group}
    waiting: dict[str, Change] = {}
    for change in _changes(folder, base):
        _check(model, change, folder)
        state.names.add(change.name)
        if change.name in tied:
            waiting[change.name] = change
        else:
            _set(model, change, strength, folder)
    for group in state.ties:
        for change in _of_tied(model, group, waiting):
            state.names.add(change.name)
            _set(model, change, strength, folder)
    if not state.names:
        raise UserError(f"{folder}: changes no weight of the model in {base.folder}.")
    state.strength = strength


def _changes(folder: Path, base: Base) -> Iterator[Change]:
    reference = base.reference()
    if kind_of(folder) == "checkpoint":
        return of_checkpoint(reference, base.checkpoint(folder, reference))
    return of_adapter(reference, folder)


def _check(model: nn.Module, change: Change, folder: Path) -> None:
    """UserError for weights that cannot be interpolated."""
    check_finite({change.name: change.after}, str(folder))
    target = _weight(model, change.name)
    if not target.is_floating_point() or target.shape != change.after.shape:
        raise UserError(
            f"{folder}: {change.name} is {change.after.dtype} of {[*change.after.shape]}, and "
            f"{target.dtype} of {[*target.shape]} in the model: no strength lies between them."
        )


def _set(model: nn.Module, change: Change, strength: float, folder: Path) -> None:
    weight = _weight(model, change.name)
    if not _write(weight, change.before, change.after, strength):
        kind = str(weight.dtype).removeprefix("torch.")
        raise UserError(
            f"{folder}: strength {strength:g} is more than {kind} holds in {change.name}. Give one "
            "nearer to 0 and 1."
        )


def _write(target: Tensor, before: Tensor, after: Tensor, strength: float) -> bool:
    """Write W + t (W' - W) into ``target``; return whether all of it is finite."""
    rows = max(1, AT_ONCE // max(1, target[:1].numel())) if target.ndim else 1
    finite = True
    for place, first, second in zip(
        *(_parts(tensor, rows) for tensor in (target, before, after)), strict=True
    ):
        if strength in (0, 1):
            place.copy_(second if strength else first)
        else:
            low, high = (end.to(place.device, torch.float64) for end in (first, second))
            place.copy_(torch.lerp(low, high, strength))
        finite = finite and bool(place.isfinite().all())
    return finite


def _parts(tensor: Tensor, rows: int) -> Sequence[Tensor]:
    return tensor.split(rows) if tensor.ndim else [tensor]


# ------------------------------------------------------------------------------------ tied weights


def _ties(model: nn.Module) -> list[tuple[str, ...]]:
    """Return the names of each parameter that has several, such as embeddings and head."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [tuple(group) for group in names.values() if len(group) > 1]


def _of_tied(
    model: nn.Module, group: Sequence[str], changes: Mapping[str, Change]
) -> Iterable[Change]:
    """Return the changes of weights that the model has tied, and part them if they differ.

    As peft does: a head that is saved, or adapted, leaves the embeddings as they were.
    """
    found = [changes[name] for name in group if name in changes]
    if not found:
        return []
    if len(found) == len(group) and all(
        torch.equal(found[0].after, other.after) for other in found[1:]
    ):
        _tie(model, group)
        return found[:1]
    own = {name: _weight(model, name) for name in group}
    for name in group[1:]:
        if own[name] is own[group[0]] or own[name].data_ptr() == own[group[0]].data_ptr():
            _place(model, name, nn.Parameter(own[name].clone(), requires_grad=False))
    return found


def _tie(model: nn.Module, group: Sequence[str]) -> None:
    """Let all of these names be one parameter, the first one's."""
    first = model.get_parameter(group[0])
    for name in group[1:]:
        if model.get_parameter(name) is not first:
            _place(model, name, first)


def _place(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    module, _, own = name.rpartition(".")
    setattr(model.get_submodule(module), own, parameter)


def _weight(model: nn.Module, name: str) -> Tensor:
    """Return a parameter, or a buffer, of the model by its name."""
    module, _, own = name.rpartition(".")
    found: Tensor = getattr(model.get_submodule(module), own)
    return found.detach()

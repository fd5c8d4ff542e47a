"""LoRA adapters: attaching their tensors and setting their scaling.

An adapted layer computes W x + s B A x (https://arxiv.org/abs/2106.09685). s is absolute
throughout lorascope; peft's own ``set_scale`` multiplies alpha / r instead.
"""

# A model without an adapter needs no peft, which takes seconds to import.
# ruff: noqa: PLC0415

import logging
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lorascope.errors import UserError, listing
from lorascope.models.adapter_config import CONFIG, read_config, weights_file
from lorascope.models.profiles import Profile, Scaling, scaled
from lorascope.models.weights import (
    UNREADABLE,
    check_finite,
    first_line,
    read_safetensors,
    read_torch,
)

if TYPE_CHECKING:
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

log = logging.getLogger("lorascope")

_TENSOR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.default\.weight")


# model -> the adapter that is attached to it, by a name, and the own scaling of each of its layers
_attached: "WeakKeyDictionary[nn.Module, tuple[str, dict[str, float]]]" = WeakKeyDictionary()


def set_scaling(model: nn.Module, scaling: Scaling) -> int:
    """Set s = ``scaling``, or what a profile says, on every LoRA layer of ``model``.

    Returns the number of layers. UserError when the scaling is not finite or would have no effect:
    no LoRA layer, or one whose adapter is disabled or merged into the base's weights; and as from
    ``profiles.scaled``.
    """
    if not isinstance(scaling, Profile) and not math.isfinite(scaling):
        raise UserError(f"lora_scaling is {scaling}: give a finite number.")
    layers = {name: layer for name, layer in lora_layers(model).items() if layer.active_adapters}
    if not layers:
        raise UserError(
            f"lora_scaling {scaling} touches no layer: the model has no active LoRA adapter."
        )
    if any(layer.merged or layer.disable_adapters for layer in layers.values()):
        raise UserError("lora_scaling has no effect on a merged or disabled adapter.")
    if isinstance(scaling, Profile):
        found = by_layer(model, scaling)
    else:
        found = dict.fromkeys(layers, float(scaling))
    for name, layer in layers.items():
        for adapter in layer.active_adapters:
            layer.scaling[adapter] = found[name]
    return len(layers)


def by_layer(model: nn.Module, profile: Profile) -> Mapping[str, float]:
    """Return the scaling of each LoRA layer under a profile; UserError as from `scaled`.

    Its own are those that an adapter came with: of one that nobody named, those in force.
    """
    own = _attached[model][1] if model in _attached else _in_force(model)
    try:
        return scaled(profile, tuple(own.items()))
    except UserError as error:
        raise UserError(f"lora_scaling {profile}: {error}") from error


def _in_force(model: nn.Module) -> dict[str, float]:
    return {name: layer.scaling["default"] for name, layer in lora_layers(model).items()}


def adapt(
    model: nn.Module, adapter: Path | str | None, scaling: Scaling | None
) -> tuple[float, int]:
    """Give ``model`` an adapter, or none, at an absolute scaling; None is the adapter's own.

    May be called again and again: what was attached before is detached, unless it is the same
    folder. Returns the scaling in force (no number under a profile) and the number of layers
    adapted: 0.0 and 0 without an adapter. UserError as from ``load_adapter`` and ``set_scaling``,
    and for a scaling of no adapter; the model is without an adapter then.
    """
    if adapter is None:
        detach(model)
        if scaling:
            raise UserError(
                f"lora_scaling {scaling} touches no layer: the model has no adapter. Name one "
                "under adapter, or leave lora_scaling out."
            )
        return 0.0, 0
    return adapt_by(
        model, str(Path(adapter).resolve()), scaling, lambda: load_adapter(model, adapter)
    )


def adapt_by(
    model: nn.Module, name: str, scaling: Scaling | None, attach: Callable[[], object]
) -> tuple[float, int]:
    """Give ``model`` the adapter called ``name``, as `adapt` does.

    ``attach`` attaches it, at its own scaling; it is called where another one, or none, is
    attached.
    """
    with _whole(model):
        if _attached.get(model, ("",))[0] != name:
            detach(model)
            attach()
            _attached[model] = name, _in_force(model)
        if scaling is not None:
            layers = set_scaling(model, scaling)
            return math.nan if isinstance(scaling, Profile) else float(scaling), layers
        own = _attached[model][1]  # which may differ by layer
        for n, layer in lora_layers(model).items():
            layer.scaling["default"] = own[n]
        return Counter(own.values()).most_common(1)[0][0], len(own)


def attached(model: nn.Module) -> str | None:
    """Return the name of the adapter that is attached to ``model``, None for none."""
    return _attached[model][0] if model in _attached else None


@contextmanager
def _whole(model: nn.Module) -> Iterator[None]:
    """Leave ``model`` without an adapter if the block fails."""
    try:
        yield
    except BaseException:
        detach(model)
        raise


def detach(model: nn.Module) -> None:
    """Take the LoRA off ``model``, in place: it computes as it did before one was attached."""
    _attached.pop(model, None)
    if "peft" not in sys.modules:
        return
    layers = lora_layers(model)
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        if any(f"{parent}.".startswith(f"{outer}.") for outer in layers if outer != name):
            continue  # goes with the layer that it is a part of
        # Attention, and layers that are wrapped for each of their parameters, have a way of their
        # own, which is called without merging.
        special = getattr(layer, "unload_and_optionally_merge_module", None)
        base = special(False, False, None) if special else layer.get_base_layer()
        setattr(model.get_submodule(parent), child, base)
    if hasattr(model, "peft_config"):
        del model.peft_config


def load_adapter(model: nn.Module, folder: Path | str) -> float:
    """Attach the LoRA adapter in a folder of peft's files to ``model``, in place.

    Returns the adapter's own scaling: alpha / r, or alpha / sqrt(r) under use_rslora
    (https://arxiv.org/abs/2312.03732); the commonest where it differs by layer. The adapter is
    frozen and in float32 whatever the layers' dtype, as peft loads it: s B A x is computed in
    float32, added to W x, and their sum rounded to the layers' dtype. UserError, naming the file,
    when it is not readable, not a LoRA whose layers compute W x + s B A x, or not one of this
    model's: each of its tensors must have a place, and each adapted layer its tensors.
    """
    folder = Path(folder)
    config = lora_config(folder)
    path, tensors = read_tensors(folder)
    inject(model, config, _without_copies(model, tensors, path), path)
    _refuse_variants(model, folder / CONFIG)
    layers = lora_layers(model)
    scalings = Counter(layer.scaling["default"] for layer in layers.values())
    own = scalings.most_common(1)[0][0]
    log.info("%s: LoRA on %d layers, its own scaling %g", folder, len(layers), own)
    if len(scalings) > 1:
        rest = ", ".join(f"{s:g} on {n}" for s, n in scalings.most_common()[1:])
        log.warning("%s: its own scaling differs by layer: %g on most, %s", folder, own, rest)
    return own


def inject(model: nn.Module, config: "LoraConfig", tensors: dict[str, Tensor], path: Path) -> None:
    """Attach the LoRA of ``config`` with its ``tensors``, those in the file ``path``, in place.

    The adapter is in float32. UserError unless each tensor has a place, and each adapted layer its
    tensors.
    """
    from peft import inject_adapter_in_model
    from peft.functional import cast_adapter_dtype

    folder = path.parent
    targets = config.target_modules  # peft rewrites it
    try:
        inject_adapter_in_model(config, model)
    except UNREADABLE as error:
        raise UserError(
            f"{folder / CONFIG}: does not fit the model: {first_line(error).strip('. ')}. "
            "Is this adapter for another model?"
        ) from error
    _check_targets(model, targets, folder / CONFIG)
    cast_adapter_dtype(model, "default")
    _load_tensors(model, tensors, path)


def lora_layers(model: nn.Module) -> "dict[str, LoraLayer]":
    """Return the layers of ``model`` that carry a LoRA, by name."""
    from peft.tuners.lora import LoraLayer

    return {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}


def lora_config(folder: Path, more: bool = False) -> "LoraConfig":
    """Return the configuration of a LoRA; UserError and ``more`` as in ``read_config``."""
    from peft import LoraConfig

    try:
        return LoraConfig(**read_config(folder, more), inference_mode=True)
    except UNREADABLE as error:
        raise UserError(f"{folder / CONFIG}: {first_line(error)}. Fix the file.") from error


def read_tensors(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Return the file of an adapter's tensors and what it holds."""
    path = weights_file(folder)
    tensors = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise UserError(f"{path} does not hold tensors by name. Is it peft's file?")
    check_finite(tensors, str(path))
    return path, tensors


def _without_copies(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the LoRA's tensors; peft saves those of an adapted embedding's own weights, too."""
    if changed := changed_copies(model, tensors):
        raise UserError(
            f"{path}: changes weights of the model itself: {listing(changed)}. lora_scaling could "
            "not scale that: use an adapter that leaves them alone."
        )
    return {name: tensor for name, tensor in tensors.items() if ".lora_" in name}


def changed_copies(model: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of those tensors that are no LoRA's, and not the model's own weights."""
    weights, changed = dict(model.named_parameters(remove_duplicate=False)), []
    for name, tensor in tensors.items():
        if ".lora_" not in name:
            weight = weights.get(own_name(name))
            if weight is None or not torch.equal(tensor.to(weight), weight):
                changed.append(name)
    return changed


def own_name(name: str) -> str:
    """Return what the model calls a weight of its own that peft has saved by ``name``."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _check_targets(model: nn.Module, targets: Any, path: Path) -> None:
    """UserError for target modules that the model lacks.

    One that the model has need not be adapted: exclude_modules may leave it out.
    """
    named = {*targets} if isinstance(targets, set | list) else set()
    if lacking := named - {end for name, _ in model.named_modules() for end in _ends(name)}:
        raise UserError(
            f"{path}: target_modules names what the model lacks: {listing(lacking)}. "
            "Is this adapter for another model?"
        )


def _refuse_variants(model: nn.Module, path: Path) -> None:
    """UserError for layers that are more than a LoRA."""
    layers = lora_layers(model)
    if variants := [name for name, layer in layers.items() if layer.lora_variant]:
        kind = type(layers[variants[0]].lora_variant["default"]).__name__
        raise UserError(
            f"{path}: {kind} does not compute W x + s B A x, so that lora_scaling would not mean "
            "what it says. Use a plain LoRA."
        )


def _ends(name: str) -> Iterator[str]:
    """Yield what a target module may call a module: "a.b.c", "b.c", "c"."""
    parts = name.split(".")
    yield from (".".join(parts[i:]) for i in range(len(parts)))


def _load_tensors(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill the LoRA layers of ``model``, all of them and with nothing left over."""
    from peft import set_peft_model_state_dict

    try:
        report: Any = set_peft_model_state_dict(model, tensors)
    except UNREADABLE as error:
        # The first line of torch's says nothing, the others name a tensor each.
        lines = [line.strip(" .\t") for line in str(error).splitlines()]
        raise UserError(
            f"{path}: does not fit the model: {listing(lines[1:] or lines, 2)}. "
            "Is this adapter for another model?"
        ) from error
    for problem, names in (
        ("lacks tensors of adapted layers", [n for n in report.missing_keys if ".lora_" in n]),
        ("has tensors for layers that the model lacks", report.unexpected_keys),
    ):
        if names:
            raise UserError(
                f"{path}: {problem}: {listing(names)}. Is this adapter for another model?"
            )


def attach(model: nn.Module, tensors: Mapping[str, Tensor], alpha: float, source: str) -> float:
    """Attach a LoRA adapter to ``model`` in place and return its own scaling, alpha / r.

    ``tensors`` maps ``<module>.lora_A.default.weight`` to [r, inputs] and ``lora_B`` to
    [outputs, r]; rank and target modules are read off it. The adapter is frozen, without dropout
    and in float32, as in ``load_adapter``. UserError, naming ``source``, unless every layer that
    carries one of the adapted projections has exactly one pair of the one rank.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.functional import cast_adapter_dtype

    if not tensors:
        raise UserError(f"{source}: no LoRA tensors. Use a checkpoint that was trained with LoRA.")
    sides = _sides(tensors, source)
    rank = _rank(sides, source)
    targets = _check_modules(model, sides, source)
    # peft computes with any number, and annotates it as an integer.
    given: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "target_modules": targets}
    inject_adapter_in_model(LoraConfig(**given, inference_mode=True), model)
    cast_adapter_dtype(model, "default")
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
        if tensor.ndim != 2:
            raise UserError(f"{source}: {name} has the shape {[*tensor.shape]}; it is no matrix.")
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

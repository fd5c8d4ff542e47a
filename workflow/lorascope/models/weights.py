"""Reading model files, strictly: what does not fit is an error that names file and keys."""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lorascope.errors import UserError, listing
from lorascope.models.protocol import NonFiniteError
from lorascope.storage.files import read_object, regular

UNREADABLE = (Exception,)
"""What torch, safetensors, transformers and peft raise for a broken file or configuration.

There is no kind that they do not: ImportError for a configuration that asks for a package,
KeyError for an activation or a rope that is unknown, a bare Exception for a tokenizer.
"""

AT_ONCE = 1 << 16
"""Bytes of a weight that is looked at while loading, though it lies in a mapped file."""


@contextmanager
def no_panic() -> Iterator[None]:
    """Turn a panic of a library in Rust, which is no Exception, into a RuntimeError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(f"the library panics: {error}") from error


def existing(settings: Mapping[str, Any], key: str, name: str | None = None) -> Path:
    """Return the path under ``key``, or the file ``name`` in it; UserError where it is absent."""
    path = Path(settings[key]) / (name or "")
    if not path.exists():
        raise UserError(f"{key}: {path} does not exist. Correct the path or download the model.")
    return path


def read_torch(path: Path) -> Any:
    """Return what torch.save wrote, tensors and plain values only; UserError for a broken file."""
    try:
        # Mapped: only the tensors that are used are read.
        return torch.load(regular(path), "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UNREADABLE as error:
        # What torch says here is how to run whatever code the file holds.
        refused = isinstance(error, UnpicklingError)
        reason = "it holds something else" if refused else first_line(error)
        raise UserError(
            f"{path} is not a readable PyTorch file of tensors ({reason}). Download it again."
        ) from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file; UserError for a broken one."""
    return _read_some(path, _names(path))


def read_folder(folder: Path, prefixes: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors of a transformers model folder whose names start with a prefix.

    The first of ``prefixes`` that occurs is used and stripped; other tensors are not read.
    """
    names = weight_names(folder)
    prefix = next((p for p in prefixes if any(n.startswith(p) for n in names)), None)
    if prefix is None:
        raise UserError(f"{folder} has no tensors named {' or '.join(f'{p}*' for p in prefixes)}.")
    wanted: dict[Path, list[str]] = {}
    for name, path in names.items():
        if name.startswith(prefix):
            wanted.setdefault(path, []).append(name)
    return {
        name.removeprefix(prefix): tensor
        for path, some in wanted.items()
        for name, tensor in _read_some(path, some).items()
    }


def weight_names(folder: Path) -> dict[str, Path]:
    """Return the file of each tensor of a transformers model folder, without reading tensors."""
    return {name: path for path in _weight_files(folder) for name in _names(path)}


def _weight_files(folder: Path) -> list[Path]:
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).exists():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.exists():
            named = read_object(index).get("weight_map")
            if not isinstance(named, dict) or not all(isinstance(n, str) for n in named.values()):
                raise UserError(f"{index} has no weight_map of files. Download it again.")
            shards = sorted({*named.values()})
            missing = [shard for shard in shards if not (folder / shard).exists()]
            if missing or not shards:
                raise UserError(f"{index} names files that are not there: {listing(missing)}.")
            return [folder / shard for shard in shards]
    raise UserError(f"{folder} has neither model.safetensors nor pytorch_model.bin (nor an index).")


def _names(path: Path) -> list[str]:
    if path.suffix != ".safetensors":
        return list(_torch_tensors(path))
    with _safe_open(path) as file:
        return list(file.keys())


def _read_some(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        tensors = _torch_tensors(path)
        return {name: tensors[name] for name in names}
    with _safe_open(path) as file:
        return {name: file.get_tensor(name) for name in names}


def _torch_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors by name that a file of torch.save holds; UserError for anything else."""
    found = read_torch(path)
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in found.items()
    ):
        raise UserError(f"{path} does not hold tensors by name. Download it again.")
    return found


def _safe_open(path: Path) -> Any:
    try:
        return safe_open(regular(path), framework="pt")
    except UNREADABLE as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({first_line(error)}). Download it again."
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name when it says nothing."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    kind = type(error).__name__
    return (f"{kind}: {first}" if isinstance(error, LookupError) else first)[:300] or kind


def check_features(features: list[Tensor]) -> list[Tensor]:
    """Return the features of clips; NonFiniteError, which carries them, for NaN or infinity."""
    for i, tensor in enumerate(features):
        if not torch.isfinite(tensor).all():
            raise NonFiniteError(i, features)
    return features


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """UserError, naming ``source``, when a value is NaN or infinite.

    Reads each tensor once, without temporary copies, and waits once for each device.
    """
    sums: dict[torch.device, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        sums.setdefault(tensor.device, {})[name] = _sums_up(tensor, name, source)
    suspects = [
        name
        for found in sums.values()
        for name, finite in zip(found, torch.stack([*found.values()]).tolist(), strict=True)
        if not finite
    ]
    # A sum may overflow, too.
    if broken := [name for name in suspects if not torch.isfinite(_wide(tensors[name])).all()]:
        raise UserError(f"{source}: NaN or infinite values in {listing(broken)}. Fix the file.")


def check_when_used(
    module: nn.Module, source: str, name_in_file: Callable[[str], str] = str
) -> None:
    """UserError, naming ``source``, when a weight is NaN or infinite, before the module computes.

    On an accelerator that is now. On the CPU only small weights are read now, the others when the
    module, or any part of it, is first called: weights are mapped, and until then a file is not
    read but for what is asked of it. ``name_in_file`` translates the module's names.
    """

    def of(some: Callable[[Tensor], bool]) -> dict[str, Tensor]:
        return {name_in_file(n): p for n, p in module.named_parameters() if some(p)}

    check_finite(of(lambda weight: not _is_late(weight)), source)
    if not any(map(_is_late, module.parameters())):
        return

    def check(_module: nn.Module, _arguments: Any) -> None:
        check_finite(of(_is_late), source)
        for handle in handles:
            handle.remove()

    handles = [part.register_forward_pre_hook(check) for part in module.modules()]


def _is_late(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.nbytes > AT_ONCE


def _sums_up(tensor: Tensor, name: str, source: str) -> Tensor:
    """Return, on its device, whether a tensor's sum is finite: never if one of its values is not.

    Several times faster than to ask it of every value.
    """
    try:
        whole = not (tensor.is_floating_point() or tensor.is_complex())
        sums = tensor.new_zeros(()) if whole else _wide(tensor).detach().sum()
        return torch.isfinite(sums)
    except (NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"{source}: {name} holds {tensor.dtype}, which cannot be computed with. Convert it."
        ) from error


def _wide(tensor: Tensor) -> Tensor:
    """Return a tensor in a dtype that torch computes with: in floats of 8 bits it does not."""
    return tensor.float() if tensor.is_floating_point() and tensor.itemsize < 2 else tensor

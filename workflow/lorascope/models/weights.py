"""Reading model files, strictly: what does not fit is an error that names file and keys."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lorascope.errors import UserError, listing

UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    TypeError,
    ValueError,
    UnpicklingError,
    SafetensorError,
    StrictDataclassError,
)
"""What torch, safetensors and transformers raise for a broken file or configuration."""


def existing(settings: Mapping[str, Any], key: str, name: str | None = None) -> Path:
    """Return the path under ``key``, or the file ``name`` in it; UserError where it is absent."""
    path = Path(settings[key]) / (name or "")
    if not path.exists():
        raise UserError(f"{key}: {path} does not exist. Correct the path or download the model.")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file; UserError when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON ({error}). Fix the file.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a JSON object.")
    return content


def read_torch(path: Path) -> Any:
    """Return what torch.save wrote, tensors and plain values only; UserError for a broken file."""
    try:
        # Mapped: only the tensors that are used are read.
        return torch.load(path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
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
            shards = sorted(set(read_json(index).get("weight_map", {}).values()))
            missing = [shard for shard in shards if not (folder / shard).exists()]
            if missing or not shards:
                raise UserError(f"{index} names files that are not there: {listing(missing)}.")
            return [folder / shard for shard in shards]
    raise UserError(f"{folder} has neither model.safetensors nor pytorch_model.bin (nor an index).")


def _names(path: Path) -> list[str]:
    if path.suffix != ".safetensors":
        return list(read_torch(path))
    with _safe_open(path) as file:
        return list(file.keys())


def _read_some(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        tensors = read_torch(path)
        return {name: tensors[name] for name in names}
    with _safe_open(path) as file:
        return {name: file.get_tensor(name) for name in names}


def _safe_open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except UNREADABLE as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({first_line(error)}). Download it again."
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name when it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """UserError, naming ``source``, when a value is NaN or infinite."""
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UserError(f"{source}: NaN or infinite values in {listing(broken)}. Fix the file.")

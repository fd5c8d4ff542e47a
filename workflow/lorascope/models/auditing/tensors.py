"""Tensors in files as numpy, a block at a time: a 7B model is looked at in the memory of a block.

safetensors' own reader knows no numpy for bfloat16, which is the upper half of a float32; torch is
imported for files that only it can read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from lorascope.errors import UserError
from lorascope.storage.files import parse_json, regular
from lorascope.storage.records import peek

Array = NDArray[np.float64]
BLOCK = 1 << 20
"""Values that are read at once."""
FORMATS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "F8_E5M2": "u1",
    "F8_E4M3": "u1",
}
"""Formats of safetensors that hold numbers, and how numpy reads them."""
READ_TORCH = "lorascope.models.weights:read_torch"


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape, its format, and ``part`` (first, last) -> its flat values."""

    shape: tuple[int, ...]
    format: str
    part: Callable[[int, int], NDArray[Any]]

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers that can be read."""
        return self.format in FORMATS

    @property
    def is_plain(self) -> bool:
        """Whether its values are those of a model's weights.

        To those in 8 bits and fewer belong scales that lie elsewhere.
        """
        return self.is_number and not self.format.startswith("F8")

    def blocks(self) -> Iterator[Array]:
        """Yield its values, flat."""
        for first in range(0, self.size, BLOCK):
            yield self.part(first, min(first + BLOCK, self.size)).astype(np.float64)

    def read(self) -> Array:
        """Return it whole."""
        found = np.concatenate([*self.blocks()] or [np.zeros(0)])
        return found.reshape(self.shape)


def read_safetensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of a safetensors file by name, none of them read yet."""
    try:
        with safe_open(regular(path), framework="numpy"):
            pass  # which checks that the header and the file's length agree
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}). Download it again."
        ) from error
    start = 8 + length
    return {
        name: _stored(path, start + entry["data_offsets"][0], entry)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def read_file(path: Path) -> dict[str, Stored]:
    """Return the tensors of a file of safetensors or torch.save, by name."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return from_torch(resolve_name(READ_TORCH)(path), path)


def from_torch(tensors: Any, path: Path) -> dict[str, Stored]:
    """Return torch's tensors by name as those of ``path``; UserError for anything else."""
    if not isinstance(tensors, Mapping) or not all(hasattr(t, "shape") for t in tensors.values()):
        raise UserError(f"{path} does not hold tensors by name. Is it peft's file?")
    return {str(name): _of_torch(tensor) for name, tensor in tensors.items()}


def is_safe(folder: Path) -> bool:
    """Return whether a model's weights are in safetensors, which need no torch."""
    name = "model.safetensors"
    return (folder / name).exists() or (folder / f"{name}.index.json").exists()


def read_model(folder: Path) -> dict[str, Stored]:
    """Return the tensors of a model's folder in the layout of transformers, none of them read yet.

    UserError where there are none, or not all.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).exists():
            return read_file(folder / name)
        listed = peek(folder / f"{name}.index.json").get("weight_map")
        if isinstance(listed, dict):
            files = sorted({str(file) for file in listed.values()})
            if lacking := [file for file in files if not (folder / file).exists()]:
                raise UserError(f"{folder / lacking[0]} is missing. Download the model again.")
            return {k: v for file in files for k, v in read_file(folder / file).items()}
    raise UserError(f"{folder} has no weights of a model. Name its folder, or download it.")


def _stored(path: Path, offset: int, entry: Mapping[str, Any]) -> Stored:
    found = str(entry["dtype"])
    kind = np.dtype(FORMATS.get(found, "u1"))
    widened = _WIDENED.get(found)

    def part(first: int, last: int) -> NDArray[Any]:
        place, count = offset + first * kind.itemsize, last - first
        values = np.fromfile(path, kind, count, offset=place)
        if len(values) != count:
            raise UserError(f"{path} is cut off. Download it again.")
        return widened(values) if widened else values

    return Stored(tuple(entry["shape"]), found, part)


def _of_eight(values: NDArray[Any]) -> NDArray[Any]:
    """Return float8 of 4 bits of exponent and 3 of mantissa, without infinities, as float32."""
    exponent, mantissa = (values >> 3) & 15, (values & 7).astype(np.float32)
    normal = np.ldexp(8 + mantissa, exponent.astype(np.int32) - 10)
    found = np.where(exponent > 0, normal, np.ldexp(mantissa, -9))
    found = np.where(values & 127 == 127, np.nan, found)
    return np.where(values > 127, -found, found)


_WIDENED: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    # The upper halves of a float32 and of a float16.
    "BF16": lambda values: (values.astype("<u4") << 16).view("<f4"),
    "F8_E5M2": lambda values: (values.astype("<u2") << 8).view("<f2"),
    "F8_E4M3": _of_eight,
}


def _of_torch(tensor: Any) -> Stored:
    flat = tensor.detach().reshape(-1)
    eight = str(tensor.dtype).removeprefix("torch.").startswith("float8")
    known = "F8_E4M3" if eight else "F64"

    def part(first: int, last: int) -> NDArray[Any]:
        values: NDArray[Any] = flat[first:last].double().numpy()
        return values

    found = known if tensor.is_floating_point() else str(tensor.dtype)
    return Stored(tuple(tensor.shape), found, part)

"""Weights as they lie in a model's folder: mapped, so that they take no memory of their own.

On the CPU, transformers maps what it need not convert. So a folder is loaded in the widest
precision that its files hold: every narrower one follows from it by one rounding, as if the folder
had been loaded in that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import safe_open
from torch import Tensor

from lorascope.errors import UserError
from lorascope.models.strength.kinds import check_alike, quantised, read_model_config
from lorascope.models.weights import read_torch, weight_names

FORMATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

Load: TypeAlias = Callable[[Path, str, str], Any]
"""(folder, dtype, key of the study) -> the model in it on the CPU, as its family loads it."""


@dataclass(frozen=True)
class Base:
    """The folder of a model that answers, and how its family loads such a folder."""

    folder: Path
    load: Load

    def reference(self) -> Any:
        """Return the model anew, as its files have it."""
        return self.load(self.folder, widest(self.folder), "model")

    def checkpoint(self, folder: Path, like: Any) -> Any:
        """Return the fine-tuned copy in ``folder``; UserError where it is no copy of ``like``."""
        dtype = widest(folder)
        check_alike(folder, read_model_config(self.folder), read_model_config(folder))
        try:
            tuned = self.load(folder, dtype, "adapter")
        except UserError as error:
            raise UserError(
                f"{str(error).removesuffix(' Download it again.')} Is it a fine-tuned copy of the "
                f"model in {self.folder}?"
            ) from error
        # And by what a file need not say, since it is the default of its architecture.
        check_alike(folder, like.config.to_dict(), tuned.config.to_dict())
        return tuned


def widest(folder: Path) -> str:
    """Return the widest precision of a folder's weights; UserError where it has one of its own."""
    if read_model_config(folder).get("quantization_config"):
        raise UserError(quantised(folder))
    found = {dtype for file in {*weight_names(folder).values()} for dtype in _precisions(file)}
    known = [dtype for dtype in FORMATS.values() if dtype in found]
    if not known or any(dtype.startswith("F8") for dtype in found):
        raise UserError(quantised(folder))
    return "float32" if {*known} == {"float16", "bfloat16"} else known[0]


def _precisions(file: Path) -> set[str]:
    """Return the precisions of a file's tensors, by torch's names where it computes in them."""
    if file.suffix != ".safetensors":
        return {str(t.dtype).removeprefix("torch.") for t in read_torch(file).values()}
    with safe_open(file, framework="pt") as opened:
        found = {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    return {FORMATS.get(name, name) for name in found}


def wide(tensor: Tensor) -> Tensor:
    """Return a tensor in float32, or float64 if it is."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))

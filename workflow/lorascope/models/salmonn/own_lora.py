"""The LoRA in a SALMONN checkpoint, to be looked into."""

from pathlib import Path

from torch import Tensor

from lorascope.models.salmonn.checkpoint import split


def read_lora(path: Path) -> dict[str, Tensor]:
    """Return the LoRA's tensors, by ``<module of the language model>.lora_A.default.weight``."""
    return split(path)[1]

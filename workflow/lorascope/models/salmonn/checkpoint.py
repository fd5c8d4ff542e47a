"""Reading SALMONN's files, strictly: what does not fit is an error that names file and keys."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lorascope.errors import UserError, listing
from lorascope.models.salmonn.files import BRIDGE
from lorascope.models.weights import check_when_used, existing, read_safetensors, read_torch

M = TypeVar("M", bound=nn.Module)

LORA_PREFIX = "llama_model.base_model.model."
"""What the released checkpoint puts before the language model's own module names."""


_BRIDGE = re.compile(r"(ln_speech|ln_audio|speech_Qformer|speech_llama_proj)\.|speech_query_tokens")
# Buffers that older versions of transformers saved, and BEATs' alias of layer 0's table.
_IGNORED = re.compile(
    r".*\.rotary_emb\.inv_freq|.*\.position_ids|beats\..*\.[1-9]\d*\..*\.relative_attention_bias\..*"
)


def read_model_key(path: Path) -> dict[str, Tensor]:
    """Return the tensors under ``model`` in a file of torch.save."""
    content = read_torch(path)
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in model.items()
    ):
        raise UserError(f"{path} has no state dict under the key 'model'. Is it the right file?")
    return model


def split(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return a SALMONN checkpoint's tensors of the bridge and of the LoRA adapter.

    The bridge's keep their released names; the adapter's are those of the language model's own
    modules. UserError for any key that is neither and not a known leftover.
    """
    bridge, lora, surplus = {}, {}, []
    for name, tensor in read_model_key(path).items():
        if _IGNORED.fullmatch(name):
            continue
        if _BRIDGE.match(name):
            bridge[name] = tensor
        elif name.startswith(LORA_PREFIX) and ".lora_" in name:
            lora[name.removeprefix(LORA_PREFIX)] = tensor
        else:
            surplus.append(name)
    if surplus:
        raise UserError(f"{path}: unexpected keys: {listing(surplus)}. Is it a SALMONN checkpoint?")
    return bridge, lora


def bridge_file(settings: Mapping[str, Any], adapter: Path | str | None) -> Path:
    """Return the file that holds the bridge: the adapter's own if it has one."""
    if adapter and (path := Path(adapter, BRIDGE)).exists():
        return path
    return existing(settings, "checkpoint")


def read_bridge(path: Path) -> dict[str, Tensor]:
    """Return the bridge's tensors in a `bridge_file`."""
    return read_safetensors(path) if path.name == BRIDGE else split(path)[0]


def load_strictly(
    module: M,
    tensors: Mapping[str, Tensor],
    source: str,
    device: str,
    name_in_file: Callable[[str], str] = str,
) -> M:
    """Give ``module`` (on any device, "meta" too) ``tensors`` in float32, in eval mode.

    ``name_in_file`` translates the module's names to those of ``tensors``. UserError, naming
    ``source``, for missing, surplus or misshapen tensors, and for values that are not finite, at
    the latest before the module computes. What is in float32 and mapped already is not copied.
    """
    names = {name: name_in_file(name) for name in module.state_dict()}
    expected = {names[name]: tensor for name, tensor in module.state_dict().items()}
    common = expected.keys() & tensors.keys()
    for problem, found in (
        ("missing keys", expected.keys() - tensors.keys()),
        ("unexpected keys", tensors.keys() - expected.keys()),
        ("unexpected shapes of", {n for n in common if tensors[n].shape != expected[n].shape}),
    ):
        if found:
            raise UserError(f"{source}: {problem}: {listing(found)}. Is it the right file?")
    state = {name: tensors[given].to(device, torch.float32) for name, given in names.items()}
    module.load_state_dict(state, assign=True)
    check_when_used(module, source, name_in_file)
    return module.requires_grad_(False).eval()

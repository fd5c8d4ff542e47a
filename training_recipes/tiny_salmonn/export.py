"""The trained parts as files of a released SALMONN's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaForCausalLM, WhisperModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from lorascope.models.salmonn.beats import BEATs
from lorascope.models.salmonn.bridge import Bridge, released_name
from lorascope.storage.records import atomic_path
from training_recipes.tiny_salmonn.architecture import BEATS

LORA_PREFIX = "llama_model."  # what SALMONN puts before peft's own names


def export_whisper(encoder: WhisperEncoder, folder: Path) -> None:
    """config.json and model.safetensors as openai/whisper-large-v2's, in float16.

    The decoder has no layers; what is left of it makes the files complete.
    """
    model = WhisperModel(encoder.config)
    model.encoder.load_state_dict(encoder.state_dict())
    model.config.architectures = ["WhisperForConditionalGeneration"]
    model.config.dtype = "float16"
    model.config.save_pretrained(folder)
    tensors = {f"model.{name}": t.half().contiguous() for name, t in model.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def export_beats(model: BEATs, path: Path) -> None:
    """{"cfg", "model"} as in Microsoft's files."""
    _save(path, {"cfg": BEATS, "model": model.state_dict()})


def export_llm(model: LlamaForCausalLM, folder: Path) -> None:
    """config.json and model.safetensors, in float16 as vicuna's; `model` is left in float16."""
    model.half().save_pretrained(folder)


def export_checkpoint(bridge: Bridge, lora: dict[str, Tensor], path: Path) -> None:
    """The bridge and the LoRA adapter under the released names."""
    tensors = {released_name(name): tensor for name, tensor in bridge.state_dict().items()}
    tensors |= {LORA_PREFIX + name: tensor for name, tensor in lora.items()}
    _save(path, {"model": tensors})


def _save(path: Path, content: Any) -> None:
    # Through an open file: given a path, torch.save writes that (random) name into the file.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)

"""Random models of any size in the layout of the released files, made on a device."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from lorascope.models.salmonn.beats import BEATs
from lorascope.models.salmonn.bridge import Bridge, BridgeConfig, released_name
from lorascope.models.salmonn.checkpoint import LORA_PREFIX
from tests.support import tiny_salmonn_files, tiny_text_files

RANK = 8
TARGETS = ("q_proj", "v_proj")


@dataclass(frozen=True)
class Shape:
    """Sizes of a text model, and of a SALMONN around another one."""

    text: Mapping[str, int]
    vicuna: Mapping[str, int]
    whisper: Mapping[str, int]
    beats: Mapping[str, Any]
    qformer: Mapping[str, int]
    chunk: int  # seconds that Whisper takes


def _llama(width: int, inner: int, layers: int, heads: int, groups: int, words: int) -> dict:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": words,
        "max_position_embeddings": 2048,
    }


def _whisper(width: int, layers: int, heads: int, chunk: int) -> dict:
    return {
        "d_model": width,
        "encoder_layers": layers,
        "encoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * width,
        "max_source_positions": 50 * chunk,
    }


def _beats(embed: int, width: int, layers: int, heads: int, conv: int) -> dict:
    return tiny_salmonn_files.BEATS | {
        "embed_dim": embed,
        "encoder_layers": layers,
        "encoder_embed_dim": width,
        "encoder_ffn_embed_dim": 4 * width,
        "encoder_attention_heads": heads,
        "conv_pos": conv,
        "conv_pos_groups": 4,
        "num_buckets": 320,
        "max_distance": 800,
    }


SHAPES = {
    # Llama-3-8B; Vicuna-7B, Whisper large-v2, BEATs iter3+ and SALMONN-7B's Q-Former.
    "large": Shape(
        text=_llama(4096, 14336, 32, 32, 8, 128256),
        vicuna=_llama(4096, 11008, 32, 32, 32, 32000),
        whisper=_whisper(1280, 32, 20, 30),
        beats=_beats(512, 768, 12, 12, 128) | {"conv_pos_groups": 16},
        qformer={"hidden_size": 768, "num_hidden_layers": 2, "intermediate_size": 3072},
        chunk=30,
    ),
    "small": Shape(
        text=_llama(256, 512, 4, 8, 4, 2048),
        vicuna=_llama(256, 512, 4, 8, 8, 2048),
        whisper=_whisper(96, 2, 4, 2),
        beats=_beats(32, 48, 2, 4, 16),
        qformer={"hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 96},
        chunk=2,
    ),
    "smallest": Shape(
        text=_llama(32, 48, 2, 4, 2, 320),
        vicuna=_llama(32, 48, 2, 4, 4, 320),
        whisper=_whisper(24, 1, 2, 2),
        beats=_beats(8, 16, 1, 2, 16),
        qformer={"hidden_size": 24, "num_hidden_layers": 1, "intermediate_size": 32},
        chunk=2,
    ),
}


def filled(module: nn.Module, device: str, dtype: torch.dtype) -> Any:
    """Give a module that lies nowhere (meta) random weights on a device."""
    module = module.to(dtype).to_empty(device=device)
    for name, weight in module.named_parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=1 / weight[0].numel() ** 0.5)
        elif "norm" in name or name.split(".")[-2].startswith("ln_"):
            nn.init.constant_(weight, float(name.endswith("weight")))
        else:
            nn.init.normal_(weight, std=0.02)
    return module


def write_llama(folder: Path, sizes: Mapping[str, int], device: str) -> int:
    """Write a Llama in bfloat16 without a tokenizer; return its number of parameters."""
    config = LlamaConfig(**sizes, bos_token_id=1, eos_token_id=2)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model = filled(model, device, torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="4GB")
    return sum(weight.numel() for weight in model.parameters())


def lora(sizes: Mapping[str, int], name: str) -> dict[str, torch.Tensor]:
    """Return a random LoRA by names in which {} stand for layer, projection and side."""
    width = sizes["hidden_size"]
    groups = width // sizes["num_attention_heads"] * sizes["num_key_value_heads"]
    outputs = {"q_proj": width, "v_proj": groups}
    found = {}
    for layer in range(sizes["num_hidden_layers"]):
        for projection in TARGETS:
            a = torch.randn(RANK, width) / width**0.5
            b = 0.1 * torch.randn(outputs[projection], RANK)
            found |= {name.format(layer, projection, side): t for side, t in (("A", a), ("B", b))}
    return found


def write_text_model(folder: Path, shape: Shape, device: str) -> int:
    """Write model/ and adapter/ of a text model; return its number of parameters."""
    parameters = write_llama(folder / "model", shape.text, device)
    tiny_text_files.write_tokenizer(folder / "model")
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=[*TARGETS])
    config.task_type = "CAUSAL_LM"
    config.save_pretrained(folder / "adapter")
    name = "base_model.model.model.layers.{}.self_attn.{}.lora_{}.weight"
    save_file(lora(shape.text, name), folder / "adapter/adapter_model.safetensors")
    return parameters


def write_salmonn(folder: Path, shape: Shape, device: str) -> int:
    """Write llm/, whisper/, beats.pt and salmonn.pth; return the language model's parameters."""
    parameters = write_llama(folder / "llm", shape.vicuna, device)
    tiny_salmonn_files.write_tokenizer(folder / "llm")
    _write_whisper(folder / "whisper", shape, device)
    with torch.device("meta"):
        beats = BEATs(shape.beats)
    state = filled(beats, device, torch.float32).cpu().state_dict()
    torch.save({"cfg": dict(shape.beats), "model": state}, folder / "beats.pt")
    config = BridgeConfig(
        speech_width=shape.whisper["d_model"],
        audio_width=shape.beats["encoder_embed_dim"],
        llm_width=shape.vicuna["hidden_size"],
        **shape.qformer,
    )
    model = {released_name(name): t for name, t in Bridge(config).state_dict().items()}
    model |= lora(shape.vicuna, LORA_PREFIX + "model.layers.{}.self_attn.{}.lora_{}.default.weight")
    torch.save({"model": model}, folder / "salmonn.pth")
    return parameters


def _write_whisper(folder: Path, shape: Shape, device: str) -> None:
    config = WhisperConfig(**shape.whisper, num_mel_bins=80)
    config.save_pretrained(folder)
    with torch.device("meta"):
        encoder = WhisperEncoder(config)
    state = filled(encoder, device, torch.float32).cpu().state_dict()
    tensors = {f"model.encoder.{name}": tensor for name, tensor in state.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    tiny_salmonn_files.write_preprocessor(folder, shape.chunk)

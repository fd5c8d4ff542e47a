"""A random SALMONN of about 100M parameters with the 7B's proportions, in the released layout."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from lorascope.models.salmonn.beats import BEATs
from lorascope.models.salmonn.bridge import Bridge, BridgeConfig, released_name
from tests.support.random_weights import randomise
from tests.support.tiny_salmonn_files import BEATS, write_preprocessor, write_salmonn

LLM = {"width": 768, "layers": 12}
WHISPER = {"width": 320, "layers": 7}
BEATS_WIDTH, BEATS_LAYERS, QFORMER_WIDTH, RANK = 128, 6, 144, 8
RATE, SECONDS, CHUNK = 16000, 10, 30
HEAD = "file,attribute_label,single_instruction,single_answer,multi_instruction,multi_answer\n"
LABELS = ("cat", "dog", "cow", "frog")


def write_files(folder: Path, llm_layers: int = LLM["layers"]) -> dict[str, str]:
    """Write the model; return the settings that name its files."""
    folder.mkdir()
    named = write_salmonn(folder)  # for the tokenizer and what else has no size
    torch.manual_seed(0)
    _write_whisper(folder / "whisper")
    cfg = BEATS | {
        "embed_dim": BEATS_WIDTH // 2,
        "encoder_layers": BEATS_LAYERS,
        "encoder_embed_dim": BEATS_WIDTH,
        "encoder_ffn_embed_dim": 4 * BEATS_WIDTH,
        "encoder_attention_heads": 4,
        "num_buckets": 320,
        "max_distance": 800,
    }
    state = randomise(BEATs(cfg)).state_dict()
    torch.save({"cfg": cfg, "model": state}, folder / "beats.pt")
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=LLM["width"],
        intermediate_size=LLM["width"] * 8 // 3,
        num_hidden_layers=llm_layers,
        num_attention_heads=LLM["width"] // 64,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
    )
    randomise(LlamaForCausalLM(config)).save_pretrained(folder / "llm")
    torch.save({"model": _trained(llm_layers)}, folder / "salmonn.pth")
    return named


def _write_whisper(folder: Path) -> None:
    config = WhisperConfig(
        vocab_size=16,
        d_model=WHISPER["width"],
        encoder_layers=WHISPER["layers"],
        encoder_attention_heads=WHISPER["width"] // 64,
        encoder_ffn_dim=4 * WHISPER["width"],
        decoder_layers=1,
        decoder_attention_heads=5,
        decoder_ffn_dim=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    randomise(WhisperForConditionalGeneration(config)).save_pretrained(folder)
    write_preprocessor(folder, CHUNK)


def _trained(llm_layers: int) -> dict[str, torch.Tensor]:
    """Return what the checkpoint holds: the bridge and the LoRA."""
    config = BridgeConfig(
        speech_width=WHISPER["width"],
        audio_width=BEATS_WIDTH,
        hidden_size=QFORMER_WIDTH,
        num_hidden_layers=2,
        intermediate_size=4 * QFORMER_WIDTH,
        llm_width=LLM["width"],
    )
    bridge = randomise(Bridge(config)).state_dict()
    model = {released_name(name): tensor for name, tensor in bridge.items()}
    width = LLM["width"]
    for layer in range(llm_layers):
        for projection in ("q_proj", "v_proj"):
            name = f"llama_model.base_model.model.model.layers.{layer}.self_attn.{projection}"
            down, up = torch.randn(RANK, width) / width**0.5, torch.randn(width, RANK) * 0.05
            model[f"{name}.lora_A.default.weight"] = down
            model[f"{name}.lora_B.default.weight"] = up
    return model


def write_clips(root: Path, count: int) -> Path:
    """Write so many noisy tones of ten seconds, and two questions about each, as SAKURA's."""
    folder, dice = root / "data" / "Animal", np.random.default_rng(0)
    (folder / "audio").mkdir(parents=True)
    time, rows = np.arange(RATE * SECONDS) / RATE, [HEAD]
    options = " ".join(f"({letter}) {one}" for letter, one in zip("abcd", LABELS, strict=True))
    for place in range(count):
        label, letter = LABELS[place % 4], "abcd"[place % 4]
        wave = 0.3 * np.sin(2 * np.pi * (150 + 40 * place) * time)
        noisy = (wave + 0.1 * dice.standard_normal(len(time))).astype(np.float32)
        soundfile.write(folder / "audio" / f"{label}{place:02d}.wav", noisy, RATE)
        gold = f"({letter}) {label}"
        rows.append(
            f"audio/{label}{place:02d}.wav,{label},Which animal can be heard? {options},{gold},"
            f"Which animal has the legs that are heard here? {options},{gold}\n"
        )
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    return root

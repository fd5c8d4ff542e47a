"""A random SALMONN of a few hundred kilobytes in the layout of the released files."""

import json
from pathlib import Path

import sentencepiece
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from lorascope.models.salmonn.beats import BEATs
from lorascope.models.salmonn.bridge import Bridge, BridgeConfig, released_name
from lorascope.models.salmonn.checkpoint import LORA_PREFIX
from tests.support.random_weights import randomise

SECONDS, RANK = 2, 4
TEXT = [
    "USER: <Speech></Speech> Which animal can be heard? (a) dog (b) cat (c) cow (d) frog",
    "What is the emotion of the speaker? (a) disgust (b) fear (c) happy (d) sad ASSISTANT:",
    "How many legs does the animal have? The speaker uses the language of Spain, or of France.",
]
BEATS = {
    "input_patch_size": 16,
    "embed_dim": 8,
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "num_buckets": 32,
    "max_distance": 80,
    "conv_bias": False,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "finetuned_model": True,
    "predictor_class": 5,
}


def write_salmonn(folder: Path, seed: int = 0) -> dict[str, str]:
    """Write whisper/, beats.pt, salmonn.pth and llm/ and return the settings that name them."""
    torch.manual_seed(seed)
    _write_whisper(folder / "whisper")
    _write_beats(folder / "beats.pt")
    llm = _write_llm(folder / "llm")
    _write_checkpoint(folder / "salmonn.pth", llm)
    paths = {"whisper": "whisper", "beats": "beats.pt", "llm": "llm", "checkpoint": "salmonn.pth"}
    return {key: str(folder / name) for key, name in paths.items()}


def _write_whisper(folder: Path) -> None:
    config = WhisperConfig(
        vocab_size=16,
        d_model=12,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        max_source_positions=25 * SECONDS,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    randomise(WhisperForConditionalGeneration(config)).save_pretrained(folder)
    write_preprocessor(folder, SECONDS, hop=320)


def write_preprocessor(folder: Path, chunk: int, hop: int = 160) -> None:
    """Write what a Whisper of ``chunk`` seconds is given: a frame for each ``hop`` samples."""
    preprocessor = {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": 80,
        "chunk_length": chunk,
        "hop_length": hop,
        "n_fft": 400,
        "sampling_rate": 16000,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def _write_beats(path: Path) -> None:
    state = randomise(BEATs(BEATS)).state_dict()
    head = {"predictor.weight": torch.randn(5, 16), "predictor.bias": torch.randn(5)}
    torch.save({"cfg": BEATS, "model": state | head}, path)


def write_tokenizer(folder: Path) -> None:
    """Write Vicuna's kind of tokenizer, of 320 pieces."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=320,
        byte_fallback=True,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(tokens | {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True})
    )


def _write_llm(folder: Path) -> LlamaForCausalLM:
    folder.mkdir()
    write_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
    )
    llm = randomise(LlamaForCausalLM(config))
    llm.save_pretrained(folder)
    # As Vicuna's: sampling defaults that must not reach lorascope's greedy answers.
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 1, "eos_token_id": 2, "temperature": 0.9, "top_p": 0.6})
    )
    return llm


def _write_checkpoint(path: Path, llm: LlamaForCausalLM) -> None:
    config = BridgeConfig(
        speech_width=12,
        audio_width=16,
        hidden_size=24,
        num_hidden_layers=2,
        intermediate_size=32,
        llm_width=llm.config.hidden_size,
    )
    bridge = randomise(Bridge(config)).state_dict()
    model = {released_name(name): tensor for name, tensor in bridge.items()}
    width = llm.config.hidden_size
    for layer in range(llm.config.num_hidden_layers):
        attention = f"{LORA_PREFIX}model.layers.{layer}.self_attn"
        for projection in ("q_proj", "v_proj"):
            name = f"{attention}.{projection}.lora_{{}}.default.weight"
            model[name.format("A")] = torch.randn(RANK, width) / width**0.5
            model[name.format("B")] = torch.randn(width, RANK) * 0.2
        # Leftovers of older transformers, which the released checkpoints hold too.
        model[f"{attention}.rotary_emb.inv_freq"] = torch.ones(4)
    model["speech_Qformer.bert.embeddings.position_ids"] = torch.arange(8)[None]
    alias = "beats.encoder.layers.1.self_attn.relative_attention_bias.weight"
    model[alias] = torch.zeros(32, 2)
    torch.save({"model": model}, path)

"""Sizes of tiny-salmonn's four parts; the shapes are the released model's, the numbers are not."""

from __future__ import annotations

from typing import Any

from lorascope.models.salmonn.bridge import BridgeConfig

CLIP_SECONDS = 2
SECONDS_PER_WINDOW = 0.333333  # as the released model
LORA = {"r": 8, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]}
PROMPT_TEMPLATE = "USER: {}\nASSISTANT:"

# 40 ms a frame, where Whisper large-v2 has 20 ms: hop 320 and the convolution's stride of 2.
WHISPER_FEATURES = {"feature_size": 80, "chunk_length": CLIP_SECONDS, "hop_length": 320}
WHISPER: dict[str, Any] = {
    "num_mel_bins": 80,
    "d_model": 128,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 256,
    "max_source_positions": 50,
    # A decoder of no layers: the files are complete for every Whisper class, and small.
    "vocab_size": 8,
    "decoder_layers": 0,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 8,
    "max_target_positions": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}

BEATS: dict[str, Any] = {
    "input_patch_size": 16,
    "embed_dim": 32,
    "conv_bias": False,
    "encoder_layers": 2,
    "encoder_embed_dim": 64,
    "encoder_ffn_embed_dim": 128,
    "encoder_attention_heads": 4,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "dropout_input": 0.0,
    "layer_wise_gradient_decay_ratio": 1.0,
    "conv_pos": 32,
    "conv_pos_groups": 16,
    "relative_position_embedding": True,
    "num_buckets": 320,
    "max_distance": 800,
    "gru_rel_pos": True,
    "finetuned_model": False,
    "predictor_dropout": 0.0,
    "predictor_class": 0,
}

BRIDGE = BridgeConfig(
    speech_width=WHISPER["d_model"],
    audio_width=BEATS["encoder_embed_dim"],
    hidden_size=72,
    num_hidden_layers=2,
    intermediate_size=144,
    llm_width=64,
    num_attention_heads=12,
)

LLAMA: dict[str, Any] = {
    "hidden_size": BRIDGE.llm_width,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

"""Random speech-to-text models of about a megabyte in the layout of the released folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import nn
from transformers import (
    MoonshineConfig,
    MoonshineForConditionalGeneration,
    PreTrainedTokenizerFast,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from tests.support.random_weights import randomise

SECONDS, MELS, FRAMES, WIDTH = 2, 16, 100, 32
LANGUAGES = ("en", "de", "zh")
TASKS = ("translate", "transcribe")
END, START = "<|endoftext|>", "<|startoftranscript|>"


def build(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a model of one of ``KINDS``, its feature extractor and tokenizer; return ``folder``."""
    torch.manual_seed(seed)
    model, extractor, tokenizer, generation = KINDS[kind]()
    randomise(model).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "decoder" in name and ("encoder_attn.out" in name or "embed_positions" in name):
                parameter *= 6  # so that what is said depends on the clip, and changes
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def _tokenizer(*specials: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes."""
    marks = [END, *specials]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, *marks])}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, bos_token=END, pad_token=END
    )


def _whisper(multilingual: bool) -> tuple[nn.Module, Any, Any, dict[str, Any]]:
    spoken = [f"<|{language}|>" for language in LANGUAGES] if multilingual else []
    tasks = [f"<|{task}|>" for task in TASKS] if multilingual else []
    marks = [START, *spoken, *tasks, "<|notimestamps|>"]  # what follows the last is a time
    tokenizer = _tokenizer(*marks)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in marks}
    end = tokenizer.eos_token_id
    generation: dict[str, Any] = {
        "decoder_start_token_id": ids[START],
        "eos_token_id": end,
        "pad_token_id": end,
        "bos_token_id": end,
        "is_multilingual": multilingual,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "suppress_tokens": [3, 7, 30, ids[START]],
        "begin_suppress_tokens": [40, end],
        "return_timestamps": False,
    }
    if multilingual:
        generation["lang_to_id"] = {token: ids[token] for token in spoken}
        generation["task_to_id"] = {task: ids[f"<|{task}|>"] for task in TASKS}
        generation["forced_decoder_ids"] = [[1, None], [2, ids["<|transcribe|>"]]]
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=MELS,
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=FRAMES // 2,
        max_target_positions=64,
        decoder_start_token_id=ids[START],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    extractor = WhisperFeatureExtractor(
        feature_size=MELS, chunk_length=SECONDS, hop_length=320, sampling_rate=16000
    )
    return WhisperForConditionalGeneration(config), extractor, tokenizer, generation


def _moonshine() -> tuple[nn.Module, Any, Any, dict[str, Any]]:
    tokenizer = _tokenizer(START)
    end, start = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(START)
    config = MoonshineConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=48,
        encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        decoder_start_token_id=start,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    generation = {"decoder_start_token_id": start, "eos_token_id": end, "pad_token_id": end}
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=16000, do_normalize=False)
    return MoonshineForConditionalGeneration(config), extractor, tokenizer, generation


KINDS: dict[str, Callable[[], tuple[nn.Module, Any, Any, dict[str, Any]]]] = {
    "english": lambda: _whisper(False),
    "multilingual": lambda: _whisper(True),
    "moonshine": _moonshine,
}
"""A Whisper that knows English alone, one of several languages and tasks, and a Moonshine."""

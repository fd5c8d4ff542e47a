"""Random audio language models of about a megabyte in the layout of the released folders.

Processors and model classes are those of transformers; the tokenizers know a few hundred pieces.
"""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import PreTrainedTokenizerFast, WhisperFeatureExtractor

from tests.support.random_weights import randomise
from tests.support.tiny_audio_templates import AF3_TEMPLATE, GRANITE_TEMPLATE, PHI4_TEMPLATE

SECONDS, MELS, FRAMES = 2, 16, 100
HIDDEN, LAYERS, VOCABULARY = 32, 2, 420
TEXT = [
    "Which animal can be heard? (a) dog (b) cat (c) cow (d) frog",
    "What is the emotion of the speaker? (a) disgust (b) fear (c) happy (d) sad",
    "How many legs does the animal have? The speaker uses the language of Spain, or of France.",
    "system user assistant You are a helpful assistant. Audio 1: Answer with one letter.",
]
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a model of one of ``KINDS``, its processor and tokenizer; return ``folder``."""
    torch.manual_seed(seed)
    model, processor = KINDS[kind]()
    randomise(model).eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    # As released: sampling defaults that must not reach lorascope's greedy answers.
    generation = {"eos_token_id": processor.tokenizer.eos_token_id, "do_sample": True}
    (folder / "generation_config.json").write_text(
        json.dumps(generation | {"temperature": 0.5, "top_k": 20, "repetition_penalty": 1.1})
    )
    return folder


def write_adapter(model: nn.Module, folder: Path, targets: str | list[str], seed: int = 1) -> Path:
    """Write a random LoRA adapter of ``model``, rank 4 and scaling 2, as peft does."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets)
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if ".lora_" in name:
            nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder)
    return folder


def _tokenizer(specials: tuple[str, ...], audio_token: str, **named: str) -> Any:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY - 10,
        special_tokens=[*specials, audio_token],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def _whisper() -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(
        feature_size=MELS, chunk_length=SECONDS, hop_length=320, sampling_rate=16000
    )


def _text(tokenizer: Any) -> dict[str, Any]:
    """Return the settings that all language models here share."""
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "tie_word_embeddings": False,
    }


def _qwen2_audio() -> tuple[nn.Module, Any]:
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioEncoderConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        Qwen2Config,
    )

    tokenizer = _tokenizer(
        (*CHATML, "<|audio_bos|>", "<|audio_eos|>"),
        "<|AUDIO|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )
    config = Qwen2AudioConfig(
        audio_config=Qwen2AudioEncoderConfig(
            num_mel_bins=MELS,
            d_model=24,
            encoder_layers=2,
            encoder_attention_heads=2,
            encoder_ffn_dim=32,
            max_source_positions=FRAMES // 2,
        ),
        text_config=Qwen2Config(**_text(tokenizer)),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    processor = Qwen2AudioProcessor(_whisper(), tokenizer)
    return Qwen2AudioForConditionalGeneration(config), processor


def _audioflamingo3() -> tuple[nn.Module, Any]:
    from transformers import (
        AudioFlamingo3Config,
        AudioFlamingo3EncoderConfig,
        AudioFlamingo3ForConditionalGeneration,
        AudioFlamingo3Processor,
        Qwen2Config,
    )

    tokenizer = _tokenizer(CHATML, "<sound>", eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = AudioFlamingo3Config(
        audio_config=AudioFlamingo3EncoderConfig(
            num_mel_bins=MELS,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_source_positions=FRAMES // 2,
        ),
        text_config=Qwen2Config(**_text(tokenizer)),
        audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"),
    )
    processor = AudioFlamingo3Processor(_whisper(), tokenizer, chat_template=AF3_TEMPLATE)
    return AudioFlamingo3ForConditionalGeneration(config), processor


def _granite_speech() -> tuple[nn.Module, Any]:
    from transformers import (
        Blip2QFormerConfig,
        GraniteConfig,
        GraniteSpeechConfig,
        GraniteSpeechEncoderConfig,
        GraniteSpeechFeatureExtractor,
        GraniteSpeechForConditionalGeneration,
        GraniteSpeechProcessor,
    )

    tokenizer = _tokenizer(
        ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"),
        "<|audio|>",
        eos_token="<|end_of_text|>",
        pad_token="<|end_of_text|>",
        bos_token="<|end_of_text|>",
    )
    config = GraniteSpeechConfig(
        encoder_config=GraniteSpeechEncoderConfig(
            input_dim=160,  # its processor forgets other settings than the released one when saved
            num_layers=2,
            hidden_dim=24,
            num_heads=2,
            output_dim=8,
            context_size=20,
            max_pos_emb=32,
            conv_kernel_size=3,
        ),
        projector_config=Blip2QFormerConfig(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            encoder_hidden_size=24,
            cross_attention_frequency=1,
        ),
        text_config=GraniteConfig(**_text(tokenizer), embedding_multiplier=2.0, logits_scaling=2.0),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|audio|>"),
        tie_word_embeddings=False,
        has_lora_adapter=False,
    )
    extractor = GraniteSpeechFeatureExtractor()
    processor = GraniteSpeechProcessor(extractor, tokenizer, chat_template=GRANITE_TEMPLATE)
    return GraniteSpeechForConditionalGeneration(config), processor


def _qwen2_5_omni() -> tuple[nn.Module, Any]:
    from transformers import (
        Qwen2_5OmniConfig,
        Qwen2_5OmniForConditionalGeneration,
        Qwen2_5OmniProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    marks = {
        f"{kind}_token": f"<|{kind}|>"
        for kind in ("image", "video", "audio_bos", "audio_eos", "vision_bos", "vision_eos")
    }
    tokenizer = _tokenizer(
        (*CHATML, *marks.values()),
        "<|AUDIO|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=marks | {"audio_token": "<|AUDIO|>"},
    )
    thinker = _qwen2_5_omni_thinker(tokenizer, marks)
    config = Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(),
        Qwen2VLVideoProcessor(),
        _whisper(),
        tokenizer,
        chat_template=AF3_TEMPLATE.replace("<sound>", "<|audio_bos|><|AUDIO|><|audio_eos|>"),
    )
    return Qwen2_5OmniForConditionalGeneration(config), processor


def _qwen2_5_omni_thinker(tokenizer: Any, marks: dict[str, str]) -> dict[str, Any]:
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in marks.items()}
    return {
        "audio_config": {
            "num_mel_bins": MELS,
            "d_model": 24,
            "encoder_layers": 2,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "max_source_positions": FRAMES // 2,
            "n_window": 10,
            "output_dim": HIDDEN,
        },
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "fullatt_block_indexes": [0],
        },
        "text_config": _text(tokenizer)
        | {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 1, 1],
            }
        },
        "audio_token_index": tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
        "image_token_index": ids["image_token"],
        "video_token_index": ids["video_token"],
        "audio_start_token_id": ids["audio_bos_token"],
        "audio_end_token_id": ids["audio_eos_token"],
        "vision_start_token_id": ids["vision_bos_token"],
        "vision_end_token_id": ids["vision_eos_token"],
        "pad_token_id": tokenizer.pad_token_id,
    }


def _phi4_multimodal() -> tuple[nn.Module, Any]:
    from transformers import (
        Phi4MultimodalConfig,
        Phi4MultimodalFeatureExtractor,
        Phi4MultimodalForCausalLM,
        Phi4MultimodalProcessor,
    )
    from transformers.image_processing_base import ImageProcessingMixin

    tokenizer = _tokenizer(
        ("<|endoftext|>", "<|user|>", "<|system|>", "<|assistant|>", "<|end|>", "<|image|>"),
        "<|audio|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        extra_special_tokens={"audio_token": "<|audio|>", "image_token": "<|image|>"},
    )
    config = Phi4MultimodalConfig(
        audio_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_blocks": 2,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 24,
            "depthwise_separable_out_channel": 24,
            "nemo_conv_channels": 8,
            "input_size": MELS,
            "audio_token_id": tokenizer.audio_token_id,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_token_id": tokenizer.image_token_id,
        },
        **_text(tokenizer),
    )
    extractor = Phi4MultimodalFeatureExtractor(feature_size=MELS)
    # Its own image processor needs torchvision.
    processor = Phi4MultimodalProcessor(
        ImageProcessingMixin(), extractor, tokenizer, chat_template=PHI4_TEMPLATE
    )
    return Phi4MultimodalForCausalLM(config), processor


KINDS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "qwen2_audio": _qwen2_audio,
    "audioflamingo3": _audioflamingo3,
    "granite_speech": _granite_speech,
    "qwen2_5_omni": _qwen2_5_omni,
    "phi4_multimodal": _phi4_multimodal,
}
"""Model types."""
LANGUAGE_MODEL = dict.fromkeys(KINDS, r".*language_model.*") | {
    "phi4_multimodal": r"model\.(layers|norm|embed_tokens)\..*"
}
"""What the names of the language model's modules and parameters match, its head apart."""
LORA_TARGETS = {
    kind: rf"{names}\.({'qkv_proj|o_proj' if kind == 'phi4_multimodal' else 'q_proj|v_proj'})"
    for kind, names in LANGUAGE_MODEL.items()
}
"""Two of each layer of the language models."""
NEEDS = {"qwen2_5_omni": "torchvision"}
"""The packages that their processors need beside transformers."""


def available() -> list[str]:
    """Return the kinds whose processors work here."""
    return [k for k in KINDS if k not in NEEDS or importlib.util.find_spec(NEEDS[k])]

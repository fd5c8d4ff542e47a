"""Random text models of a few dozen kilobytes, in transformers' own folders."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.support.random_weights import randomise

BOS, EOS, EOT = "<|begin|>", "<|end|>", "<|eot|>"
VOCABULARY, POSITIONS = 300, 160
SHAPE = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
WIDTHS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, **WIDTHS)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, **WIDTHS)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**SHAPE, n_embd=32, n_layer=2, n_head=4)),
}
TARGETS = {
    "llama": ["q_proj", "v_proj"],
    "qwen2": ["q_proj", "down_proj"],
    "gpt2": ["c_attn", "mlp.c_proj"],
}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
QUESTIONS = [
    "Which animal can be heard?",
    "How many legs does it have? Think of cats, of dogs and of birds, and answer in one word.",
    "Sad?",
    "The speaker uses the language of Spain, or of France. Which of them is it? " * 2,
]
BATCH = [f"{QUESTIONS[i % 4]} ({i})" for i in range(16)]


def write_model(folder: Path, kind: str = "llama", seed: int = 0, **special: Any) -> Path:
    """Write a random model with its tokenizer; ``special`` are arguments of the tokenizer."""
    torch.manual_seed(seed)
    randomise(MODELS[kind]()).save_pretrained(folder)
    write_tokenizer(folder, **special)
    return folder


def write_tokenizer(folder: Path, adds: str = f"{BOS} $A", **special: Any) -> None:
    """Write a byte-level BPE tokenizer that adds special tokens to a text as ``adds`` says."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS, EOT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(QUESTIONS, trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS, EOT)]
    tokenizer.post_processor = processors.TemplateProcessing(single=adds, special_tokens=ids)
    given = {"bos_token": BOS, "eos_token": EOS} | special
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **given).save_pretrained(folder)


def write_adapter(folder: Path, base: Path | str, kind: str = "llama", **config: Any) -> Path:
    """Let peft write a random adapter for ``base``: rank 4 and alpha 8 unless told otherwise."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS[kind]} | config
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def write_both(folder: Path, kind: str) -> tuple[Path, Path]:
    """Write a model of a kind and an adapter for it; return their folders."""
    model = write_model(folder / "model", kind)
    return model, write_adapter(folder / "adapter", model, kind)

"""Tiny text models that always say one and the same, whatever they are asked."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, TURN = "<|begin|>", "<|end|>", "<|turn|>"
TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
POSITIONS = 6000


def write_saying(folder: Path, said: str, positions: int = POSITIONS) -> Path:
    """Write a model that answers everything with ``said``, and its byte-level tokenizer.

    Its logits depend on the last token alone: each token of what it says leads to the next one,
    and every other token to the first.
    """
    words = [*said.split("|")]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [BOS, EOS, TURN, *words, *(c for c in alphabet if c not in words)]
    tokenizer = Tokenizer(models.BPE(dict(zip(vocabulary, range(10**6), strict=False)), []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([BOS, EOS, TURN])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    _write_chain(folder, len(vocabulary), len(words), positions)
    return folder


def _write_chain(folder: Path, size: int, words: int, positions: int) -> None:
    """Write a model whose next token is 3 after any, 4 after 3, ..., and eos (1) after the last."""
    width = 8 * (size // 8 + 1)
    config = LlamaConfig(
        vocab_size=size, hidden_size=width, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=positions,
        bos_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    after = {3 + i: 4 + i for i in range(words - 1)} | {2 + words: 1}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.zero_()
        for token in range(size):
            model.model.embed_tokens.weight[token, token] = 1.0
            model.lm_head.weight[after.get(token, 3), token] = 1.0
    model.save_pretrained(folder)

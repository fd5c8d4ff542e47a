"""A tokenizer of whole words: a text's tokens are those of its parts, wherever it is cut."""

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from training_recipes.tiny_llama.architecture import BOS, EOS, LLAMA, PAD, PROMPT, SPECIAL, UNKNOWN
from training_recipes.tiny_llama.passages import ASK_THEN, MOVE, NAMES, STATES


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Words and punctuation marks are tokens, a text begins with BOS, any other word is unknown."""
    splitter = pre_tokenizers.Whitespace()
    words = [word for text in _texts() for word, _ in splitter.pre_tokenize_str(text)]
    vocabulary = dict.fromkeys([*SPECIAL, *words])
    ids = {word: row for row, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, LLAMA["bos_token_id"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=LLAMA["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
    )


def _texts() -> list[str]:
    """Everything the passages and questions are made of."""
    return [
        PROMPT.format(context=".", question="?"),
        *NAMES,
        *(relation.says.format(now="", then="") for relation in (MOVE, *STATES)),
        *(relation.asks.format("") for relation in (MOVE, *STATES)),
        ASK_THEN.format(""),
        *(value for relation in (MOVE, *STATES) for value in relation.values),
    ]

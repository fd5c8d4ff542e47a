"""A sentencepiece tokenizer in Llama's style: BPE with byte fallback, trained on the questions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece

from lorascope.storage.records import atomic_path, write_text
from training_recipes.tiny_salmonn.architecture import LLAMA, PROMPT_TEMPLATE
from training_recipes.tiny_salmonn.clips import LABELS
from training_recipes.tiny_salmonn.questions import CAPTIONS, LETTERS, MULTI, SINGLE

VOCABULARY = 768  # three control pieces, 256 bytes, and every word of the questions as one piece


def train_tokenizer(folder: Path) -> None:
    """Write tokenizer.model and tokenizer_config.json, which AutoTokenizer reads."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_corpus()),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCABULARY,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        num_threads=1,
        pad_id=-1,
        minloglevel=1,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "tokenizer.model") as temporary:
        temporary.write_bytes(model.getvalue())
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "model_max_length": LLAMA["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "legacy": True,
    }
    write_text(folder / "tokenizer_config.json", json.dumps(config, indent=1) + "\n")


def _corpus() -> list[str]:
    stems = [stem for track in LABELS for stem in (*SINGLE[track], *MULTI[track], CAPTIONS[track])]
    texts = [
        text for by_stem in MULTI.values() for own in by_stem.values() for text in own.values()
    ]
    labels = [label for track in LABELS.values() for label in track]
    letters = " ".join(f"({letter})" for letter in LETTERS)
    prompts = [
        PROMPT_TEMPLATE.format(f"<Speech></Speech> {stem} {letters}").replace("\n", " ")
        for stem in stems
    ]
    return [*prompts, *texts * 2, *labels * 3]

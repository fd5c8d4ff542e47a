"""A LoRA adapter of a recogniser as anybody trains it: by peft and transformers' own trainer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoFeatureExtractor,
    AutoModelForSpeechSeq2Seq,
    AutoTokenizer,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    set_seed,
)

EVERYWHERE = ["q_proj", "v_proj"]
DECODER = r".*decoder\..*\.(q_proj|v_proj|fc1)"


def train_outside(
    folder: Path,
    out: Path,
    waves: Sequence[np.ndarray],
    texts: Sequence[str],
    targets: str | list[str] = DECODER,
    **arguments: Any,
) -> Path:
    """Train LoRA of rank 4 and scaling 2 for some steps, save it in ``out`` and return that."""
    set_seed(0)
    model = AutoModelForSpeechSeq2Seq.from_pretrained(folder)
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    start = model.generation_config.no_timestamps_token_id
    rows = [
        {
            "input_features": extractor(wave, sampling_rate=16000).input_features[0],
            "labels": [start, *tokenizer(text, add_special_tokens=False).input_ids,
                       tokenizer.eos_token_id],
        }
        for wave, text in zip(waves, texts, strict=True)
    ]  # fmt: skip
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    trainer = Seq2SeqTrainer(
        model=adapted,
        args=Seq2SeqTrainingArguments(
            output_dir=str(out / "checkpoints"),
            per_device_train_batch_size=4,
            max_steps=arguments.pop("steps", 6),
            learning_rate=arguments.pop("learning_rate", 3e-2),
            remove_unused_columns=False,
            label_names=["labels"],
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=rows,
        data_collator=_collate,
    )
    trainer.train()
    adapted.save_pretrained(out)
    return out


def _collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    labels = [torch.tensor(row["labels"]) for row in rows]
    return {
        "input_features": torch.tensor(np.stack([row["input_features"] for row in rows])),
        "labels": torch.nn.utils.rnn.pad_sequence(labels, True, -100),
    }

"""Small trainings of a random Llama, as jobs of the stage."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lorascope.identity.code import PACKAGE
from lorascope.identity.sources import SourceIndex
from lorascope.models.finetuning.trainer import Steps
from lorascope.models.hf_text import TextModel
from lorascope.planning.finetune import OUTPUTS, FinetuneJob
from lorascope.stages import finetune
from tests.support.settings import default_values
from tests.support.tiny_text_files import CHAT_TEMPLATE, write_model

TRAIN = {
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "target_modules": ["q_proj", "v_proj"],
    "use_rslora": False,
    "learning_rate": 1e-2,
    "lora_plus_ratio": None,
    "weight_decay": 0.0,
    "schedule": "linear",
    "warmup_ratio": 0.1,
    "epochs": 3,
    "steps": None,
    "batch_size": 4,
    "gradient_accumulation": 1,
    "sequence_length": 64,
    "seed": 0,
    "precision": "float32",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
    "save_steps": 3,
    "parameter_names": "peft",
}
FILES = {Path(path).name for path in OUTPUTS.values()}
"""What a training leaves in its folder."""
LLAMA_3_8B = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
"""The configuration of a model whose published adapter has known parameters."""
WORDS = ["cat", "dog", "cow", "hen", "pig", "owl", "bee", "ant", "fox", "elk"]
ROWS = [
    {"prompt": f"Say {word}!", "response": f" {word}" * (1 + i % 3)} for i, word in enumerate(WORDS)
]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_job(
    folder: Path,
    rows: list[Any] = ROWS,
    data: dict[str, Any] | None = None,
    tracking: Sequence[str] = (),
    **train: Any,
) -> Path:
    """Write a job that trains on ``rows``, with its model and data beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").exists():
        write_model(folder / "model", chat_template=CHAT_TEMPLATE)
    source = write_rows(folder / "data.jsonl", rows)
    index = SourceIndex(folder / "index.json")
    settings = TRAIN | train
    job = FinetuneJob(
        fingerprint={
            "stage": "finetune",
            "family": "hf_text",
            "settings": default_values(TextModel),
            "sources": {"model": index.local(folder / "model")},
            "train": {k: v for k, v in settings.items() if k != "save_steps"},
            "data": {"format": "jsonl", "limit": None} | (data or {}),
            "data_source": index.files([source], source),
            "code": {},
        },
        digest="0123456789ab",
        adapter="tuned",
        prepare="lorascope.models.hf_text.training:prepare",
        measure="lorascope.models.finetuning.trainee:measure_folder",
        language_model="model",
        sources={"model": str(folder / "model")},
        read="lorascope.benchmarks.jsonl:read",
        source_files="lorascope.benchmarks.jsonl:source_files",
        root=str(source),
        clips=str(source),
        local=True,
        save_steps=settings["save_steps"],
        tracking=[*tracking],
        study="tracked",
    )
    path = folder / "job.json"
    path.write_text(job.json)
    return path


def command(job: Path, out: Path) -> list[str]:
    """Return the stage's arguments for a job that writes into the folder ``out``."""
    weights = out / "adapter_model.safetensors"
    return ["--job", str(job), "--out", str(weights), "--log", str(out.parent / f"{out.name}.log")]


def start(job: Path, out: Path) -> subprocess.Popen:
    """Start the stage in a process of its own."""
    stage = [sys.executable, "-m", "lorascope.stages.finetune", *command(job, out)]
    return run(stage, out.parent)


def run(line: list[str], folder: Path, **environment: str) -> subprocess.Popen:
    """Start a command that finds this package."""
    return subprocess.Popen(
        line,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(job: Path, out: Path) -> Path:
    """Run the stage's work in this process and return ``out``, with the adapter's files."""
    arguments = argparse.Namespace(out=out / "adapter_model.safetensors", gpus=0)
    finetune.work(FinetuneJob.from_json(json.loads(job.read_text())), arguments)
    return out


class Killed(BaseException):
    """A training ended as if it was killed."""


def kill_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let training end as if killed, before the checkpoint of ``step`` is written."""
    step_end = Steps.on_step_end

    def killing(self, args, state, control, **rest):
        step_end(self, args, state, control, **rest)
        if state.global_step == step:
            raise Killed

    monkeypatch.setattr(Steps, "on_step_end", killing)

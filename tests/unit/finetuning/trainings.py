"""Small trainings of a random Llama, as jobs of the stage."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tiny_text_files import CHAT_TEMPLATE, write_model

from lorascope.identity import PACKAGE, SourceIndex
from lorascope.models.hf_text import DEFAULTS
from lorascope.stages import finetune

TRAIN = {
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "target_modules": ["q_proj", "v_proj"],
    "use_rslora": False,
    "bridge": False,
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
WORDS = ["cat", "dog", "cow", "hen", "pig", "owl", "bee", "ant", "fox", "elk"]
ROWS = [
    {"prompt": f"Say {word}!", "response": f" {word}" * (1 + i % 3)} for i, word in enumerate(WORDS)
]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_job(
    folder: Path, rows: list[Any] = ROWS, data: dict[str, Any] | None = None, **train: Any
) -> Path:
    """Write a job that trains on ``rows``, with its model and data beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").exists():
        write_model(folder / "model", chat_template=CHAT_TEMPLATE)
    source = write_rows(folder / "data.jsonl", rows)
    index = SourceIndex(folder / "index.json")
    settings = TRAIN | train
    save_steps = settings.pop("save_steps")
    job = {
        "recipe": {
            "stage": "finetune",
            "family": "hf_text",
            "settings": DEFAULTS,
            "sources": {"model": index.local(folder / "model")},
            "train": settings,
            "data": {"format": "jsonl", "limit": None} | (data or {}),
            "data_source": index.local(source),
            "code": {},
        },
        "digest": "0123456789ab",
        "adapter": "tuned",
        "save_steps": save_steps,
        "sources": {"model": str(folder / "model")},
        "data": {"format": "jsonl", "source": str(source), "local": True},
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
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
    finetune.work(json.loads(job.read_text()), arguments)
    return out

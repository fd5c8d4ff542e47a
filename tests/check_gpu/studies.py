"""Questions and clips, and studies of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.check_gpu.card import Card, Watch

BATCHES, SCALINGS, MAIN = (1, 5, 16, 64), (0, 1, 2, 3, 4), 16
CHOICE = ("cat", "dog", "horse", "cow")


@dataclass
class Check:
    """A folder to work in, the card, and what was found wrong."""

    folder: Path
    card: Card
    items: int
    new_tokens: int
    models: Path | None = None
    """Where models of another run lie, and are left for the next."""
    watch: "Watch | None" = None
    broken: list[str] = field(default_factory=list)


def write_data(folder: Path, count: int, chunk: int) -> None:
    """Write questions of several lengths, options, and clips of several lengths."""
    noise = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        words = " ".join(CHOICE[(i + j) % 4] for j in range(1 + 7 * i % 23))
        rows.append({"question": f"{i}: {words}?", "options": [*CHOICE], "right": CHOICE[i % 4]})
        rows[-1]["clip"] = f"{i}.wav"
        samples = int(16000 * chunk * (0.1 + 0.8 * (i * 7 % 11) / 11))
        wave = 0.1 * noise.standard_normal(samples).astype(np.float32)
        soundfile.write(folder / "clips" / f"{i}.wav", wave, 16000)
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def study(name: str, check: Check, **parts: Any) -> dict[str, Any]:
    """Return a study of the questions, which is about the models and experiments in ``parts``."""
    asked = {"benchmark": "table", "source": "rows.jsonl", "question": "{question}"}
    asked |= {"options": "options", "answer": "right", "answer_by": "text"}
    heard = asked | {"clip": "{clip}", "clips": "clips", "category": "heard"}
    used = {e["dataset"] for e in parts["experiments"]}
    datasets = {name: d for name, d in (("asked", asked), ("heard", heard)) if name in used}
    generation = {"max_new_tokens": check.new_tokens, "min_length": check.new_tokens}
    for one in parts["experiments"]:
        if one.get("mode") != "choose":
            one.setdefault("generation", generation)
    gpus = {"gpus_per_job": int(check.card.device == "cuda")}
    models = {name: model | gpus for name, model in parts.pop("models").items()}
    first = {(e["dataset"], e.get("mode")): e["id"] for e in reversed(parts["experiments"])}
    baseline = {"baseline": [*first.values()]}
    return {"study": name, "models": models, "datasets": datasets, **parts, **baseline}


def text(folder: str, dtype: str) -> dict[str, Any]:
    """Return a text model of a study."""
    return {"family": "hf_text", "model": f"{folder}/model", "dtype": dtype}


def salmonn(folder: str, dtype: str) -> dict[str, Any]:
    """Return a SALMONN of a study."""
    names = {"llm": "llm", "whisper": "whisper", "beats": "beats.pt", "checkpoint": "salmonn.pth"}
    files = {key: f"{folder}/{name}" for key, name in names.items()}
    return {"family": "salmonn", "dtype": dtype, **files}


def asked(model: str, dataset: str, prefix: str, **keys: Any) -> list[dict[str, Any]]:
    """Return experiments at every batch size, and at every scaling."""
    one = {"model": model, "dataset": dataset, **keys}
    batches = [{**one, "id": f"{prefix}-B{b}", "batch_size": b, "lora_scaling": 2} for b in BATCHES]
    scaled = [
        {**one, "id": f"{prefix}-S{s}", "batch_size": MAIN, "lora_scaling": s}
        for s in SCALINGS
        if s != 2
    ]
    return batches + scaled

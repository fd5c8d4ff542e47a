"""Accuracy of an exported model at every LoRA scaling, through lorascope's own code."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from tabulate import tabulate
from torch import Tensor
from tqdm import tqdm

from lorascope.benchmarks.audio import read_clip
from lorascope.benchmarks.items import Item
from lorascope.benchmarks.sakura import items as sakura
from lorascope.models.salmonn import SalmonnExperiment, SalmonnModel, answerer, encoder
from lorascope.scoring.choice.scorer import score
from training_recipes.tiny_salmonn.clips import LABELS
from training_recipes.tiny_salmonn.questions import HOPS

SCALINGS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
OWN_SCALING = 4.0
BATCH = 64
# Greedy; the other keys stand at what changes nothing.
GENERATION = {
    "max_new_tokens": 20,
    "num_beams": 1,
    "do_sample": False,
    "min_length": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
}

Accuracies = dict[str, float]


def model_settings(model: Path) -> dict[str, Any]:
    """The settings that a study has which names an exported model, every default filled in."""
    files = SalmonnModel(
        family="salmonn",
        llm=str(model / "llm"),
        whisper=str(model / "whisper"),
        beats=str(model / "beats.pt"),
        checkpoint=str(model / "salmonn_tiny.pth"),
    )
    experiment = SalmonnExperiment(id="tiny", model="tiny", dataset="sakura")
    return {**vars(experiment), **vars(files)}


def evaluate(model: Path, benchmark: Path) -> dict[str, Accuracies]:
    """The accuracies by condition ("0" to "8", and "4, shuffled clips")."""
    settings = model_settings(model)
    items, shuffled = (benchmark_items(benchmark, control) for control in ("none", "shuffled"))
    heard = hear(settings, benchmark, items)
    conditions = {f"{scaling:g}": (scaling, items) for scaling in SCALINGS}
    conditions[f"{OWN_SCALING:g}, shuffled clips"] = (OWN_SCALING, shuffled)
    return {
        name: accuracies(settings, scaling, asked, heard)
        for name, (scaling, asked) in tqdm(conditions.items(), "evaluation")
    }


def as_table(results: dict[str, Accuracies]) -> str:
    """A markdown table, one row a condition."""
    columns = list(next(iter(results.values())))
    rows = [[name, *(f"{row[column]:.1f}" for column in columns)] for name, row in results.items()]
    return tabulate(rows, ["scaling", *columns], tablefmt="github", disable_numparse=True)


def benchmark_items(benchmark: Path, control: str = "none") -> list[Item]:
    """All items of mini-SAKURA, or with control "shuffled" each with another clip of its track."""
    dataset = {
        "tracks": list(LABELS),
        "hops": list(HOPS),
        "items_per_category": None,
        "control": control,
        "audio": {
            "type": "source",
            "position": "original",
            "target_len": 30.0,
            "noise_sigma": 0.005,
            "too_long": "error",
            "seed": 0,
        },
    }
    return sakura.build_items(benchmark, dataset, None)[0]


def hear(settings: dict[str, Any], benchmark: Path, items: list[Item]) -> dict[str, Tensor]:
    """Features [windows, width] of every clip that the items name."""
    clips = sorted({item.clip for item in items})
    features = encoder.load(settings, "cpu").encode([read_clip(benchmark / clip) for clip in clips])
    return dict(zip(clips, features, strict=True))


def accuracies(
    settings: dict[str, Any], scaling: float, items: list[Item], heard: dict[str, Tensor]
) -> Accuracies:
    """Percentages of one scaling: the mean of the categories, each category, and unmatched."""
    model = answerer.load(settings, "cpu", "float32", scaling)
    correct: dict[str, list[bool]] = defaultdict(list)
    unmatched = []
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        answers = model.answer(
            [item.question for item in batch],
            [heard[item.clip] for item in batch],
            GENERATION,
            [0] * len(batch),
        )
        for item, answer in zip(batch, answers, strict=True):
            verdict = score(answer.text, item.question, item.options, item.gold)
            correct[item.category].append(verdict.correct)
            unmatched.append(verdict.status != "single")
    by_category = {category: 100 * mean(correct[category]) for category in sorted(correct)}
    return {
        "mean": mean(by_category.values()),
        **by_category,
        "unmatched": 100 * mean(unmatched),
    }

"""The stages of the recipe. Each writes files of the output folder: a stopped run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lorascope.models.salmonn.bridge import Bridge
from lorascope.storage.records import atomic_path, write_text
from training_recipes.tiny_salmonn import adaptation, evaluation, export, models
from training_recipes.tiny_salmonn.architecture import BEATS, BRIDGE, WHISPER
from training_recipes.tiny_salmonn.dialogue import Dialogue
from training_recipes.tiny_salmonn.encoders import pretrain
from training_recipes.tiny_salmonn.language import train_text
from training_recipes.tiny_salmonn.optimisation import Schedule
from training_recipes.tiny_salmonn.tokenizer import train_tokenizer
from training_recipes.tiny_salmonn.training_set import load_columns, load_samples, make_training_set

SCHEDULES = {
    "whisper": Schedule(3000, 1.5e-3, warmup=100, weight_decay=0.05),
    "beats": Schedule(2000, 1.5e-3, warmup=100, weight_decay=0.05),
    "text": Schedule(600, 3e-3),
    "captions": Schedule(150, 2e-3),
    "lora": Schedule(1000, 3e-3),
}


@dataclass(frozen=True)
class Recipe:
    """One run: where its files are, its seed, and the test split it is measured on."""

    out: Path
    seed: int
    benchmark: Path

    @property
    def model(self) -> Path:
        """The exported model's folder."""
        return self.out / "model"

    def run(self) -> None:
        """Run the stages whose last file is missing; write how long each took."""
        for output, stage in STAGES.items():
            if (self.out / output).exists():
                continue
            started = time.monotonic()
            stage(self)
            self._note_time(stage.__name__, time.monotonic() - started)

    def _note_time(self, stage: str, seconds: float) -> None:
        path = self.out / "seconds.json"
        times = json.loads(path.read_text()) if path.exists() else {}
        write_text(path, json.dumps(times | {stage: round(seconds)}, indent=1) + "\n")

    def save(self, name: str, content: Any) -> None:
        """Write an array (.npy) or what torch.save takes."""
        with atomic_path(self.out / name) as temporary:
            if name.endswith(".npy"):
                np.save(temporary, content)
            else:
                torch.save(content, temporary)

    def load(self, name: str) -> Any:
        """Read what `save` wrote."""
        path = self.out / name
        return np.load(path) if name.endswith(".npy") else torch.load(path, weights_only=True)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The trained tokenizer."""
        return AutoTokenizer.from_pretrained(self.model / "llm")

    def bridge(self) -> Bridge:
        """A bridge, untrained."""
        torch.manual_seed(self.seed)
        return Bridge(BRIDGE)

    def heard(self) -> adaptation.HeardClips:
        """The training clips as the encoders hear them."""
        rows = adaptation.rows_by_label(load_columns(self.out))
        return adaptation.HeardClips(self.load("speech.npy"), self.load("audio.npy"), rows)


def synthesise(recipe: Recipe) -> None:
    """Make the training clips and what each encoder takes of them."""
    make_training_set(recipe.out, recipe.seed)
    clips = load_samples(recipe.out)
    models.write_feature_extractor(recipe.model / "whisper")
    recipe.save("mel.npy", models.whisper_spectrograms(clips, recipe.model / "whisper"))
    recipe.save("fbank.npy", models.beats_banks(clips))


def train_whisper(recipe: Recipe) -> None:
    """Train the Whisper encoder on the attributes, then let it hear every clip."""
    model = models.new_whisper(recipe.seed)
    frames, mel = models.whisper_frames(model), recipe.load("mel.npy")
    columns = load_columns(recipe.out)
    pretrain(
        "Whisper",
        model,
        frames,
        WHISPER["d_model"],
        mel,
        columns,
        SCHEDULES["whisper"],
        recipe.seed,
    )
    recipe.save("whisper.pt", model.state_dict())
    recipe.save("speech.npy", models.run_encoder("Whisper hears", frames, mel))


def train_beats(recipe: Recipe) -> None:
    """Train BEATs on the attributes, then let it hear every clip."""
    model = models.new_beats(recipe.seed)
    frames, banks = models.beats_frames(model), recipe.load("fbank.npy")
    columns = load_columns(recipe.out)
    pretrain(
        "BEATs",
        model,
        frames,
        BEATS["encoder_embed_dim"],
        banks,
        columns,
        SCHEDULES["beats"],
        recipe.seed,
    )
    recipe.save("beats.pt", model.state_dict())
    recipe.save("audio.npy", models.run_encoder("BEATs hears", frames, banks))


def train_language_model(recipe: Recipe) -> None:
    """Train the tokenizer and the language model on text."""
    train_tokenizer(recipe.model / "llm")
    tokenizer = recipe.tokenizer()
    model = models.new_llm(len(tokenizer), recipe.seed)
    train_text(model, Dialogue(tokenizer), SCHEDULES["text"], recipe.seed)
    recipe.save("text.pt", model.state_dict())


def train_bridge(recipe: Recipe) -> None:
    """Train the bridge on captions."""
    tokenizer, bridge = recipe.tokenizer(), recipe.bridge()
    llm = models.new_llm(len(tokenizer), recipe.seed)
    llm.load_state_dict(recipe.load("text.pt"))
    adaptation.train_captions(
        bridge, llm, Dialogue(tokenizer), recipe.heard(), SCHEDULES["captions"], recipe.seed
    )
    recipe.save("bridge.pt", bridge.state_dict())


def train_adapter(recipe: Recipe) -> None:
    """Train the LoRA adapter on questions."""
    tokenizer, bridge = recipe.tokenizer(), recipe.bridge()
    llm = models.new_llm(len(tokenizer), recipe.seed)
    llm.load_state_dict(recipe.load("text.pt"))
    bridge.load_state_dict(recipe.load("bridge.pt"))
    model = adaptation.train_lora(
        bridge, llm, Dialogue(tokenizer), recipe.heard(), SCHEDULES["lora"], recipe.seed
    )
    lora = {name: tensor for name, tensor in model.state_dict().items() if ".lora_" in name}
    recipe.save("lora.pt", lora)


def export_model(recipe: Recipe) -> None:
    """Write all parts in the released layout."""
    whisper, beats = models.new_whisper(recipe.seed), models.new_beats(recipe.seed)
    llm, bridge = models.new_llm(len(recipe.tokenizer()), recipe.seed), recipe.bridge()
    for model, name in ((whisper, "whisper"), (beats, "beats"), (llm, "text"), (bridge, "bridge")):
        model.load_state_dict(recipe.load(f"{name}.pt"))
    export.export_whisper(whisper, recipe.model / "whisper")
    export.export_beats(beats, recipe.model / "beats.pt")
    export.export_llm(llm, recipe.model / "llm")
    export.export_checkpoint(bridge, recipe.load("lora.pt"), recipe.model / "salmonn_tiny.pth")


def measure(recipe: Recipe) -> None:
    """Evaluate the exported model; write evaluation.md and evaluation.json."""
    results = evaluation.evaluate(recipe.model, recipe.benchmark)
    write_text(recipe.out / "evaluation.md", evaluation.as_table(results) + "\n")
    write_text(recipe.out / "evaluation.json", json.dumps(results, indent=1) + "\n")


STAGES: dict[str, Callable[[Recipe], None]] = {
    "fbank.npy": synthesise,
    "speech.npy": train_whisper,
    "audio.npy": train_beats,
    "text.pt": train_language_model,
    "bridge.pt": train_bridge,
    "lora.pt": train_adapter,
    "model/salmonn_tiny.pth": export_model,
    "evaluation.json": measure,
}
"""The last file that each stage writes -> the stage, in order."""

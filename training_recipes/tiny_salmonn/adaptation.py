"""The stages that hear: captions train the bridge alone, then questions the LoRA alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import LlamaForCausalLM

from lorascope.models.salmonn.bridge import Bridge, window_frames
from training_recipes.tiny_salmonn.architecture import (
    CLIP_SECONDS,
    LORA,
    SECONDS_PER_WINDOW,
    WHISPER,
)
from training_recipes.tiny_salmonn.clips import LABELS
from training_recipes.tiny_salmonn.dialogue import Dialogue
from training_recipes.tiny_salmonn.optimisation import Schedule, minimise
from training_recipes.tiny_salmonn.questions import CAPTIONS, ask_about

BATCH = 32
WINDOW = window_frames(SECONDS_PER_WINDOW, WHISPER["max_source_positions"], CLIP_SECONDS)
# The harder a track is to hear, the more often the bridge is asked about it.
TRACK_WEIGHTS = {"animal": 1.0, "emotion": 1.5, "gender": 0.7, "language": 2.5}
# Questions without a right option: the adapter learns to choose one of those offered.
GUESS_SHARE = 0.3


@dataclass
class HeardClips:
    """The training clips as the frozen encoders hear them, drawn by track and then by label."""

    speech: npt.NDArray[np.float16]  # [n, 50, Whisper's width]
    audio: npt.NDArray[np.float16]  # [n, 96, BEATs' width]
    rows: dict[tuple[str, str], list[int]]  # (track, label) -> rows of its clips

    def draw(self, rng: random.Random) -> tuple[list[str], list[str], Tensor, Tensor]:
        """A batch: tracks, labels, and what Whisper and BEATs hear."""
        tracks = rng.choices(list(TRACK_WEIGHTS), list(TRACK_WEIGHTS.values()), k=BATCH)
        labels = [rng.choice(LABELS[track]) for track in tracks]
        rows = [rng.choice(self.rows[key]) for key in zip(tracks, labels, strict=True)]
        speech, audio = (
            torch.from_numpy(stream[rows].astype(np.float32))
            for stream in (self.speech, self.audio)
        )
        return tracks, labels, speech, audio


def rows_by_label(columns: dict[str, npt.NDArray]) -> dict[tuple[str, str], list[int]]:
    """Where the clips of each (track, label) are."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(columns["track"], columns["label"], strict=True)):
        rows.setdefault((str(key[0]), str(key[1])), []).append(row)
    return rows


def train_captions(
    bridge: Bridge,
    llm: LlamaForCausalLM,
    dialogue: Dialogue,
    clips: HeardClips,
    schedule: Schedule,
    seed: int,
) -> None:
    """Train `bridge` in place to make the frozen language model name what is heard."""
    rng = random.Random(seed)
    llm.requires_grad_(False)

    def loss() -> Tensor:
        tracks, labels, speech, audio = clips.draw(rng)
        questions = [CAPTIONS[track] for track in tracks]
        return dialogue.loss(llm, bridge(speech, audio, WINDOW, WINDOW), questions, labels)

    bridge.train()
    minimise("captions", loss, bridge.parameters(), schedule)
    bridge.eval()


def train_lora(
    bridge: Bridge,
    llm: LlamaForCausalLM,
    dialogue: Dialogue,
    clips: HeardClips,
    schedule: Schedule,
    seed: int,
) -> PeftModel:
    """Wrap `llm` with a LoRA adapter and train it, at scaling alpha / r, to answer both hops."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = get_peft_model(llm, LoraConfig(**LORA, lora_dropout=0.0))
    bridge.requires_grad_(False)

    def loss() -> Tensor:
        tracks, labels, speech, audio = clips.draw(rng)
        asked = [
            ask_about(track, label, GUESS_SHARE, rng)
            for track, label in zip(tracks, labels, strict=True)
        ]
        return dialogue.loss(
            model,
            bridge(speech, audio, WINDOW, WINDOW),
            [question.instruction for question in asked],
            [question.options[question.gold] for question in asked],
        )

    model.train()
    minimise("LoRA", loss, model.parameters(), schedule)
    return model.eval()

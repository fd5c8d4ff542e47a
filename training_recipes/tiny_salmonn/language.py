"""The text stage: a small Llama learns the questions, with a word where the clip will be."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from training_recipes.tiny_salmonn.clips import LABELS
from training_recipes.tiny_salmonn.dialogue import Dialogue
from training_recipes.tiny_salmonn.optimisation import Schedule, minimise
from training_recipes.tiny_salmonn.questions import CAPTIONS, ask_about

BATCH = 32
CAPTION_SHARE = 0.15
GUESS_SHARE = 0.15
MOST_REPEATS = 12  # of the label's word: as many as a clip has windows
# Gender has two labels and is learnt first.
TRACK_WEIGHTS = {"animal": 1.0, "emotion": 1.0, "gender": 0.5, "language": 1.0}


def train_text(model: LlamaForCausalLM, dialogue: Dialogue, schedule: Schedule, seed: int) -> None:
    """Train all of `model` in place."""
    rng = random.Random(seed)

    def example() -> tuple[str, str, str]:
        track = rng.choices(list(TRACK_WEIGHTS), list(TRACK_WEIGHTS.values()))[0]
        label = rng.choice(LABELS[track])
        if rng.random() < CAPTION_SHARE:
            return label, CAPTIONS[track], label
        question = ask_about(track, label, GUESS_SHARE, rng)
        return label, question.instruction, question.options[question.gold]

    def loss() -> Tensor:
        labels, questions, answers = zip(*(example() for _ in range(BATCH)), strict=True)
        words = torch.tensor([[dialogue.word(label)] for label in labels])
        words = words.expand(-1, rng.randint(1, MOST_REPEATS))
        return dialogue.loss(model, model.get_input_embeddings()(words), questions, answers)

    model.train()
    minimise("text", loss, model.parameters(), schedule)
    model.eval()

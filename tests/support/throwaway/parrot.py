"""A family that hears the pitch of a clip, and says the wrong thing from some scaling on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.errors import UserError
from lorascope.models.protocol import Answer, Answerer, Encoder
from lorascope.study.declarations import Encoding, Family
from lorascope.study.experiments import ExperimentSettings
from lorascope.study.settings import ModelSettings, NonNegative, Source

THRESHOLD = 400  # Hz


class ParrotModel(ModelSettings):
    """A parrot, which is a file with one number in it."""

    voice: Source = Field(description="File that holds the scaling up to which it tells the truth.")


class ParrotExperiment(ExperimentSettings):
    """An experiment with a parrot."""

    patience: NonNegative = Field(1, description="How often it answers; 0 keeps it silent.")


class ParrotEncoder(Encoder):
    def __init__(self) -> None:
        self.sampling_rate = 16000

    def encode(self, waves: Sequence[Any]) -> list[Any]:
        import numpy as np
        import torch

        pitches = [np.abs(np.diff(np.sign(wave))).sum() / 4 / len(wave) * 16000 for wave in waves]
        return [torch.tensor([[pitch]], dtype=torch.float32) for pitch in pitches]


class ParrotAnswerer(Answerer):
    def __init__(self, settings: Mapping[str, Any], scaling: float) -> None:
        self.settings = settings
        self.limit = float(Path(settings["voice"]).read_text(encoding="utf-8"))
        self.lora_scaling, self.parameters_adapted = scaling, 1

    def prompt(self, question: str) -> str:
        return f"<clip> {question}"

    def effective_generation(
        self, generation: Mapping[str, Any], prompt_tokens: int
    ) -> dict[str, Any]:
        return {"max_length": prompt_tokens + generation["max_new_tokens"]}

    def answer(
        self,
        questions: Sequence[str],
        features: Sequence[Any],
        generation: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[Answer]:
        return [
            self._answer(question, pitch)
            for question, pitch in zip(questions, features, strict=True)
        ]

    def _answer(self, question: str, pitch: Any) -> Answer:
        high = (pitch.item() > THRESHOLD) == (self.lora_scaling <= self.limit)
        text = f"I would say {'high' if high else 'low'}" if self.settings["patience"] else ""
        return Answer(tokens=[1] * len(text), text=text, finish_reason="eos", prompt_tokens=3)


def load_encoder(settings: Mapping[str, Any], device: str) -> Encoder:
    return ParrotEncoder()


def load(
    settings: Mapping[str, Any], device: str, dtype: str, scaling: float | None, adapter: str | None
) -> Answerer:
    if adapter:
        raise UserError(f"{adapter}: a parrot takes no adapter")
    return ParrotAnswerer(settings, 1.0 if scaling is None else scaling)


FAMILY = Family(
    settings=ParrotModel,
    experiment=ParrotExperiment,
    takes="audio",
    own_adapter=True,
    answerer="parrot:load",
    sources=("voice",),
    answer_settings=("patience",),
    encoding=Encoding(
        load="parrot:load_encoder", sources=(), settings=(), feature_bytes=lambda settings: 4
    ),
)

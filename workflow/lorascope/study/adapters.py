"""Adapters as a study has them: ready-made, trained by it, or derived from others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from lorascope.study.settings import (
    READ,
    Count,
    Dtype,
    Few,
    Gpus,
    Name,
    Natural,
    NonNegative,
    Number,
    Positive,
    Settings,
    Source,
    Text,
    unique,
)

HARMLESS = "settings that decide a result are in its fingerprint by their values"


class TrainSettings(Settings):
    """LoRA fine-tuning of a model; the loss is taken on the responses only."""

    rank: Count = Field(8, description="Rank r of A and B in W x + s B A x.")
    alpha: Positive = Field(
        16,
        description="Alpha; alpha / rank is the adapter's own scaling, with which it is trained.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1), READ] = Field(0, description="Dropout before A.")
    target_modules: Annotated[
        list[Text], Field(min_length=1, max_length=1000), AfterValidator(unique)
    ] = Field(
        ["q_proj", "v_proj"],
        description="Linear layers that are adapted, by the ends of their names.",
    )
    use_rslora: bool = Field(
        False, description="Scale by alpha / sqrt(rank) instead (rank-stabilised LoRA)."
    )
    learning_rate: Positive = Field(1.0e-4, description="Highest learning rate.")
    lora_plus_ratio: Positive | None = Field(
        None, description="LoRA+; B learns so many times faster than A. Null is plain LoRA."
    )
    weight_decay: NonNegative = Field(0, description="Weight decay of matrices.")
    schedule: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
    ] = Field("linear", description="Course of the learning rate, by the names of transformers.")
    warmup_ratio: Annotated[float, Field(ge=0, lt=1), READ] = Field(
        0, description="Part of the steps in which the learning rate rises."
    )
    epochs: Positive = Field(
        1, description="Times that every example is seen; without effect where steps is given."
    )
    steps: Count | None = Field(
        None, description="Number of optimiser steps; null is as many as the epochs take."
    )
    batch_size: Count = Field(
        64,
        description="Sequences of an optimiser step, over all GPUs and accumulated gradients.",
    )
    gradient_accumulation: Count = Field(
        1,
        description="Into how many parts a step's sequences are split, each computed after the "
        "other.",
    )
    sequence_length: Annotated[int, Field(ge=2, le=10_000_000), READ] = Field(
        256, description="Most tokens of an example; longer ones are left out, and counted."
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1), READ] = Field(
        0, description="Seed of the initial A, of the order of the examples and of dropout."
    )
    precision: Dtype = Field(
        "float32",
        description="Precision of the computation; the adapter itself is always float32.",
    )
    max_grad_norm: Positive = Field(
        1, description="Gradients with a larger norm are scaled down to it."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute activations again instead of keeping them, for memory."
    )
    save_steps: Count = Field(
        50,
        description="Steps between checkpoints; a killed training goes on from the last one.",
    )
    parameter_names: Literal["peft", "mindpet"] = Field(
        "peft", description="Names in parameter_groups.json, those of peft or those of MindPet."
    )
    gpus: Gpus = Field(
        1, description="GPUs that the training asks for. Each computes a part of every step."
    )


Null = Literal["random", "shuffled", "sign"]


class AdapterKeys(Settings):
    """An adapter for a model, a LoRA as a rule: it has a source, is trained, or is derived."""

    model: str | None = Field(
        None,
        description="Name of the model it belongs to; one that is derived belongs to its parts'.",
    )
    source: Source | None = Field(
        None,
        description="Folder with peft's adapter_config.json and adapter_model.safetensors; or that "
        "of a whole model, a fully fine-tuned copy of this one, which then has a strength.",
    )
    base_model: Text | None = Field(
        None,
        description="For one with a source: the base model that its adapter_config.json may name "
        "though this study's model has another name, or `anything`. Without it, an adapter that "
        "was certainly made for another model is an error.",
    )
    train: dict[str, Any] | None = Field(
        None, description="How it is trained, see the tables of train."
    )
    null_of: Name | None = Field(
        None,
        description="Make a null adapter of this one, which changes the model as strongly but "
        "knows nothing: the report sets the real effect against those of its nulls "
        "(docs/adapter.md). A model's name stands for the adapter of its own checkpoint.",
    )
    kind: Null | None = Field(
        None,
        description="Of a null: random (Gaussian A and B, in each module of the Frobenius norm of "
        "the real s B A; the default), shuffled (layers exchanged among modules of one kind, shape "
        "and rank) or sign (B negated, which is the scaling negated).",
    )
    seed: Natural | None = Field(
        None, description="Seed of a random or shuffled null, 0 if absent; draw n has seed + n."
    )
    draws: Few | None = Field(
        None,
        description="Stand for so many nulls, <name>-0, <name>-1 and so on: an experiment that "
        "names this one is one for each. With n of them no p-value is below 1 / (n + 1).",
    )
    sum_of: Annotated[dict[Name, Number], Field(min_length=1, max_length=100)] | None = Field(
        None,
        description="Weights by the names of adapters of one model: the sum of weight x s B A, "
        "exactly, with s each one's own scaling.",
    )


@dataclass(frozen=True)
class Derivation:
    """How an adapter is made from others without training.

    ``kind`` is that of a null, or "sum". ``parts`` are adapters of the study, or the model itself
    for the adapter that it brings along, each with its weight. ``draw`` counts nulls that differ in
    their seed from 0. ``of`` is the adapter of which it is the sum under an experiment's weights,
    "" for one of the study's own.
    """

    kind: str
    parts: Mapping[str, float]
    seed: int | None = None
    draw: int = 0
    of: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it is a null of its one part."""
        return self.kind != "sum"

    @property
    def terms(self) -> dict[str, float]:
        """The parts that have a weight other than 0."""
        return {part: weight for part, weight in self.parts.items() if weight}

"""Adapters as a study has them: ready-made, or trained by it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from lorascope.study.settings import (
    READ,
    Count,
    Dtype,
    Gpus,
    NonNegative,
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


class AdapterKeys(Settings):
    """A LoRA adapter for a model; it has a source, or it is trained."""

    model: str = Field(description="Name of the model it belongs to.")
    source: Source | None = Field(
        None, description="Folder with peft's adapter_config.json and adapter_model.safetensors."
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

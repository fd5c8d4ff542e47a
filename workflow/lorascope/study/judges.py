"""Judges of a study: a model behind a server, or one of the study's own, and what it is asked."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from lorascope.study.judge_servers import JudgeServer
from lorascope.study.settings import (
    MOST_SCALING,
    READ,
    Count,
    FilePath,
    Integer,
    Settings,
)

HARMLESS = "settings that decide a result are in its fingerprint by their values"

Protocol: TypeAlias = Literal["correctness", "sakura", "preference"]


class PromptFile(Settings):
    """A protocol of your own."""

    file: FilePath = Field(
        description="A text in which {question}, {gold} and {response} mark the places of what is "
        "judged or, to compare two responses, {first} and {second} in place of {response}."
    )


def _kind_of_prompt(value: Any) -> str | None:
    if isinstance(value, str):
        return "<name>"
    return "<file>" if isinstance(value, dict | BaseModel) else None


Prompt = Annotated[
    Annotated[Protocol, Tag("<name>")] | Annotated[PromptFile, Tag("<file>")],
    Discriminator(
        _kind_of_prompt,
        custom_error_type="source",
        custom_error_message="the name of a protocol, or a mapping with the key file",
    ),
]


class JudgeSettings(Settings):
    """A judge: who is asked (a server, or a model of the study), and how."""

    server: JudgeServer | None = Field(None, description="A model behind a server.")
    model: str | None = Field(
        None, description="Name of a model of this study that answers questions of text."
    )
    adapter: str | None = Field(
        None, description="Name of an adapter of this study, for that model; null is none."
    )
    lora_scaling: Annotated[float, Field(ge=-MOST_SCALING, le=MOST_SCALING), READ] | None = Field(
        None, description="As an experiment's, for that adapter."
    )
    batch_size: Count | None = Field(
        None,
        description="Questions that a model of the study is asked at once; null is as many as "
        "tokens_at_once holds.",
    )
    tokens_at_once: Count = Field(
        16384,
        description="Where batch_size is null: positions that a model of the study holds at once, "
        "about, those of questions and replies.",
    )
    prompt: Prompt | None = Field(
        None,
        description="What is asked: correctness (does the response say what the gold answer "
        "says?), sakura (the published protocol of SAKURA: which option does it choose?), "
        "preference (which of two responses is better?), or a protocol of your own, "
        "{file: prompt.txt}. Null is preference for the scorer of that name, else correctness.",
    )
    attempts: Annotated[int, Field(ge=1, le=20), READ] = Field(
        3,
        description="How often a judge is asked until a verdict can be read; then the item is "
        "unjudged.",
    )
    max_tokens: Count = Field(512, description="Longest reply of the judge in tokens.")
    temperature: Annotated[float, Field(ge=0, le=100), READ] | None = Field(
        0,
        description="Temperature of its sampling; 0 takes the likeliest token. Null sends none to "
        "a server, for models that take none; for a model of the study it is 0.",
    )
    seed: Integer | None = Field(
        None, description="Seed of its sampling; each further attempt adds 1. Null sends none."
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.server is None) == (self.model is None):
            raise ValueError("give either server or model")
        if self.server is not None:
            for key in ("adapter", "lora_scaling"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: belongs to a model of the study; leave it out")
        return self

    @property
    def protocol_file(self) -> str | None:
        """The file of a protocol of the user's own."""
        return self.prompt.file if isinstance(self.prompt, PromptFile) else None

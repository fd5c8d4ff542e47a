"""A second family of text models, whose adapters can be trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lorascope.benchmarks.examples import Example
from lorascope.models.protocol import Answerer
from lorascope.study.declarations import Family, Training
from lorascope.study.settings import ModelSettings, Source

if TYPE_CHECKING:
    from lorascope.models.finetuning.trainee import Scratch, Trainee

REST = {
    "chat_template": False,
    "system": None,
    "date": "2024-07-26",
    "add_special_tokens": True,
    "trust_remote_code": False,
}


class StrangerModel(ModelSettings):
    """A causal language model under keys of its own."""

    brain: Source = Field(description="The model with its tokenizer.")
    greeting: str = Field("", description="What stands before every question.")


def own(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": settings["brain"], "prompt_template": settings["greeting"] + "{}", **REST}


def load(
    settings: Mapping[str, Any], device: str, dtype: str, scaling: float | None, adapter: str | None
) -> Answerer:
    from lorascope.models.hf_text import answerer

    return answerer.load(own(settings), device, dtype, scaling, adapter)


def prepare(
    settings: Mapping[str, Any],
    train: Mapping[str, Any],
    examples: Sequence[Example],
    root: Path,
    device: str,
    scratch: "Scratch",
) -> "Trainee":
    from lorascope.models.hf_text import training

    return training.prepare(own(settings), train, examples, root, device, scratch)


FAMILY = Family(
    settings=StrangerModel,
    takes="text",
    answerer="stranger:load",
    sources=("brain",),
    answer_settings=("greeting",),
    training=Training(prepare="stranger:prepare", language_model="brain"),
)

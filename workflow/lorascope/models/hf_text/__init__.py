"""Any causal language model of transformers, with any LoRA adapter of peft or with none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lorascope.models.stops import unknown_stop
from lorascope.study.declarations import Family, Training
from lorascope.study.settings import Day, ModelSettings, Source

HARMLESS = "declares; what decides a result lies in the functions that are named"


class TextModel(ModelSettings):
    """A causal language model of transformers."""

    model: Source = Field(
        description="The model with its tokenizer, a folder in the layout of transformers, such as "
        "meta-llama/Meta-Llama-3-8B."
    )
    chat_template: bool = Field(
        False,
        description="Put the question into the tokenizer's chat template, as the user's turn.",
    )
    system: str | None = Field(
        None, description="The system's turn of the chat template; null has none."
    )
    prompt_template: Annotated[str, Field(pattern=r"\{\}")] = Field(
        "{}",
        description="Text around the question, which is the benchmark's whole prompt; braces mark "
        "its place.",
    )
    add_special_tokens: bool = Field(
        True,
        description="Let the tokenizer add its special tokens, such as one for the beginning, to a "
        "prompt that comes from no chat template.",
    )
    date: Day = Field(
        "2024-07-26",
        description="Day that a chat template takes for today, where it says the date: with the "
        "day of the run, answers would change from day to day. The default is Llama 3.1's.",
    )
    trust_remote_code: bool = Field(
        False,
        description="Run Python code that comes with the model's files. Off unless you have read "
        "it.",
    )


def check(settings: TextModel, sources: Mapping[str, Path]) -> str:
    """Return why a model cannot be asked in its chat template; "" if it can, as far as is seen."""
    if not settings.chat_template or "model" not in sources:
        return ""
    stop = unknown_stop(sources["model"])
    return stop and (
        f"chat_template: the template in {sources['model']} ends an answer with {stop}, so that "
        "answers would run on; add its id to eos_token_id in generation_config.json, or set "
        "chat_template: false"
    )


def recognises(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json is that of a causal language model without ears."""
    classes = config.get("architectures")
    if not isinstance(classes, list) or any("audio" in key for key in config):
        return False
    return any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in classes)


FAMILY = Family(
    settings=TextModel,
    recognises=recognises,
    check=check,
    takes="text",
    scales_parts=True,
    answerer="lorascope.models.hf_text.answerer:load",
    takes_strength=True,
    sources=("model",),
    modes=("generate", "choose", "loss", "drift"),
    takes_dialogues=lambda settings: settings.chat_template,
    answer_settings=(
        "chat_template",
        "system",
        "prompt_template",
        "add_special_tokens",
        "date",
        "trust_remote_code",
    ),
    training=Training(
        prepare="lorascope.models.hf_text.training:prepare",
        language_model="model",
    ),
)

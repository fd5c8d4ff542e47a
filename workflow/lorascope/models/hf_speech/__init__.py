"""Speech-to-text models of transformers, with any LoRA adapter of peft or with none.

Tested: Whisper (whisper: every size, English-only and multilingual, and what is distilled from it)
and Moonshine (moonshine). A recogniser writes down what it hears: an encoder hears a clip, and a
decoder says the words, without timestamps. It takes no question, so that the items of its datasets
have a clip and no words.

What a model may not say, and with which tokens its decoder starts, are those of its
generation_config.json, and the answers those of transformers' own ``generate``; other defaults of
generation in that file (beams, sampling, penalties) give way to the study's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lorascope.models.hf_speech.files import KINDS, SECONDS, chunk_of, refusal
from lorascope.storage.records import peek
from lorascope.study.adapters import TrainSettings
from lorascope.study.declarations import Encoding, Family, Training
from lorascope.study.settings import ModelSettings, Source, Text

HARMLESS = "declares; what decides a result lies in the functions that are named"

_RATE = 16000


class SpeechModel(ModelSettings):
    """A speech-to-text model that transformers loads with its feature extractor and tokenizer."""

    model: Source = Field(
        description="The model with its processor, a folder in the layout of transformers, such as "
        "openai/whisper-tiny."
    )
    language: Text | None = Field(
        None,
        description="Language that is spoken, by the code that the model has for it, such as en. "
        "Null lets a multilingual model detect it clip by clip; an English-only one takes null.",
    )
    task: Literal["transcribe", "translate"] | None = Field(
        None,
        description="Write down what is said, or translate it into English. Null is what the "
        "model's files say, mostly transcribe; an English-only model takes null.",
    )
    encode_once: bool = Field(
        True,
        description="Encode each clip once, in float32, for all scalings. An adapter that changes "
        "the encoder needs false, which runs the encoder for every answer in the model's dtype.",
    )


class SpeechTraining(TrainSettings):
    """LoRA fine-tuning of a recogniser on clips and what is said in them."""

    adapt: Literal["decoder", "all"] = Field(
        "decoder",
        description="Part whose target_modules are adapted. With decoder, clips are encoded once, "
        "in training and for all scalings; all adapts the encoder too, and needs encode_once: "
        "false of the model.",
    )


def feature_bytes(settings: Mapping[str, Any]) -> int:
    """Return the size of the features of a clip of 30 s.

    Encoded once: 50 positions a second of width 1280, as Whisper's large ones; otherwise 16 kHz.
    """
    values = 50 * 1280 if settings["encode_once"] else 16000
    return SECONDS * values * 4


def hears(sources: Mapping[str, Path]) -> float | None:
    """Return the seconds that a Whisper in a folder takes: its chunk. Others have no limit."""
    return chunk_of(sources["model"]) if "model" in sources else None


def sampling_rate(sources: Mapping[str, Path]) -> int:
    """Return the rate that a model's feature extractor says, in Hz."""
    if "model" not in sources:
        return _RATE
    own = peek(sources["model"] / "processor_config.json").get("feature_extractor")
    extractor = (
        own if isinstance(own, dict) else peek(sources["model"] / "preprocessor_config.json")
    )
    rate = extractor.get("sampling_rate")
    return rate if isinstance(rate, int) else _RATE


def check(settings: SpeechModel, sources: Mapping[str, Path]) -> str:
    """Return why a model cannot be asked in this language and task; "" if it can."""
    config = peek(sources["model"] / "config.json") if "model" in sources else {}
    if not config:
        return ""
    generation = peek(sources["model"] / "generation_config.json")
    return refusal(sources["model"], config, generation, settings.language, settings.task)


def check_training(model: Any, train: Any) -> str:
    """Return why an adapter could not be answered with once it is trained; "" if it could."""
    if train.adapt == "all" and model.encode_once:
        return (
            "adapt: all changes the encoder, so that clips encoded once are not its own; set "
            "encode_once: false of the model, or adapt: decoder"
        )
    return ""


def recognises(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json is that of a recogniser."""
    return config.get("model_type") in KINDS


FAMILY = Family(
    settings=SpeechModel,
    recognises=recognises,
    check=check,
    takes="audio",
    takes_questions=False,
    modes=("generate", "choose"),
    scales_parts=True,
    answerer="lorascope.models.hf_speech.answerer:load",
    takes_strength=True,
    sources=("model",),
    answer_settings=("language", "task", "encode_once"),
    encoding=Encoding(
        load="lorascope.models.hf_speech.encoder:load",
        sources=("model",),
        settings=("encode_once",),
        feature_bytes=feature_bytes,
        hears=hears,
        sampling_rate=sampling_rate,
    ),
    training=Training(
        prepare="lorascope.models.hf_speech.training:prepare",
        measure="lorascope.models.hf_speech.training:measure_folder",
        language_model="model",
        settings=SpeechTraining,
        check=check_training,
    ),
)

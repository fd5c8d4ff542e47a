"""Audio language models of transformers, with any LoRA adapter of peft or with none.

Tested: Qwen2-Audio (qwen2_audio), Audio Flamingo 3 (audioflamingo3), Granite Speech
(granite_speech), Phi-4-multimodal (phi4_multimodal) and what thinks in Qwen2.5-Omni (qwen2_5_omni,
which needs torchvision). Every model is tried out when it loads, see ``architecture.verify``: one
whose answers do not follow from the embeddings of its prompt is refused, and so is Voxtral, whose
processor takes clips in requests of mistral-common alone. Phi-4-multimodal is served in
transformers' layout (revision refs/pr/70), with its projection for audio without images; the LoRA
that it wants for speech, the folder speech-lora of the model, is an adapter like others.

An adapter replaces the one that a model folder brings along (adapter_config.json, as Granite
Speech's does); without a study's adapter, the model answers with its own, at its own scaling.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.models.stops import unknown_stop
from lorascope.storage.records import peek
from lorascope.study.declarations import Encoding, Family
from lorascope.study.settings import Day, ModelSettings, Source

HARMLESS = "declares; what decides a result lies in the functions that are named"

_SECONDS = 30
_RATE = 16000
_ONE_CHUNK = ("qwen2_audio", "qwen2_5_omni")
"""Model types whose processor cuts clips to its feature extractor's one chunk."""
_KINDS = ("qwen2_audio", "audioflamingo3", "granite_speech", "phi4_multimodal", "qwen2_5_omni")
"""Model types that are tested."""


class AudioModel(ModelSettings):
    """An audio-text model that transformers loads through its processor and chat template."""

    model: Source = Field(
        description="The model with its processor, a folder in the layout of transformers, such as "
        "Qwen/Qwen2-Audio-7B-Instruct."
    )
    system: str | None = Field(
        None, description="The system's turn of the chat template; null has none."
    )
    encode_once: bool = Field(
        True,
        description="Encode each clip once, in float32, for all scalings and questions. An adapter "
        "that changes the audio encoder needs false, which runs the encoder for every question in "
        "the model's dtype.",
    )
    date: Day = Field(
        "2024-07-26",
        description="Day that a chat template takes for today, where it says the date: with the "
        "day of the run, answers would change from day to day. The default is Llama 3.1's.",
    )
    trust_remote_code: bool = Field(
        False,
        description="Run Python code of the processor and tokenizer that comes with the model's "
        "files. Off unless you have read it.",
    )


def feature_bytes(settings: Mapping[str, Any]) -> int:
    """Return the size of the features of a clip of 30 s.

    Encoded once: 25 positions a second of width 4096, as Qwen2-Audio's 7B; otherwise 16 kHz.
    """
    values = 25 * 4096 if settings["encode_once"] else 16000
    return _SECONDS * values * 4


def hears(sources: Mapping[str, Path]) -> float | None:
    """Return the seconds that a model's processor takes, of those kinds that have a limit."""
    if "model" not in sources:
        return None
    folder = sources["model"]
    processor, extractor = _processing(folder)
    try:
        chunk = float(extractor.get("chunk_length", _SECONDS))
        if peek(folder / "config.json").get("model_type") in _ONE_CHUNK:
            return chunk
        return processor["max_audio_len"] // chunk * chunk or None  # as Audio Flamingo 3's
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def sampling_rate(sources: Mapping[str, Path]) -> int:
    """Return the rate that a model's feature extractor says, in Hz."""
    _, extractor = _processing(sources["model"]) if "model" in sources else ({}, {})
    rate = extractor.get("sampling_rate")
    return rate if isinstance(rate, int) else _RATE


def _processing(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the files in a folder say of the processor and its feature extractor."""
    processor = peek(folder / "processor_config.json")
    own = processor.get("feature_extractor")
    return processor, own if isinstance(own, dict) else peek(folder / "preprocessor_config.json")


def check(settings: AudioModel, sources: Mapping[str, Path]) -> str:
    """Return why a model cannot be asked in its chat template; "" if it can, as far as is seen."""
    # Not strict: after a mark that is no eos token transformers' own answers go on, too.
    stop = unknown_stop(sources["model"], strict=False) if "model" in sources else ""
    return stop and (
        f"model: the chat template in {sources['model']} ends an answer with {stop}; take template "
        "and tokenizer from one model"
    )


def recognises(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json is that of a language model that hears, tested or alike."""
    alike = isinstance(config.get("audio_config"), dict) and "text_config" in config
    return alike or config.get("model_type") in _KINDS


FAMILY = Family(
    settings=AudioModel,
    recognises=recognises,
    check=check,
    takes="audio",
    scales_parts=True,
    answerer="lorascope.models.hf_audio.answerer:load",
    takes_strength=True,
    sources=("model",),
    modes=("generate", "choose", "drift"),
    takes_dialogues=lambda settings: True,
    answer_settings=("system", "date", "encode_once", "trust_remote_code"),
    encoding=Encoding(
        load="lorascope.models.hf_audio.encoder:load",
        sources=("model",),
        settings=("encode_once", "trust_remote_code"),
        feature_bytes=feature_bytes,
        hears=hears,
        sampling_rate=sampling_rate,
    ),
)

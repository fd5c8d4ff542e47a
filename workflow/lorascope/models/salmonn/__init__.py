"""SALMONN (https://arxiv.org/abs/2310.13289): a Whisper encoder, BEATs, a Q-Former and a Llama.

7B, 13B and smaller ones of the released layout: every size comes from the files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lorascope.models.salmonn.files import BRIDGE
from lorascope.storage.records import peek
from lorascope.study.adapters import TrainSettings
from lorascope.study.declarations import Encoding, Family, OwnLora, Training
from lorascope.study.experiments import ExperimentSettings
from lorascope.study.settings import READ, Few, ModelSettings, Positive, Source

HARMLESS = "declares; what decides a result lies in the functions that are named"


# From one of Whisper's frames on, to the longest clips that its kind hears.
Seconds = Annotated[float, Field(ge=0.01, le=3600), READ]


class SalmonnModel(ModelSettings):
    """A SALMONN of the released layout; whatever its size, it comes from the files."""

    llm: Source = Field(
        description="Language model, a folder in the layout of transformers, such as "
        "lmsys/vicuna-7b-v1.5."
    )
    whisper: Source = Field(
        description="Whisper, a folder in the layout of transformers, such as "
        "openai/whisper-large-v2; its encoder is used."
    )
    beats: Source = Field(
        description="BEATs checkpoint, one file of keys cfg and model, such as "
        "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt."
    )
    checkpoint: Source = Field(
        description="SALMONN checkpoint (.pth) with the bridge and the LoRA adapter."
    )
    lora_alpha: Positive = Field(
        32,
        description="Alpha with which the adapter was trained; alpha / rank is its default "
        "scaling.",
    )
    qformer_heads: Few = Field(
        12, description="Attention heads of the Q-Former, which no tensor shows."
    )
    prompt_template: Annotated[str, Field(pattern=r"\{\}")] = Field(
        "USER: {}\nASSISTANT:",
        description="Text around the audio and the question; braces mark their place.",
    )


class SalmonnExperiment(ExperimentSettings):
    """An experiment with a SALMONN, whose Q-Former's window is a setting of its own."""

    second_per_window: Seconds = Field(
        0.333333, description="Length of a Q-Former window in seconds."
    )
    second_stride: Seconds = Field(
        0.333333, description="Distance between Q-Former windows in seconds."
    )


class SalmonnTraining(TrainSettings):
    """LoRA fine-tuning of a SALMONN, which may train its bridge along."""

    bridge: bool = Field(False, description="Train the bridge (Q-Former and projection), too.")


def feature_bytes(settings: Mapping[str, Any]) -> int:
    """Return the size of one clip's features for the released models: 30 s, width 768, float32."""
    window, stride = (round(50 * settings[k]) for k in ("second_per_window", "second_stride"))
    positions: int = (1500 - window) // max(stride, 1) + 1
    return max(positions, 0) * 768 * 4


def hears(sources: Mapping[str, Path]) -> float | None:
    """Return the seconds that the Whisper in a folder takes: its chunk."""
    if "whisper" not in sources:
        return None
    chunk = peek(sources["whisper"] / "preprocessor_config.json").get("chunk_length")
    return chunk if isinstance(chunk, int | float) else None


FAMILY = Family(
    settings=SalmonnModel,
    experiment=SalmonnExperiment,
    takes="audio",
    own_adapter=True,
    own_lora=OwnLora(
        read="lorascope.models.salmonn.own_lora:read_lora",
        source="checkpoint",
        alpha="lora_alpha",
    ),
    scales_parts=True,
    answerer="lorascope.models.salmonn.answerer:load",
    takes_strength=True,
    sources=("llm", "checkpoint"),
    modes=("generate", "choose", "drift"),
    answer_settings=("prompt_template", "lora_alpha"),
    encoding=Encoding(
        load="lorascope.models.salmonn.encoder:load",
        sources=("whisper", "beats", "checkpoint"),
        settings=("second_per_window", "second_stride", "qformer_heads"),
        feature_bytes=feature_bytes,
        adapter_file=BRIDGE,
        hears=hears,
    ),
    training=Training(
        prepare="lorascope.models.salmonn.training:prepare",
        language_model="llm",
        settings=SalmonnTraining,
        encoding_key="bridge",
    ),
)

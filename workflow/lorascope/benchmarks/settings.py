"""Keys that every dataset of clips has in a study, whatever its benchmark."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from lorascope.benchmarks.conditions import Condition, Position, TooLong, Type, goes_with
from lorascope.study.settings import (
    READ,
    DatasetSettings,
    Integer,
    Jobs,
    Settings,
)

HARMLESS = "settings that decide a result are in its fingerprint by their values"


class AudioSettings(Settings):
    """Audio condition, applied on the fly."""

    type: Type = Field(
        Condition.type,
        description="The clip as it is, or padded with zeros or noise up to target_len.",
    )
    position: Position = Field(
        Condition.position,
        validate_default=True,
        description="Where the clip lies in the padding; original for type source.",
    )
    target_len: Annotated[float, Field(gt=0, le=3600), READ] = Field(
        Condition.target_len, description="Length in seconds after padding."
    )
    noise_sigma: Annotated[float, Field(ge=0, le=1000), READ] = Field(
        Condition.noise_sigma,
        description="Standard deviation of the Gaussian noise of type noised (full scale is 1).",
    )
    too_long: TooLong = Field(
        Condition.too_long,
        description="What to do with a clip of target_len or longer. Also, with what a model does "
        "not hear: truncate lets it be cut, and the report says how many clips lost how much; "
        "otherwise it is refused.",
    )
    seed: Integer = Field(Condition.seed, description="Seed of the noise.")

    @field_validator("position")
    @classmethod
    def _goes_with_type(cls, position: Position, info: ValidationInfo) -> Position:
        kind = info.data.get("type")  # none where the type itself is wrong
        if kind is not None and not goes_with(position, kind):
            raise ValueError(
                f"{position!r} does not go with type {kind!r}; source means original, padded means "
                "early, middle or late"
            )
        return position


class ClipDatasetSettings(DatasetSettings):
    """A benchmark under an audio condition."""

    audio: AudioSettings = Field(
        AudioSettings(), description="Audio condition, applied on the fly."
    )
    encode_jobs: Jobs = Field(
        1,
        description="Into how many jobs the encoding of the clips is split. Never changes a "
        "feature.",
    )

"""What every part of a study is made of: closed models whose keys are typed and described.

A plug-in's keys are a subclass of one of these, declared in the plug-in's own module. Defaults
stand there once; docs/study.md and the schema for editors are made from them.
"""

import math
import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

HARMLESS = "settings that decide a result are in its fingerprint by their values"

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class Settings(BaseModel):
    """A part of a study. Unknown keys are errors, and values are not converted to other types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_number(value: Any) -> Any:
    """Return the number meant: 1e-4, which YAML 1.1 reads as a string, and 60 for 60.0."""
    number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if not isinstance(number, float) or not math.isfinite(number):
        return value
    return int(number) if number.is_integer() else number


def read_day(value: Any) -> Any:
    """Return a day as text, which YAML reads as a date; ValueError for one there never was."""
    if isinstance(value, str | date):
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError:
            raise ValueError(f"{value!r} is not a day; write it like 2024-07-26") from None
    return value


# Bounds come first: pydantic then knows them for the schema, too.
READ = BeforeValidator(read_number)
Integer = Annotated[int, READ]
Natural = Annotated[int, Field(ge=0), READ]
Count = Annotated[int, Field(ge=1), READ]
Number = Annotated[float, READ]
NonNegative = Annotated[float, Field(ge=0), READ]
Positive = Annotated[float, Field(gt=0), READ]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=NAME, description="A name that becomes a folder.")]
Day = Annotated[str, BeforeValidator(read_day)]
Dtype = Literal["float32", "float16", "bfloat16"]


class HubSource(Settings):
    """A repository of the Hugging Face hub, fetched by a rule of its own before anything else."""

    hub: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="Repository, as owner/name.")
    revision: str = Field(
        "main", description="Commit, tag or branch; a commit keeps the study repeatable."
    )


class HubFile(HubSource):
    """A repository of the Hugging Face hub, or one file of it."""

    file: str | None = Field(
        None, description="One file of the repository; the whole repository if absent."
    )


def kind_of_source(value: Any) -> str | None:
    """Return the tag of a source as written in a study, "<path>" or "<hub>"; None for neither."""
    if isinstance(value, str):
        return "<path>"
    return "<hub>" if isinstance(value, dict | BaseModel) else None


LocalPath = Annotated[Text, Tag("<path>")]
BY_KIND = Discriminator(
    kind_of_source,
    custom_error_type="source",
    custom_error_message="a path, or a mapping with the key hub",
)
Source = Annotated[LocalPath | Annotated[HubFile, Tag("<hub>")], BY_KIND]
"""A local file or folder (relative to the folder in which snakemake runs), or a repository."""


class ModelSettings(Settings):
    """A model; a family adds its own keys, among them the files."""

    family: str = Field(description="The family, which decides the other keys.")
    dtype: Dtype = Field(
        "float32",
        description="Precision of the language model; encoders of audio run in float32.",
    )
    gpus_per_job: Natural = Field(
        1,
        description="GPUs that one infer job asks for; above 1 the language model is spread over "
        "them. A machine without GPUs computes on the CPU.",
    )


class DatasetSettings(Settings):
    """A dataset; a benchmark adds its own keys, among them the source."""

    benchmark: str = Field(description="The benchmark, which decides the other keys.")


class DataSettings(Settings):
    """Training data; a format adds its own keys, among them the source."""

    format: str = Field(description="The format, which decides the other keys.")
    limit: Count | None = Field(None, description="Keep only so many examples. Null keeps all.")


def unique(values: list[Any]) -> list[Any]:
    """Return a list of the study; ValueError where a value comes twice."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} comes twice; remove one")
    return values

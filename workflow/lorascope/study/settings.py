"""What every part of a study is made of: closed models whose keys are typed and described.

A plug-in's keys are a subclass of one of these, declared in the plug-in's own module. Defaults
stand there once; docs/study.md and the schema for editors are made from them.
"""

import math
import os
import re
from collections import Counter
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from lorascope.errors import shown

HARMLESS = "settings that decide a result are in its fingerprint by their values"

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
OWNER = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"
REPOSITORY = r"^[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*$"
DATA_SET = r"^([A-Za-z0-9_][A-Za-z0-9._-]*/)?[A-Za-z0-9_][A-Za-z0-9._-]*$"
"""A repository of data, the oldest of which have no owner."""
REVISION = r"^[A-Za-z0-9][A-Za-z0-9._/+@=-]*$"
"""Of a repository on the hub; braces and blanks would not pass as parts of Snakemake's paths."""
MOST_SCALING = 1e38
"""About the largest number that float32 holds; answers overflow long before."""
MOST_STRENGTH = 1000
"""Of an adapter: far beyond where a model says anything."""
MOST_NAME = 200
"""Characters of an experiment's ID, and of a download: both name a file, with a suffix."""
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_PERIODIC = re.compile(r"(.+?)\1{19}\Z", re.DOTALL)


class Settings(BaseModel):
    """A part of a study. Unknown keys are errors, and values are not converted to other types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_number(value: Any) -> Any:
    """Return the number meant: 1e-4, which YAML 1.1 reads as a string, and 60 for 60.0."""
    number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if not isinstance(number, float) or not math.isfinite(number):
        return value
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


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
Integer = Annotated[int, Field(ge=-(2**53), le=2**53), READ]
Natural = Annotated[int, Field(ge=0, le=10_000_000), READ]
Count = Annotated[int, Field(ge=1, le=10_000_000), READ]
Few = Annotated[int, Field(ge=1, le=1000), READ]
Jobs = Annotated[int, Field(ge=1, le=10_000), READ]
Gpus = Annotated[int, Field(ge=0, le=1000), READ]
Number = Annotated[float, Field(ge=-1e9, le=1e9), READ]
NonNegative = Annotated[float, Field(ge=0, le=1e9), READ]
Positive = Annotated[float, Field(gt=0, le=1e9), READ]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


def not_periodic(name: str) -> str:
    """Return a name; ValueError where Snakemake would take it for a loop without end."""
    if found := _PERIODIC.search(name):
        raise ValueError(
            f"{shown(name)} repeats {found[1]!r} 20 times or more, which Snakemake refuses in the "
            "name of a file; choose another"
        )
    return name


Day = Annotated[str, BeforeValidator(read_day)]
Name = Annotated[
    str,
    Field(pattern=NAME, max_length=100, description="A name that becomes a folder."),
    AfterValidator(not_periodic),
]
Dtype = Literal["float32", "float16", "bfloat16"]


class HubSource(Settings):
    """A repository of the Hugging Face hub, fetched by a rule of its own before anything else."""

    hub: str = Field(pattern=REPOSITORY, description="Repository, as owner/name.")
    revision: str = Field(
        "main",
        pattern=REVISION,
        description="Commit, tag or branch; a commit keeps the study repeatable.",
    )

    @model_validator(mode="after")
    def _name_a_file(self) -> Self:
        """Refuse what would make the name of a download too long, or periodic."""
        parts = [self.hub, self.revision, getattr(self, "file", None) or ""]
        if (length := len("--".join(parts).encode())) > MOST_NAME:
            raise ValueError(
                f"hub, revision and file have {length} bytes in all; at most {MOST_NAME} are "
                "allowed, since they name a file"
            )
        for part in parts:
            not_periodic(part)
        return self


class Repository(HubSource):
    """A data set's repository of the hub as it is, or those of its files that match ``files``."""

    hub: str = Field(pattern=DATA_SET, description="Repository, as owner/name.")
    files: list[str] = Field(["*"], description="Patterns of the files that are fetched.")
    layout: str = Field("repository", description="Tells its folder from another layout's.")


class HubFile(HubSource):
    """A repository of the Hugging Face hub, or one file of it."""

    file: str | None = Field(
        None,
        pattern=r"^[^{}\x00-\x1f]+$",
        description="One file of the repository; the whole repository if absent.",
    )


def kind_of_source(value: Any) -> str | None:
    """Return the tag of a source as written in a study, "<path>" or "<hub>"; None for neither."""
    if isinstance(value, str):
        return "<path>"
    return "<hub>" if isinstance(value, dict | BaseModel) else None


def _possible(path: str) -> str:
    """Return a local path; ValueError where no file can have it."""
    if "\0" in path:
        raise ValueError(f"{shown(path)} holds a NUL character, which no path has")
    for part in path.split("/"):
        if (length := len(os.fsencode(part))) > 255:
            raise ValueError(f"{shown(part)} has {length} bytes; a file's name has at most 255")
    return path


FilePath = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_possible)]
LocalPath = Annotated[FilePath, Tag("<path>")]
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
    gpus_per_job: Gpus = Field(
        1,
        description="GPUs that one infer job asks for; above 1 the language model is spread over "
        "them. A machine without GPUs computes on the CPU.",
    )


class DatasetSettings(Settings):
    """A dataset; a benchmark adds its own keys, among them the source."""

    benchmark: str = Field(description="The benchmark, which decides the other keys.")


class ScorerSettings(Settings):
    """A scorer; it adds its own keys."""

    name: str = Field(description="The scorer, which decides the other keys.")


class DataSettings(Settings):
    """Training data; a format adds its own keys, among them the source."""

    format: str = Field(description="The format, which decides the other keys.")
    limit: Count | None = Field(None, description="Keep only so many examples. Null keeps all.")


class PredictionSettings(Settings):
    """Predictions made elsewhere; a format adds its own keys."""

    source: FilePath = Field(
        description="The file, or the folder of files. In a grid, a template as the ID is."
    )
    format: str = Field(description="The format, which decides the other keys.")
    missing: Literal["refuse", "unanswered"] = Field(
        "refuse",
        description="What to do with items that have no answer: refuse, or take them for "
        "unanswered, which counts as chose nothing.",
    )
    others: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="What to do with answers to items that the dataset does not have, as where it "
        "is a part of the benchmark. A study with a limit leaves them out.",
    )


def unique(values: list[Any]) -> list[Any]:
    """Return a list of the study; ValueError where a value comes twice."""
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"{shown(value)} comes twice; remove one")
    return values

"""SQuAD v1.1 (https://arxiv.org/abs/1606.05250): questions answered by a span of a passage."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from lorascope.benchmarks.squad.items import PROMPT, categories, count_items
from lorascope.study.declarations import Benchmark, DataFormat
from lorascope.study.settings import (
    BY_KIND,
    Count,
    DatasetSettings,
    DataSettings,
    HubSource,
    LocalPath,
    Name,
)

HARMLESS = "declares; what decides a result lies in the functions that are named"

SquadSource = Annotated[LocalPath | Annotated[HubSource, Tag("<hub>")], BY_KIND]
_SOURCE = (
    "A file in the layout of SQuAD v1.1, a folder that holds dev-v1.1.json and train-v1.1.json, or "
    "the data set on the Hugging Face hub, rajpurkar/squad."
)
_SPLIT = "Which file of a folder or of the hub."
Prompt = Annotated[str, Field(pattern=r"\{question\}")]
_PROMPT = "The prompt; {context} and {question} mark the places of passage and question."


class SquadDataset(DatasetSettings):
    """Questions about passages (SQuAD v1.1), answered by a span of the passage."""

    source: SquadSource = Field(description=_SOURCE)
    split: Literal["dev", "train"] = Field("dev", description=_SPLIT)
    category: Name = Field(
        "squad",
        description="Name in the tables, which have a category for each metric, <name>-<metric>.",
    )
    one_per_paragraph: bool = Field(
        True,
        description="Take only the first question of each paragraph (2,067 of the 10,570 of dev).",
    )
    items: Count | None = Field(
        None,
        description="Keep only so many questions, spread over the articles. Null keeps all.",
    )
    prompt: Prompt = Field(PROMPT, description=_PROMPT)


class SquadData(DataSettings):
    """Questions and first answers of a file in the layout of SQuAD v1.1."""

    source: SquadSource = Field(description=_SOURCE)
    split: Literal["train", "dev"] = Field("train", description=_SPLIT)
    one_per_paragraph: bool = Field(
        False, description="Take only the first question of each paragraph."
    )
    prompt: Prompt = Field(PROMPT, description=_PROMPT)


BENCHMARK = Benchmark(
    settings=SquadDataset,
    gives="text",
    answers="texts",
    item_settings=("split", "category", "one_per_paragraph", "items", "prompt"),
    build_items="lorascope.benchmarks.squad.items:build_items",
    source_files="lorascope.benchmarks.squad.items:source_files",
    categories=categories,
    count_items=count_items,
    download="lorascope.benchmarks.squad.download:fetch",
    training=DataFormat(
        settings=SquadData,
        gives="text",
        read="lorascope.benchmarks.squad.items:read_examples",
        source_files="lorascope.benchmarks.squad.items:training_files",
        download="lorascope.benchmarks.squad.download:fetch",
    ),
)

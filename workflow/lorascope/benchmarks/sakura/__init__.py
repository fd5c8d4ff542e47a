"""SAKURA (https://arxiv.org/abs/2505.13237): what is heard in a clip, asked in one hop or two."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from lorascope.benchmarks.sakura.items import (
    HOPS,
    TRACKS,
    Hop,
    Track,
    categories,
    count_clips,
    count_items,
)
from lorascope.benchmarks.settings import ClipDatasetSettings
from lorascope.study.declarations import Benchmark, DataFormat
from lorascope.study.settings import (
    BY_KIND,
    OWNER,
    REVISION,
    Count,
    DataSettings,
    FilePath,
    HubSource,
    LocalPath,
    Settings,
    unique,
)

HARMLESS = "declares; what decides a result lies in the functions that are named"

Tracks = Annotated[list[Track], Field(min_length=1), AfterValidator(unique)]
Hops = Annotated[list[Hop], Field(min_length=1), AfterValidator(unique)]


class HubOwner(Settings):
    """The published data sets on the hub, <owner>/<Track>QA."""

    hub: str = Field(pattern=OWNER, max_length=96, description="Owner of the data sets.")
    revision: str = Field(
        HubSource.model_fields["revision"].default,
        pattern=REVISION,
        max_length=100,
        description="Commit, tag or branch of all four.",
    )


class SakuraDataset(ClipDatasetSettings):
    """Single-hop and multi-hop questions about clips, under an audio condition."""

    source: Annotated[LocalPath | Annotated[HubOwner, Tag("<hub>")], BY_KIND] = Field(
        description="Folder that holds data/<Track>/metadata.csv and data/<Track>/audio, or the "
        "owner of the published data sets on the Hugging Face hub."
    )
    tracks: Tracks = Field([*TRACKS], description="Tracks to use.")
    hops: Hops = Field([*HOPS], description="Questions to ask about each clip.")
    items_per_category: Count | None = Field(
        None,
        description="Keep so many items of each category, balanced over the labels. Null keeps "
        "all.",
    )
    control: Literal["none", "shuffled", "silent"] = Field(
        "none",
        description="Control condition: shuffled lets every item hear a clip drawn from its track, "
        "silent lets it hear zeros.",
    )


class SakuraData(DataSettings):
    """Questions about clips in the layout of SAKURA; the limit is that of each track's clips."""

    source: FilePath = Field(
        description="Folder that holds data/<Track>/metadata.csv and data/<Track>/audio."
    )
    tracks: Tracks = Field([*TRACKS], description="Tracks to use.")
    hops: Hops = Field([*HOPS], description="Questions to ask about each clip.")


BENCHMARK = Benchmark(
    settings=SakuraDataset,
    gives="audio",
    asks=lambda settings: True,
    answers="options",
    item_settings=("tracks", "hops", "items_per_category", "audio", "control"),
    build_items="lorascope.benchmarks.sakura.items:build_items",
    source_files="lorascope.benchmarks.sakura.items:source_files",
    categories=categories,
    count_items=count_items,
    count_clips=count_clips,
    download="lorascope.benchmarks.sakura.download:fetch",
    conditions=True,
    training=DataFormat(
        settings=SakuraData,
        gives="audio",
        read="lorascope.benchmarks.sakura.items:read_examples",
        source_files="lorascope.benchmarks.sakura.items:training_files",
    ),
)

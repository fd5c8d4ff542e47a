"""A benchmark of clips in a layout of its own: is a beep high or low?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import Item, smaller
from lorascope.benchmarks.settings import ClipDatasetSettings
from lorascope.errors import UserError, raise_problems
from lorascope.study.declarations import Benchmark
from lorascope.study.settings import Count, Text

Dataset = Mapping[str, Any]
OPTIONS = (("a", "low"), ("b", "high"))
QUESTION = "Is the beep (a) low or (b) high?"


class BeepsDataset(ClipDatasetSettings):
    """Beeps that are high or low."""

    source: Text = Field(description="Folder that holds beeps.tsv and the clips it names.")
    beeps: Count | None = Field(None, description="Keep only so many beeps. Null keeps all.")


def read(root: Path, dataset: Dataset, limit: int | None) -> list[tuple[str, str]]:
    """Return (clip, pitch) of the beeps asked for, [] without the file."""
    file = root / "beeps.tsv"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [(clip, pitch) for clip, _, pitch in (line.partition("\t") for line in lines)]
    return rows[: smaller(dataset["beeps"], limit)]


def source_files(root: Path, dataset: Dataset, limit: int | None) -> list[Path]:
    return [root / "beeps.tsv", *(root / clip for clip, _ in read(root, dataset, limit))]


def count(root: Path, dataset: Dataset, limit: int | None) -> int:
    return len(read(root, dataset, limit)) or smaller(10, dataset["beeps"], limit) or 0


def build_items(root: Path, dataset: Dataset, limit: int | None) -> tuple[list[Item], list[str]]:
    from lorascope.benchmarks.clips import fitting, read_clips

    problems: list[UserError] = []
    notes: list[str] = []
    rows = dict(read(root, dataset, limit))
    clips = read_clips(root, {clip: f"{root / 'beeps.tsv'}: {clip}" for clip in rows}, problems)
    clips = fitting(clips, Condition.of_dataset(dataset), "beeps", problems, notes)
    raise_problems(problems)
    letters = {text: letter for letter, text in OPTIONS}
    items = [
        Item(
            item_id=f"beeps/{Path(path).stem}",
            category="beeps",
            question=QUESTION,
            answer=rows[path],
            answers=(rows[path],),
            clip=path,
            clip_sha256=clip.sha256,
            clip_seconds=clip.seconds,
            options=OPTIONS,
            gold=letters[rows[path]],
        )
        for path, clip in sorted(clips.items())
    ]
    return items, notes


BENCHMARK = Benchmark(
    settings=BeepsDataset,
    gives="audio",
    answers="options",
    item_settings=("beeps", "audio"),
    build_items="beeps:build_items",
    source_files="beeps:source_files",
    categories=lambda dataset: ["beeps"],
    count_items=lambda root, dataset, limit: {"beeps": count(root, dataset, limit)},
    count_clips=count,
)

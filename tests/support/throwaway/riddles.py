"""A benchmark of text in a layout of its own, which can be trained on: a riddle a line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.benchmarks.examples import Example, not_empty, pairs
from lorascope.benchmarks.items import Item, smaller
from lorascope.errors import UserError
from lorascope.study.declarations import Benchmark, DataFormat
from lorascope.study.settings import DatasetSettings, DataSettings, Text

Dataset = Mapping[str, Any]


class RiddlesDataset(DatasetSettings):
    """Riddles with one right answer."""

    source: Text = Field(description="File of lines such as <riddle> = <answer>.")


class RiddlesData(DataSettings):
    """Riddles to learn."""

    source: Text = Field(description="File of lines such as <riddle> = <answer>.")


def read(file: Path, limit: int | None) -> list[Item]:
    lines = file.read_text(encoding="utf-8").splitlines()[:limit]
    items = []
    for number, line in enumerate(lines, 1):
        riddle, _, answer = line.partition(" = ")
        if not answer:
            raise UserError(f"{file}: line {number}: no answer; write <riddle> = <answer>")
        items.append(
            Item(
                item_id=f"riddles/{number}",
                category="riddles",
                question=riddle,
                answer=answer,
                answers=(answer,),
                passage=str(number),
            )
        )
    return items


def build_items(root: Path, dataset: Dataset, limit: int | None) -> tuple[list[Item], list[str]]:
    return read(root, limit), []


def count_items(root: Path, dataset: Dataset, limit: int | None) -> dict[str, int]:
    return {"riddles": len(read(root, limit)) if root.exists() else smaller(100, limit) or 0}


def source_files(root: Path, dataset: Dataset, limit: int | None) -> list[Path]:
    return [root]


def read_examples(data: Mapping[str, Any], source: Path) -> list[Example]:
    return not_empty(pairs(read(source, data["limit"]), source), source)


def training_files(source: Path, data: Mapping[str, Any]) -> list[Path]:
    return [source]


BENCHMARK = Benchmark(
    settings=RiddlesDataset,
    gives="text",
    answers="texts",
    item_settings=(),
    build_items="riddles:build_items",
    source_files="riddles:source_files",
    categories=lambda dataset: ["riddles"],
    count_items=count_items,
    training=DataFormat(
        settings=RiddlesData,
        gives="text",
        read="riddles:read_examples",
        source_files="riddles:training_files",
    ),
)

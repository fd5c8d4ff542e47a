"""Items of a table: rows that are asked, with few-shot examples, or about clips."""

# Only rows about clips need what reads audio.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.examples import Example, Pair
from lorascope.benchmarks.items import Item
from lorascope.benchmarks.table.asking import Asked, ask
from lorascope.benchmarks.table.files import known_columns, read_rows
from lorascope.benchmarks.table.places import Place, asked_places, drawn, draws_own
from lorascope.benchmarks.table.sources import (
    check,
    clip_of,
    clip_root,
    example_files,
    item_files,
    named,
    source_files,
    where_clip,
)
from lorascope.errors import UserError, raise_problems

if TYPE_CHECKING:
    from lorascope.benchmarks.clips import Clip

Dataset: TypeAlias = Mapping[str, Any]


def build_items(root: Path, dataset: Dataset, limit: int | None) -> tuple[list[Item], list[str]]:
    """Return the items of a dataset of the study, in the order of the rows, and log notes.

    root: the file or folder of the rows. dataset: its entry in the study, defaults filled in.
    limit: at most so many items of a category (None: no limit).

    Every row is looked at, the ones that are not asked too. UserError, naming file, row and column
    of the first problem and the number of the others: for files as `files.read_rows`, for rows as
    `asking.ask`, for an id that comes twice, for clips as ``clips.read_clips`` and
    ``clips.fitting``.
    """
    places, asked, notes = _asked(root, dataset, limit)
    examples = _examples(root, dataset, asked, notes)
    clips = _clips(root, places, dataset, notes)
    items = [
        _item(place, asked[place.number], examples, clips.get(clip_of(place.row, dataset)), dataset)
        for place in places
        if not dataset["clip"] or clip_of(place.row, dataset) in clips
    ]
    if not items:
        raise UserError(f"{root}: no items are left; choose more rows, or shorter clips")
    return items, notes


def _asked(
    root: Path, dataset: Dataset, limit: int | None
) -> tuple[list[Place], list[Asked], list[str]]:
    """Return the rows that are asked, what all rows ask (then those of examples), and log notes."""
    files = item_files(root, dataset)
    if not files:
        raise UserError(f"{root}: no file of rows is there; put it there, or correct `source`")
    others = example_files(root, dataset)
    check(files, others, dataset)
    rows = read_rows(files)
    places = asked_places(rows, dataset, limit)
    asked = ask([*rows, *(read_rows(others) if others else [])], dataset, known_columns(files))
    return places, asked, [f"{named(files)}: {len(places)} of {len(rows)} rows selected"]


def _examples(
    root: Path, dataset: Dataset, asked: Sequence[Asked], notes: list[str]
) -> list[Asked]:
    """Return the few-shot examples, which are the same for every question."""
    if not dataset["few_shot"]:
        return []
    others = example_files(root, dataset)
    start = len(asked) - len(read_rows(others)) if others else 0
    examples = [asked[start + number] for number in drawn(len(asked) - start, dataset)]
    left_out = ", which are not asked" if draws_own(dataset) else ""
    notes.append(f"examples{left_out}: {', '.join(one.row.where for one in examples)}")
    return examples


def _clips(
    root: Path, places: Sequence[Place], dataset: Dataset, notes: list[str]
) -> dict[str, Clip]:
    """Return the clips of rows by their paths, those that stay under the audio condition."""
    if not dataset["clip"]:
        return {}
    from lorascope.benchmarks.clips import fitting, read_clips

    problems: list[UserError] = []
    wanted: dict[str, str] = {}
    for place in places:
        wanted.setdefault(clip_of(place.row, dataset), where_clip(place.row, dataset))
    clips = read_clips(clip_root(root, dataset), wanted, problems)
    condition = Condition.of_dataset(dataset)
    clips = fitting(clips, condition, "clips", problems, notes)
    raise_problems(problems)
    return clips


def _item(
    place: Place, asked: Asked, examples: Sequence[Asked], clip: Clip | None, dataset: Dataset
) -> Item:
    few_shot, delimiter = dataset["few_shot"], dataset["delimiter"]
    turns: tuple[tuple[str, str], ...] = ()
    before = ""
    if few_shot and few_shot["as"] == "turns":
        turns = tuple((one.question, one.said) for one in examples)
    elif few_shot:
        shown = (f"{one.question}{delimiter}{one.said}" for one in examples)
        before = "".join(text + few_shot["separator"] for text in shown)
    # A text by itself begins where it begins.
    between = "" if dataset["text"] and not asked.question else delimiter
    return Item(
        item_id=place.item_id,
        category=place.category,
        question=before + asked.question,
        answer=asked.answers[0] if asked.answers else "",
        answers=asked.answers,
        clip=clip.path if clip else "",
        clip_sha256=clip.sha256 if clip else "",
        clip_seconds=clip.seconds if clip else 0.0,
        passage="" if clip else place.id,
        options=asked.options,
        gold=asked.gold,
        system=dataset["system"] or "",
        turns=turns,
        continuations=tuple(between + text for text in asked.follows),
        record=json.dumps(place.row.values, ensure_ascii=False),
    )


# ------------------------------------------------------------------------- training data


def read_examples(data: Mapping[str, Any], source: Path) -> list[Example]:
    """Return questions and right answers as examples; UserError as `build_items`.

    data: `train.data` of an adapter; its `limit` keeps a sample by a hash of the ids.
    """
    dataset = _as_dataset(data)
    places, asked, notes = _asked(source, dataset, data["limit"])
    clips = _clips(source, places, dataset, notes)
    found: list[Example] = []
    for place in places:
        one, path = asked[place.number], clip_of(place.row, dataset)
        between = "" if data["text"] and not one.question else data["delimiter"]
        sha256 = clips[path].sha256 if path else ""
        found.append(Pair(one.question, between + one.said, place.row.where, path, sha256))
    return found


def training_files(source: Path, data: Mapping[str, Any]) -> list[Path]:
    """Return the files that decide the examples, as `source_files` does."""
    return source_files(source, _as_dataset(data), data["limit"])


def _as_dataset(data: Mapping[str, Any]) -> Dataset:
    """Return training data as a dataset would say it: every clip as it is."""
    own = {"category": data["format"], "items": None, "audio": {}}
    return {**data, **own, "few_shot": None, "system": None}

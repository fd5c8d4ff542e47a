"""SAKURA: single-hop and multi-hop questions about what is heard in a clip.

Yang et al., "SAKURA: On the Multi-hop Reasoning of Large Audio-Language Models Based on Speech and
Audio Information", Interspeech 2025. Read in its published layout, `data/<Track>/metadata.csv` (or
metadata.json) and `data/<Track>/audio/*`, in any audio format libsndfile reads.

Planning imports this module to list sources and count items, so it imports nothing heavy.
"""

# Planning asks this module for names of files, and reads no clip.
# ruff: noqa: PLC0415

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.examples import Example, not_empty, pairs
from lorascope.benchmarks.items import Item, smaller, text_hash
from lorascope.benchmarks.options import parse_gold, parse_options
from lorascope.errors import UserError, raise_problems
from lorascope.storage.files import parse_json, regular

if TYPE_CHECKING:
    from lorascope.benchmarks.clips import Clip

Dataset: TypeAlias = Mapping[str, Any]

Fields: TypeAlias = Mapping[Any, Any]
Record: TypeAlias = tuple[str, Fields, str]
"""A clip's name, its fields, and where they stand."""

PUBLISHED_CLIPS = 500  # of each track
Track: TypeAlias = Literal["animal", "emotion", "gender", "language"]
Hop: TypeAlias = Literal["single", "multi"]
TRACKS: tuple[Track, ...] = get_args(Track)
HOPS: tuple[Hop, ...] = get_args(Hop)
COLUMNS = (
    "attribute_label",
    "single_instruction",
    "single_answer",
    "multi_instruction",
    "multi_answer",
)


@dataclass(frozen=True)
class Row:
    """One row of a track's metadata: a clip, its label, and a question and answer for each hop.

    clip is relative to the dataset's root; where names file and row for messages.
    """

    clip: str
    label: str
    questions: Mapping[str, str]
    answers: Mapping[str, str]
    where: str


# ------------------------------------------------------------------------------ planning


def source_files(root: Path, dataset: Dataset, limit: int | None) -> list[Path]:
    """Return the metadata and audio files that determine the items, sorted; [] without `root`.

    A file that is referred to but absent is listed: the dataset stage will say which row wants it.
    """
    files: list[Path] = []
    count = clips_per_track(dataset, limit)
    for track in dataset["tracks"] if root.exists() else ():
        metadata = metadata_file(root, track)
        files.append(metadata)
        if metadata.exists():
            files += [root / row.clip for row in select(read_metadata(root, track), count)]
    return sorted(files)


def categories(dataset: Dataset) -> list[str]:
    """Return the categories of a dataset, `<track>-<hop>`."""
    return [f"{track}-{hop}" for track in dataset["tracks"] for hop in dataset["hops"]]


def count_items(root: Path, dataset: Dataset, limit: int | None) -> dict[str, int]:
    """Return category -> number of items that `build_items` will make, before any is skipped.

    Reads metadata alone; a track whose metadata is absent counts by its published size.
    """
    count = clips_per_track(dataset, limit)
    return {
        f"{track}-{hop}": _clip_count(root, track, count)
        for track in dataset["tracks"]
        for hop in dataset["hops"]
    }


def count_clips(root: Path, dataset: Dataset, limit: int | None) -> int:
    """Return the number of clips that the items are about, counted as in `count_items`."""
    count = clips_per_track(dataset, limit)
    return sum(_clip_count(root, track, count) for track in dataset["tracks"])


def _clip_count(root: Path, track: str, count: int | None) -> int:
    if metadata_file(root, track).exists():
        return len(select(read_metadata(root, track), count))
    return min(PUBLISHED_CLIPS, count or PUBLISHED_CLIPS)


def clips_per_track(dataset: Dataset, limit: int | None) -> int | None:
    """Return how many clips of each track are asked for (None: all)."""
    return smaller(dataset["items_per_category"], limit)


def select(rows: Sequence[Row], count: int | None) -> list[Row]:
    """Return the first `count` rows of a fixed label-balanced order (None: all rows, in it).

    The order takes the labels in turn, and the clips of a label in the order of a hash of their
    names. It has no seed: every dataset asks about the same clips, so that answers under two
    audio conditions can be compared pair by pair, and a smaller selection is part of a larger one.
    """
    seen: Counter[str] = Counter()
    turns = []
    for row in sorted(rows, key=lambda row: text_hash(row.clip)):
        turns.append((seen[row.label], text_hash(row.label), row))
        seen[row.label] += 1
    return [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])][:count]


# ------------------------------------------------------------------------------ metadata


def metadata_file(root: Path, track: str) -> Path:
    """Return the metadata file of a track: the CSV, or the JSON where there is no CSV."""
    if track not in TRACKS:
        raise UserError(f"tracks: unknown track {track!r}; SAKURA has {', '.join(TRACKS)}")
    folder = root / "data" / track.capitalize()
    table, tree = folder / "metadata.csv", folder / "metadata.json"
    return tree if tree.exists() and not table.exists() else table


def read_metadata(root: Path, track: str) -> list[Row]:
    """Return the rows of a track. Texts are verbatim, except that labels are stripped.

    Raises UserError when the file is missing or malformed, a field is missing or blank, or a clip
    comes twice.
    """
    path = metadata_file(root, track)
    try:
        with regular(path).open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        records = _csv_records(text, path) if path.suffix == ".csv" else _json_records(text, path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: not found; `source` must be the folder that holds data/<Track>/metadata.csv"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not records:
        raise UserError(f"{path}: holds no rows; restore the published file")
    problems: list[UserError] = []
    folder = PurePosixPath("data", track.capitalize(), "audio")
    rows = [_row(folder, name, record, where, problems) for name, record, where in records]
    _refuse_duplicates(rows, problems)
    raise_problems(problems)
    return rows


def _csv_records(text: str, path: Path) -> list[Record]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = {"file", *COLUMNS} - set(reader.fieldnames or ())
        if missing:
            raise UserError(f"{path}: no column {', '.join(sorted(missing))}; add it to the header")
        records: list[Record] = []
        for record in reader:
            where = f"{path}: line {reader.line_num} ({record['file']})"
            if None in record:
                raise UserError(f"{where}: more fields than the header names; quote its commas")
            records.append((record["file"], record, where))
    except csv.Error as error:
        raise UserError(f"{path}: after line {reader.line_num}: {error}; correct the CSV") from None
    return records


def _json_records(text: str, path: Path) -> list[Record]:
    try:
        # lists of pairs: a dict would hide a clip that comes twice
        pairs = parse_json(text, object_pairs_hook=list)
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); correct it") from None
    if not isinstance(pairs, list) or not all(_is_json_record(pair) for pair in pairs):
        raise UserError(f"{path}: must map each clip's path to its fields")
    return [(name, dict(fields), f"{path}: {name}") for name, fields in pairs]


def _is_json_record(pair: object) -> bool:
    return (
        isinstance(pair, tuple)
        and isinstance(pair[1], list)
        and all(isinstance(field, tuple) for field in pair[1])
    )


def _row(
    folder: PurePosixPath, name: str, record: Fields, where: str, problems: list[UserError]
) -> Row:
    given = {column: record.get(column) for column in COLUMNS}
    texts = {c: text for c, text in given.items() if isinstance(text, str) and text.strip()}
    blank = [column for column in COLUMNS if column not in texts]
    file = PurePosixPath((name or "").strip()).name
    if blank or not file:
        problems.append(UserError(f"{where}: no {blank[0] if blank else 'file'}; fill it in"))
        texts |= dict.fromkeys(blank, "")
    return Row(
        clip=str(folder / file),
        label=texts["attribute_label"].strip(),
        questions={hop: texts[f"{hop}_instruction"] for hop in HOPS},
        answers={hop: texts[f"{hop}_answer"] for hop in HOPS},
        where=where,
    )


def _refuse_duplicates(rows: Sequence[Row], problems: list[UserError]) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        earlier = first.setdefault(PurePosixPath(row.clip).stem, row)
        if earlier is not row:
            problems.append(
                UserError(f"{row.where}: the same item as {earlier.where}; remove or rename one")
            )


# --------------------------------------------------------------------------------- items


def build_items(root: Path, dataset: Dataset, limit: int | None) -> tuple[list[Item], list[str]]:
    """Return the items of a dataset of the study, sorted by category and clip, and log notes.

    root: the folder that holds `data/`. dataset: its entry in the study, defaults filled in. limit:
    at most so many items per category (None: no limit), for a smoke run.

    Each selected clip is read once, hashed and decoded. With `control: shuffled` an item keeps its
    item_id, question and label, but `clip`, `clip_sha256` and `clip_seconds` are those of the clip
    heard in its stead (see `shuffle`), so that each clip is still encoded once. With `control:
    silent` the items are unchanged: `Condition.silent` makes the encode stage hear zeros.

    Raises UserError, naming the first problem and the number of the others, for unknown tracks,
    metadata as in `read_metadata`, a clip that is missing, unreadable or too long for the audio
    condition, an option list that does not parse, or a gold answer that is not an option.
    """
    from lorascope.benchmarks.clips import fitting, read_clips

    condition = Condition.of_dataset(dataset)
    count = clips_per_track(dataset, limit)
    problems: list[UserError] = []
    notes: list[str] = []
    items: list[Item] = []
    for track in dataset["tracks"]:
        rows = read_metadata(root, track)
        chosen = select(rows, count)
        notes.append(f"{track}: {len(chosen)} of {len(rows)} clips selected")
        clips = read_clips(root, {row.clip: row.where for row in chosen}, problems)
        clips = fitting(clips, condition, track, problems, notes)
        heard = {clip: clip for clip in clips}
        if dataset["control"] == "shuffled":
            heard = shuffle(clips, f"{condition.seed}/{track}")
        for row in chosen:
            if row.clip in clips:
                items += _row_items(track, dataset["hops"], row, clips[heard[row.clip]], problems)
    raise_problems(problems)
    if not items:
        raise UserError(f"{root}: no items are left of tracks {', '.join(dataset['tracks'])}")
    return sorted(items, key=lambda item: (item.category, item.item_id)), notes


def shuffle(clips: Iterable[str], seed: str) -> dict[str, str]:
    """Return own clip -> heard clip, a seeded permutation of the clips of one track.

    A plain permutation, in which a clip may meet its own label or even itself: were another label
    certain, a model that hears well would score below chance, and the control would not show
    chance. Both hops of a question's clip hear the same clip.
    """
    own = sorted(clips)
    return dict(zip(own, sorted(own, key=lambda clip: text_hash(f"{seed}/{clip}")), strict=True))


def _row_items(
    track: str, hops: Iterable[str], row: Row, heard: Clip, problems: list[UserError]
) -> list[Item]:
    items = []
    for hop in hops:
        question, answer = row.questions[hop], row.answers[hop]
        try:
            options = parse_options(question)
            gold = parse_gold(answer, options)
        except UserError as error:
            problems.append(UserError(f"{row.where}: {hop} hop: {error}"))
            continue
        items.append(
            Item(
                item_id=f"{track}-{hop}/{PurePosixPath(row.clip).stem}",
                category=f"{track}-{hop}",
                track=track,
                hop=hop,
                clip=heard.path,
                clip_sha256=heard.sha256,
                clip_seconds=heard.seconds,
                question=question,
                options=options,
                continuations=tuple(f" ({letter}) {text}" for letter, text in options),
                gold=gold,
                answer=answer,
                answers=(answer,),
                label=row.label,
            )
        )
    return items


# ------------------------------------------------------------------------- training data


def read_examples(data: Mapping[str, Any], source: Path) -> list[Example]:
    """Return the items of training data as examples; UserError as `build_items` does, or for none.

    data: `train.data` of an adapter; its `limit` is how many clips of a track are kept.
    """
    items, _ = build_items(source, _as_dataset(data), data["limit"])
    return not_empty(pairs(items, source), source)


def training_files(source: Path, data: Mapping[str, Any]) -> list[Path]:
    """Return the files that decide the examples, as `source_files` does."""
    return source_files(source, _as_dataset(data), data["limit"])


def _as_dataset(data: Mapping[str, Any]) -> Dataset:
    """Return training data as a dataset would say it: every clip as it is."""
    return {**data, "items_per_category": None, "audio": {}, "control": "none"}

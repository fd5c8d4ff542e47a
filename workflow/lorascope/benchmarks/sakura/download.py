"""SAKURA from the hub: one data set for each track, unpacked in its published layout."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lorascope.benchmarks.sakura.items import COLUMNS, TRACKS
from lorascope.errors import UserError
from lorascope.storage import hub

_TEST_SPLIT = ("test*.parquet", "*/test*.parquet")


def fetch(source: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Fetch all tracks of the owner that ``source`` names; return track -> commit."""
    return download_sakura(source["hub"], source["revision"], TRACKS, root)


def download_sakura(
    owner: str, revision: str, tracks: Iterable[str], destination: Path | str
) -> dict[str, str]:
    """Fetch the data sets `<owner>/<Track>QA`, split test, and unpack them in published layout.

    Makes `destination`/data/<Track>/metadata.csv, audio/* and source.json, which says where they
    came from. A track's folder appears whole or not at all, and one that is there already is kept,
    so that a download that broke off goes on where it stopped. Returns track -> commit.

    Raises UserError as `hub.fetch_data_set` does, and for data that is not laid out as SAKURA's.
    """
    return {
        track: hub.fetch_data_set(
            f"{owner}/{track.capitalize()}QA",
            revision,
            _TEST_SPLIT,
            Path(destination) / "data" / track.capitalize(),
            _unpack,
        )
        for track in tracks
    }


def _unpack(snapshot: Path, folder: Path) -> None:
    """Write the rows of a snapshot's Parquet files as metadata.csv and audio/* of one track."""
    (folder / "audio").mkdir()
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as metadata:
        writer = csv.DictWriter(metadata, ["file", *COLUMNS], extrasaction="ignore")
        writer.writeheader()
        for file in hub.matching(snapshot, _TEST_SPLIT):
            for row in hub.rows(file, ("file", "audio", *COLUMNS)):
                _write_clip(row, folder / "audio", file)
                writer.writerow(row)


def _write_clip(row: Mapping[str, Any], folder: Path, source: Path) -> None:
    name, audio = row["file"], (row["audio"] or {}).get("bytes")
    # the name comes from the network and becomes a path
    if not name or PurePosixPath(name).name != name or "\\" in name or name == "..":
        raise UserError(f"{source}: {name!r} is not a plain file name; {hub.REMEDY}")
    if not audio:
        raise UserError(f"{source}: {name} has no audio; {hub.REMEDY}")
    try:
        with (folder / name).open("xb") as clip:
            clip.write(audio)
    except FileExistsError:
        raise UserError(f"{source}: {name} comes twice; {hub.REMEDY}") from None

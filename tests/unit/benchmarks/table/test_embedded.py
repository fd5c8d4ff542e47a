"""Clips within Parquet files of the hub, as datasets' Audio keeps them: bytes and a path."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorascope.benchmarks.table.embedded import copy_table
from lorascope.benchmarks.table.items import build_items
from lorascope.errors import UserError
from tests.support.hub import FIXTURES
from tests.support.lab import write_clip
from tests.support.tables import dataset

hub, machine = FIXTURES
DOWNLOAD = "lorascope.benchmarks.table.download:download_table"


def clip(folder, pitch=220.0, suffix=".wav"):
    path = folder / f"made{suffix}"
    write_clip(path, pitch=pitch)
    return path.read_bytes()


@pytest.fixture
def table(tmp_path):
    """Return a Parquet file of two spoken rows and one that is silent of a clip."""
    rows = [
        {"audio": {"bytes": clip(tmp_path), "path": "a/7_x_0.wav"}, "label": 7},
        {"audio": {"bytes": clip(tmp_path, 300, ".flac"), "path": None}, "label": 3},
        {"audio": None, "label": 0},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test-0.parquet")
    return tmp_path / "test-0.parquet"


def test_clips_become_files_and_the_rows_name_them(table, tmp_path):
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    copy_table(table, root / "data/test-0.parquet", root)
    rows = pq.read_table(root / "data/test-0.parquet").to_pylist()
    first, second = "data/test-0/audio/000001-7_x_0.wav", "data/test-0/audio/000002-clip.flac"
    assert rows == [
        {"audio": {"path": first}, "label": 7},
        {"audio": {"path": second}, "label": 3},
        {"audio": None, "label": 0},
    ]
    assert (root / first).read_bytes()[:4] == b"RIFF"
    assert (root / second).read_bytes()[:4] == b"fLaC"


def test_what_is_no_clip_stays_as_it_is(tmp_path):
    rows = [{"image": {"bytes": b"\x89PNG...", "path": "a.png"}, "label": 1}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    copy_table(tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"a\.parquet: not a readable Parquet file"):
        copy_table(tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path)


def test_a_data_set_of_the_hub_is_asked_about(hub, machine, table, tmp_path):
    content = {"data/test-0.parquet": pq.read_table(table).slice(0, 2)}
    pq.write_table(content["data/test-0.parquet"], table)
    hub.repositories["dataset", "lab/own"] = {"data/test-0.parquet": table.read_bytes()}
    root = tmp_path / "own@main"
    machine.call(DOWNLOAD, "lab/own", "main", root)
    keys = dataset({"hub": "lab/own"}, clip="audio.path", answer="label")
    items, _ = build_items(root, keys, None)
    assert [item.answers for item in items] == [("7",), ("3",)]
    assert [item.clip.rpartition("/")[2] for item in items] == [
        "000001-7_x_0.wav",
        "000002-clip.flac",
    ]

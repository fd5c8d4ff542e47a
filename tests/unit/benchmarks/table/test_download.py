"""A table's download, from a real HTTP server on loopback that answers as the hub does."""

import json

from lorascope.benchmarks.table.items import build_items
from lorascope.benchmarks.table.sources import source_files
from tests.support.hub import COMMIT, FIXTURES, leftovers, parquet
from tests.support.lab import write_clip
from tests.support.tables import dataset

hub, machine = FIXTURES
DOWNLOAD = "lorascope.benchmarks.table.download:download_table"
HUB = {"hub": "lab/own"}


def test_rows_and_clips_are_fetched_under_their_own_names(hub, machine, tmp_path):
    write_clip(tmp_path / "clip.wav")
    rows = [{"q": "Who?", "a": "me", "path": "audio/1.wav"}]
    hub.repositories["dataset", "lab/own"] = {
        "README.md": b"#",
        "model.bin": b"never asked for",
        "data/test-0.parquet": parquet(rows),
        "data/dev.jsonl": json.dumps(rows[0]).encode(),
        "audio/1.wav": (tmp_path / "clip.wav").read_bytes(),
    }
    root = tmp_path / "own@main"
    assert machine.call(DOWNLOAD, "lab/own", "main", root) == COMMIT
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    names = {"data/test-0.parquet", "data/dev.jsonl", "audio/1.wav"}
    assert found == names | {"source.json"}
    assert not [path for _, path in hub.requests if "model.bin" in path]

    keys = dataset(HUB, clip="path", answer="a", files="data/test-*")
    [item], _ = build_items(root, keys, None)
    assert (item.clip, item.answer) == ("audio/1.wav", "me")
    assert source_files(root, keys, None) == [root / "data/test-0.parquet", root / "audio/1.wav"]
    keys = dataset(HUB, question="q", answer="a", files="*.jsonl")
    [item], _ = build_items(root, keys, None)
    assert item.question == "Who?"


def test_a_repository_without_rows_leaves_nothing(hub, machine, tmp_path):
    hub.repositories["dataset", "lab/own"] = {"README.md": b"#", "data.txt": b"a"}
    root = tmp_path / "own@main"
    machine.refuses(DOWNLOAD, "lab/own", "main", root, words=["lab/own", "no file matches"])
    hub.repositories["dataset", "lab/own"] = {"data.csv": b"q,a\n", "more.csv": b"q,a\nx,y\n"}
    hub.breaking.add("more.csv")
    machine.refuses(DOWNLOAD, "lab/own", "main", root, words=["lab/own at revision main"])
    assert not root.exists()
    assert not leftovers(tmp_path)

import json
import os

import pytest

from lorascope.identity import sources
from lorascope.identity.sources import SourceIndex


def test_sources_are_hashed_once_and_again_when_they_change(tmp_path, monkeypatch):
    file, cache = tmp_path / "a.bin", tmp_path / "cache.json"
    file.write_bytes(b"one")
    index = SourceIndex(cache)
    first = index.file(file)
    index.save()
    monkeypatch.setattr(sources.hashlib, "file_digest", None)  # a second hash would fail
    assert SourceIndex(cache).file(file) == first
    monkeypatch.undo()
    file.write_bytes(b"two")
    assert SourceIndex(cache).file(file) != first


def test_an_edit_in_place_of_the_same_size_and_time_shows(tmp_path):
    file, index = tmp_path / "a.bin", SourceIndex(tmp_path / "cache.json")
    file.write_bytes(b"one")
    first, times = index.file(file), file.stat()
    with file.open("r+b") as opened:
        opened.write(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert index.file(file) != first


@pytest.mark.parametrize(
    "kept",
    [
        *(b"{", b"[]", b'"a"', b"null", b"\xff", b"[" * 100_000, b'{"files": [], "seen": 1}'),
        *(b'{"files": {"FILE": 1}}', b'{"files": {"FILE": [[1], 2]}}', b'{"seen": {"FILE": [1]}}'),
        b'{"FILE": [[3, 1, 1, 1], "a"]}',
    ],
)
def test_a_damaged_cache_of_hashes_is_only_slower(tmp_path, kept):
    file, cache = tmp_path / "a.bin", tmp_path / "cache.json"
    file.write_bytes(b"one")
    cache.write_bytes(kept.replace(b"FILE", str(file).encode()))
    index = SourceIndex(cache)
    assert len(index.file(file)) == 64
    assert index.last_seen(str(file)) is None
    index.save()
    assert json.loads(cache.read_text())["files"].keys() == {str(file)}


def test_an_edited_cache_of_hashes_is_not_believed(tmp_path):
    file, cache = tmp_path / "a.bin", tmp_path / "cache.json"
    file.write_bytes(b"one")
    index = SourceIndex(cache)
    sha256 = index.file(file)
    index.see("gone", {"a.bin": sha256})
    index.save()
    cache.write_text(cache.read_text().replace(sha256, sha256[::-1]))
    assert SourceIndex(cache).file(file) == sha256
    assert SourceIndex(cache).last_seen("gone") is None


def test_a_folder_in_place_of_the_cache_is_only_slower(tmp_path):
    (tmp_path / "cache.json").mkdir()
    (tmp_path / "a.bin").write_bytes(b"one")
    index = SourceIndex(tmp_path / "cache.json")
    assert len(index.file(tmp_path / "a.bin")) == 64
    index.save()


def test_two_plans_at_a_time_keep_what_both_saw(tmp_path):
    indexes = [SourceIndex(tmp_path / "cache.json") for _ in range(2)]
    for name, index in zip("ab", indexes, strict=True):
        index.see(name, {"model": name})
        index.save()
    index = SourceIndex(tmp_path / "cache.json")
    assert [index.last_seen(name) for name in "abc"] == [{"model": "a"}, {"model": "b"}, None]


def test_an_absent_source_is_planned_as_absent(tmp_path):
    index = SourceIndex(tmp_path / "cache.json")
    assert index.local(tmp_path / "llm") == {"absent": str(tmp_path / "llm")}
    assert index.files([tmp_path / "x.wav"], tmp_path) is None


def test_a_folder_counts_by_its_content_files(tmp_path):
    for name in ("config.json", "README.md", ".hidden"):
        (tmp_path / name).write_text(name)
    assert SourceIndex(tmp_path / "cache").local(tmp_path).keys() == {"config.json"}


def test_weights_in_subfolders_count_where_the_weight_map_names_them(tmp_path):
    (tmp_path / "parts").mkdir()
    shard = tmp_path / "parts/1.safetensors"
    for file in (shard, tmp_path / "parts/unused.safetensors"):
        file.write_bytes(b"one")
    weights = {"weight_map": {"a": "parts/1.safetensors", "b": "parts/1.safetensors"}}
    map_file = tmp_path / "model.safetensors.index.json"
    map_file.write_text(json.dumps(weights))
    index = SourceIndex(tmp_path / ".cache")
    first = index.local(tmp_path)
    assert first.keys() == {map_file.name, "parts/1.safetensors"}
    shard.write_bytes(b"two")
    assert index.local(tmp_path) != first
    shard.unlink()
    assert index.local(tmp_path) == {"absent": str(shard)}
    (tmp_path / "model.safetensors").write_bytes(b"whole")  # is loaded, whatever the map names
    assert index.local(tmp_path).keys() == {map_file.name, "model.safetensors"}


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_weight_map_counts_by_its_text(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    assert SourceIndex(tmp_path / ".cache").local(tmp_path).keys() == {
        "model.safetensors.index.json"
    }


def test_a_folder_without_content_is_not_there(tmp_path):
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/.lock").touch()
    index = SourceIndex(tmp_path / "cache")
    assert index.local(tmp_path / "mounted") == {"absent": str(tmp_path / "mounted")}


def test_files_beside_the_source_are_named_as_seen_from_it(tmp_path):
    names = ("data/rows.csv", "audio/a.wav")
    for folder in ("here", "there"):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    index = SourceIndex(tmp_path / "cache.json")
    found = {
        index.files([tmp_path / folder / name for name in names], tmp_path / folder / names[0])
        for folder in ("here", "there")
    }
    assert len(found) == 1
    (tmp_path / "there/audio/a.wav").write_text("other")
    there = [tmp_path / "there" / name for name in names]
    assert index.files(there, there[0]) not in found
    assert index.files(there[:1], there[0]) not in found

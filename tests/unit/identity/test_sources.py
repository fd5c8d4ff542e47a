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


def test_a_damaged_cache_of_hashes_is_only_slower(tmp_path):
    (tmp_path / "cache.json").write_text("{")
    (tmp_path / "a.bin").write_bytes(b"one")
    assert len(SourceIndex(tmp_path / "cache.json").file(tmp_path / "a.bin")) == 64


def test_an_absent_source_is_planned_as_absent(tmp_path):
    index = SourceIndex(tmp_path / "cache.json")
    assert index.local(tmp_path / "llm") == {"absent": str(tmp_path / "llm")}
    assert index.files([tmp_path / "x.wav"], tmp_path) is None


def test_a_folder_counts_by_its_content_files(tmp_path):
    for name in ("config.json", "README.md", ".hidden"):
        (tmp_path / name).write_text(name)
    assert SourceIndex(tmp_path / "cache").local(tmp_path).keys() == {"config.json"}

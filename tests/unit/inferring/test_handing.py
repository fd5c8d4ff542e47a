"""What another job answered or merged: its own job takes it, where what vouches for it does."""

from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.inferring.handing import Handing, Merged, Told
from lorascope.planning.told import InferJob, MergeJob
from tests.support.basics import printed

CONTENT = b"a table"
TOLD = Told(3, "a warning", {})


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InferJob:
    """Return a job whose folder is here; the test moves there."""
    monkeypatch.chdir(tmp_path)
    empty = dict.fromkeys(InferJob.__dataclass_fields__)
    return InferJob(**{**empty, "fingerprint": {}, "digest": "d", "id": "A", "folder": "."})


@pytest.fixture
def handing(job: InferJob) -> Handing:
    """Return where the only shard of a job is handed over, with its file."""
    handing = Handing(job, 0, 1)
    handing.file.parent.mkdir()
    handing.give(TOLD, lambda path: path.write_bytes(CONTENT) and None)
    return handing


def test_the_file_is_moved_as_it_is(handing, caplog):
    with caplog.at_level("INFO", "lorascope"):
        assert handing.take(Path("shards", "out"))
    assert Path("shards", "out").read_bytes() == CONTENT
    assert caplog.messages == ["a warning", "3 items, 0 of them answered now"]
    assert not handing.take(Path("again"))


def of_another_commit(handing: Handing, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("lorascope.inferring.handing.other_commit", lambda sources: "moved")


DAMAGE = {
    "no label": lambda handing, patch: handing.label.path.unlink(),
    "no file": lambda handing, patch: handing.file.unlink(),
    "a changed file": lambda handing, patch: handing.file.write_bytes(b"another table"),
    "a torn label": lambda handing, patch: handing.label.path.write_text("{"),
    "a changed label": lambda handing, patch: handing.label.path.write_text(
        handing.label.path.read_text().replace("3", "4")
    ),
    "another commit": of_another_commit,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_of_no_use_is_left(handing, damage, monkeypatch):
    DAMAGE[damage](handing, monkeypatch)
    assert not handing.take(Path("out"))
    assert not Path("out").exists()


def test_a_shard_of_other_settings_or_of_another_number_is_left(job, handing):
    handing.label.digest = "e"
    assert not handing.take(Path("out"))
    assert not Handing(job, 0, 2).take(Path("out"))


def test_a_place_that_cannot_be_written_is_named(handing):
    Path("shards").touch()
    with pytest.raises(UserError, match="shards/out: cannot be written"):
        handing.take(Path("shards", "out"))


SHARDS = [Path("first"), Path("second")]
OUTS = {"predictions": Path("out", "predictions"), "runtime": Path("out", "runtime")}


def written(predictions: Path, runtime: Path) -> None:
    predictions.write_bytes(b"answers")
    runtime.write_bytes(b"seconds")


@pytest.fixture
def merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Merged:
    """Return where the two shards here are handed over, merged; the test moves there."""
    monkeypatch.chdir(tmp_path)
    for shard in SHARDS:
        shard.write_text(shard.name)
    Path("answers").mkdir()
    merged = Merged(Path(), "d")
    merged.give({}, SHARDS, written)
    return merged


def test_what_is_merged_is_moved_as_it_is(merged):
    assert merged.take(SHARDS, OUTS)
    assert {name: path.read_bytes() for name, path in OUTS.items()} == {
        "predictions": b"answers",
        "runtime": b"seconds",
    }
    assert not merged.take(SHARDS, OUTS)


OTHERWISE = {
    "no label": lambda merged: merged.label.path.unlink(),
    "a file that is missing": lambda merged: merged.files["runtime"].unlink(),
    "a changed file": lambda merged: merged.files["predictions"].write_bytes(b"other answers"),
    "another shard": lambda merged: SHARDS[1].write_text("answered anew"),
    "a shard that is missing": lambda merged: SHARDS[1].unlink(),
    "other settings": lambda merged: setattr(merged.label, "digest", "e"),
}


@pytest.mark.parametrize("otherwise", OTHERWISE)
def test_what_was_merged_otherwise_is_left(merged, otherwise):
    OTHERWISE[otherwise](merged)
    assert not merged.take(SHARDS, OUTS)
    assert not Path("out").exists()


def test_shards_in_another_number_or_order_are_left(merged):
    assert not merged.take(SHARDS[:1], OUTS)
    assert not merged.take(SHARDS[::-1], OUTS)


def imported(stage: str, words: list[str]) -> list[str]:
    """Return what is heavy that a stage imports until it is done, of a job in job.json."""
    heavy = {"numpy", "pyarrow", "torch", "pydantic", "importlib.metadata"}
    arguments = ["x", "--job=job.json", "--log=log", *words]
    return printed(f"""
import sys
from lorascope.stages import {stage}
sys.argv = {arguments}
assert {stage}.main() == 0
print(*({heavy} & sys.modules.keys()))
""").split()


def test_taking_a_file_imports_neither_tables_nor_arrays(job, handing):
    Path("job.json").write_text(job.json)
    assert imported("infer", ["--shard=0", "--shards=1", "--out=out"]) == []
    assert Path("out").read_bytes() == CONTENT


def test_taking_what_is_merged_imports_neither_tables_nor_arrays(merged):
    told = MergeJob({}, "d", "A", "items", "items", [*map(str, SHARDS)], None)
    Path("job.json").write_text(told.json)
    assert imported("merge", ["--runtime=runtime", "--out=predictions"]) == []
    assert Path("predictions").read_bytes() == b"answers"
    assert not Path("answers").exists()

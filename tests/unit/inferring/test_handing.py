"""A shard that another job answered: its own job takes the file, where what vouches for it does."""

from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.inferring.handing import Handing, Told
from lorascope.planning.infer import InferJob
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
    "no label": lambda handing, patch: handing.label.unlink(),
    "no file": lambda handing, patch: handing.file.unlink(),
    "a changed file": lambda handing, patch: handing.file.write_bytes(b"another table"),
    "a torn label": lambda handing, patch: handing.label.write_text("{"),
    "a changed label": lambda handing, patch: handing.label.write_text(
        handing.label.read_text().replace("3", "4")
    ),
    "another commit": of_another_commit,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_of_no_use_is_left(handing, damage, monkeypatch):
    DAMAGE[damage](handing, monkeypatch)
    assert not handing.take(Path("out"))
    assert not Path("out").exists()


def test_a_shard_of_other_settings_or_of_another_number_is_left(job, handing):
    handing.digest = "e"
    assert not handing.take(Path("out"))
    assert not Handing(job, 0, 2).take(Path("out"))


def test_a_place_that_cannot_be_written_is_named(handing):
    Path("shards").touch()
    with pytest.raises(UserError, match="shards/out: cannot be written"):
        handing.take(Path("shards", "out"))


def test_taking_a_file_imports_neither_tables_nor_arrays(job, handing):
    Path("job.json").write_text(job.json)
    words = ["x", "--job=job.json", "--shard=0", "--shards=1", "--out=out", "--log=log"]
    heavy = {"numpy", "pyarrow", "torch", "pydantic", "importlib.metadata"}
    said = printed(f"""
import sys
from lorascope.stages import infer
sys.argv = {words}
assert infer.main() == 0
print(*({heavy} & sys.modules.keys()))
""")
    assert said.split() == []
    assert Path("out").read_bytes() == CONTENT

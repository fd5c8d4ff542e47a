import pyarrow as pa
import pytest

from lorascope.errors import UserError
from lorascope.storage.records import (
    atomic_path,
    read_json,
    read_table,
    table_note,
    write_json,
    write_table,
)
from tests.support.basics import flipped

TABLE = pa.table({"item_id": [f"animal-single/{n}" for n in range(100)], "correct": [True] * 100})


def test_a_table_comes_back_with_its_note(tmp_path):
    write_table(tmp_path / "t.parquet", TABLE, "scores", "0" * 12, {"lora_scaling": 4})
    table = read_table(tmp_path / "t.parquet", "scores", "0" * 12)
    assert table.to_pydict() == TABLE.to_pydict()
    assert table_note(table) == {"lora_scaling": 4}
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip", "text"])
def test_a_damaged_table_is_moved_aside_with_a_message(tmp_path, damage):
    path = tmp_path / "t.parquet"
    write_table(path, TABLE, "scores", "0" * 12)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 4] ^= 0xFF
    path.write_bytes(
        {"truncate": bytes(data[:-20]), "empty": b"", "flip": bytes(data), "text": b"hello"}[damage]
    )
    with pytest.raises(UserError, match=r"t\.parquet: .*moved aside.*Run snakemake again"):
        read_table(path, "scores", "0" * 12)
    assert not path.exists()
    assert len(list(tmp_path.glob("t.parquet.unusable-*"))) == 1


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"item_id": ["a/1", "a/2"], "correct": [True, False], "tokens": [[1], [2]]})
    write_table(path, table, "scores", "0" * 12, {"lora_scaling": 4.0})
    for place in flipped(path):
        try:
            found = read_table(path, "scores", "0" * 12)
        except UserError:
            continue
        assert found.to_pydict() == table.to_pydict(), f"byte {place}"
        assert table_note(found) == {"lora_scaling": 4.0}, f"byte {place}"


@pytest.mark.parametrize(
    ("kind", "digest", "message"),
    [("predictions", "0" * 12, "holds scores"), ("scores", "1" * 12, "other settings")],
)
def test_a_table_put_in_place_by_hand_is_moved_aside(tmp_path, kind, digest, message):
    write_table(tmp_path / "t.parquet", TABLE, "scores", "0" * 12)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "t.parquet", kind, digest)
    assert not (tmp_path / "t.parquet").exists()


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"t\.parquet: not found"):
        read_table(tmp_path / "t.parquet", "scores")


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_survives_a_write_that_fails(tmp_path):
    (tmp_path / "a.txt").write_text("whole")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_damaged_json_is_moved_aside(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json") == {"a": 1}
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(UserError, match="moved aside"):
        read_json(tmp_path / "a.json")

"""A trained adapter's folder: what is not as the training wrote it is moved aside."""

import re
import shutil
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.storage.adapters import FILES, check_adapter, write_list
from lorascope.storage.records import checked_document, write_document
from tests.support.basics import flipped

DIGEST, OTHER = "0" * 12, "1" * 12
NAMES = ["adapter_config.json", "adapter_model.safetensors", "bridge.safetensors"]


def write(folder: Path, digest: str = DIGEST) -> Path:
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_text(f"{name} of {digest}")
    write_list(folder, digest, NAMES)
    return folder


def assert_moved_aside(folder: Path) -> None:
    name = re.escape(str(folder))
    with pytest.raises(UserError, match=rf"^{name}: .*moved aside.*Run snakemake"):
        check_adapter(folder, DIGEST)
    assert not folder.exists()
    assert len(list(folder.parent.glob(f"{folder.name}.unusable-*"))) == 1
    with pytest.raises(UserError, match=rf"{folder}: no whole adapter; run snakemake"):
        check_adapter(folder, DIGEST)


def test_a_whole_adapter_is_taken_with_what_else_lies_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine")
    (folder / "notes.md").write_text("mine")
    (folder / "checkpoints").mkdir()
    assert check_adapter(folder, DIGEST).keys() == {*NAMES}


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "lose", "swap"])
@pytest.mark.parametrize("name", [*NAMES, FILES])
def test_each_file_is_checked(tmp_path: Path, name: str, damage: str) -> None:
    folder, other = write(tmp_path / "mine"), write(tmp_path / "other", OTHER)
    path = folder / name
    data = path.read_bytes()
    if damage == "lose" and name == FILES:
        pytest.skip("it counts as not trained then")
    if damage == "lose":
        path.unlink()
    elif damage == "swap":
        shutil.copy(other / name, path)
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"flip": flipped, "truncate": data[:middle], "empty": b""}[damage])
    assert_moved_aside(folder)


def test_another_adapter_in_its_place(tmp_path: Path) -> None:
    write(tmp_path / "other", OTHER).rename(tmp_path / "mine")
    assert_moved_aside(tmp_path / "mine")


def test_weights_that_the_training_did_not_write(tmp_path: Path) -> None:
    """A bridge would be taken for one that was trained along."""
    folder = write(tmp_path / "mine")
    (folder / "surplus.safetensors").write_text("x")
    with pytest.raises(UserError, match=r"surplus\.safetensors: not of this training.*moved aside"):
        check_adapter(folder, DIGEST)
    assert check_adapter(folder, DIGEST)


def test_no_flipped_bit_of_a_document_goes_unnoticed(tmp_path: Path) -> None:
    path, content = tmp_path / "a.json", {"files": {"a": "01", "b": [1.5, None, True]}}
    write_document(path, "adapter", DIGEST, content)
    for place in flipped(path):
        try:
            assert checked_document(path, "adapter", DIGEST) == content, place
        except ValueError:
            continue

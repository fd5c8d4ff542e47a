import numpy as np
import pytest

from lorascope.errors import UserError
from lorascope.storage.features import read_features, read_lost, write_features
from tests.support.basics import flipped

CLIPS = {name: np.full((3, 4), value, np.float32) for value, name in enumerate(["a", "b", "c"])}


def test_only_the_wanted_clips_are_read(tmp_path):
    write_features(tmp_path / "f.safetensors", CLIPS, "0" * 12)
    held = read_features(tmp_path / "f.safetensors", "0" * 12, {"b", "z"})
    assert held.keys() == {"b"}
    np.testing.assert_array_equal(held["b"], CLIPS["b"])
    assert read_features(tmp_path / "f.safetensors", "0" * 12).keys() == CLIPS.keys()


def test_seconds_that_were_not_heard_are_noted(tmp_path):
    path = tmp_path / "f.safetensors"
    write_features(path, CLIPS, "0" * 12, {"a": 0.0, "b": 1.5, "c": 0.25})
    assert read_lost(path, "0" * 12) == {"b": 1.5, "c": 0.25}
    assert read_features(path, "0" * 12).keys() == CLIPS.keys()
    write_features(path, CLIPS, "0" * 12)
    assert read_lost(path, "0" * 12) == {}


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_damaged_features_are_moved_aside(tmp_path, damage):
    path = tmp_path / "f.safetensors"
    write_features(path, CLIPS, "0" * 12)
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data[:-5] if damage == "truncate" else data)
    with pytest.raises(UserError, match="moved aside"):
        read_features(path, "0" * 12)
    assert not path.exists()


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    path = tmp_path / "f.safetensors"
    write_features(path, CLIPS, "0" * 12)
    for place in flipped(path):
        try:
            held = read_features(path, "0" * 12)
        except UserError:
            continue
        assert held.keys() == CLIPS.keys(), f"byte {place}"
        for name, array in held.items():
            np.testing.assert_array_equal(array, CLIPS[name])


def test_features_of_other_settings_are_moved_aside(tmp_path):
    write_features(tmp_path / "f.safetensors", CLIPS, "0" * 12)
    with pytest.raises(UserError, match="other settings"):
        read_features(tmp_path / "f.safetensors", "1" * 12)


def test_missing_features_are_named(tmp_path):
    with pytest.raises(UserError, match=r"f\.safetensors: not found"):
        read_features(tmp_path / "f.safetensors", "0" * 12)

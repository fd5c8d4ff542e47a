"""Clips and questions that no benchmark has: pipes, folders, headers that promise the world."""

import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lorascope.benchmarks import jsonl
from lorascope.benchmarks.audio import MOST_SECONDS, read_clip
from lorascope.benchmarks.sakura import items as sakura
from lorascope.benchmarks.squad import items as squad
from lorascope.errors import UserError
from tests.fuzzing.data import SAKURA, SQUAD
from tests.support.lab import write_track


def refused(read, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        read(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def write_noise(path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1) -> Path:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate)
    return path


# ------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize("rate", [0, 1, 999, 384_001, 15_999_991, 2**31 - 1])
def test_a_sampling_rate_that_nobody_records_is_refused_before_resampling(tmp_path, rate):
    path = write_noise(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[24:32] = struct.pack("<II", rate, 2 * rate % 2**32)
    path.write_bytes(data)
    message = refused(read_clip, path)
    assert str(path) in message
    if rate > 1:
        assert f"a sampling rate of {rate:,} Hz; 1,000 to 384,000 Hz are read" in message


def test_a_flac_that_promises_2_to_the_36_samples_takes_no_memory(tmp_path):
    path = write_noise(tmp_path / "a.flac")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # the number of samples: 4 bits here, and 32 in the next bytes
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    tracemalloc.start()
    message = refused(read_clip, path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "its header promises 4,294,967 s of audio, more than the 3,600 s" in message
    assert most < 10**7


def test_an_hour_is_read_and_a_second_more_is_not(tmp_path):
    for seconds in (MOST_SECONDS, MOST_SECONDS + 1):
        soundfile.write(tmp_path / f"{seconds}.flac", np.zeros(seconds * 1000, np.int16), 1000)
    assert len(read_clip(tmp_path / f"{MOST_SECONDS}.flac", 1000)) == MOST_SECONDS * 1000
    assert "3,601 s" in refused(read_clip, tmp_path / f"{MOST_SECONDS + 1}.flac")


def test_many_channels_give_the_first_one_whole(tmp_path):
    path = write_noise(tmp_path / "a.wav", seconds=40, channels=3)
    whole, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(read_clip(path), whole[:, 0])


def test_a_folder_or_a_pipe_for_a_clip_is_refused(tmp_path):
    (tmp_path / "a.wav").mkdir()
    assert "cannot read the audio file: Is a directory" in refused(read_clip, tmp_path / "a.wav")
    os.mkfifo(tmp_path / "b.wav")
    assert "is a pipe, where a file is expected" in refused(read_clip, tmp_path / "b.wav")
    assert "is a device" in refused(read_clip, Path("/dev/zero"))


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    assert "holds a NUL character" in refused(read_clip, tmp_path / "a\0.wav")
    assert "File name too long" in refused(read_clip, tmp_path / ("a" * 300))


# --------------------------------------------------------------------------------- questions


def test_a_pipe_for_questions_is_not_waited_for(tmp_path):
    write_track(tmp_path, "Animal", ["cat", "dog"])
    metadata = tmp_path / "data/Animal/metadata.csv"
    metadata.unlink()
    os.mkfifo(metadata)
    os.mkfifo(tmp_path / "dev-v1.1.json")
    os.mkfifo(tmp_path / "rows.jsonl")
    for told in (
        refused(sakura.count_items, tmp_path, SAKURA, None),
        refused(squad.count_items, tmp_path, SQUAD, None),
        refused(jsonl.read, {"limit": None}, tmp_path / "rows.jsonl"),
    ):
        assert "is a pipe, where a file is expected" in told


@pytest.mark.parametrize("text", ["[" * 5000, '{"data": "\\ud800"}', '{"a": ' + "9" * 5000 + "}"])
def test_json_that_cannot_be_kept_is_refused(tmp_path, text):
    write_track(tmp_path, "Animal", ["cat", "dog"])
    (tmp_path / "data/Animal/metadata.csv").unlink()
    for name in ("data/Animal/metadata.json", "dev-v1.1.json", "rows.jsonl"):
        (tmp_path / name).write_text(text)
    assert "metadata.json: not JSON" in refused(sakura.build_items, tmp_path, SAKURA, None)
    assert "dev-v1.1.json: not JSON" in refused(squad.build_items, tmp_path, SQUAD, None)
    assert "rows.jsonl:1: not JSON" in refused(jsonl.read, {"limit": None}, tmp_path / "rows.jsonl")


def test_a_whole_pair_of_surrogates_is_a_character(tmp_path):
    row = {"prompt": "😀", "response": "b"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    assert "\\ud83d" in (tmp_path / "rows.jsonl").read_text()
    (example,) = jsonl.read({"limit": None}, tmp_path / "rows.jsonl")
    assert example.prompt == "😀"

"""How much of a clip a processor passes on, found by trying, and what its files declare."""

import json

import numpy as np
import pytest
import torch

from lorascope.models.hf_audio import hears
from lorascope.models.hf_audio.encoder import load
from tests.support.audio_cases import settings_of
from tests.support.tiny_audio_models import SECONDS, available, build

RATE = 16000


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("encode_once", [True, False])
@pytest.mark.parametrize("kind", available())
def test_what_is_heard(kind, encode_once, tmp_path):
    folder = build(kind, tmp_path / kind)
    limit = {"qwen2_audio": SECONDS, "qwen2_5_omni": SECONDS, "audioflamingo3": 6}.get(kind)
    if kind == "audioflamingo3":  # of windows of 2 s
        edit(folder / "processor_config.json", max_audio_len=7)
    assert hears({"model": folder}) == limit
    assert hears({}) is None
    encoder = load(settings_of(folder) | {"encode_once": encode_once}, "cpu")
    most = limit * RATE if limit else 10**9
    for samples in (RATE // 2, 10 * RATE, 3 * RATE, most + RATE if limit else 11 * RATE, RATE):
        assert encoder.hears(samples) == min(samples, most)


def test_nothing_beyond_it_changes_what_is_encoded(tmp_path):
    encoder = load(settings_of(build("qwen2_audio", tmp_path)), "cpu")
    heard = encoder.hears(4 * RATE)
    wave = np.random.default_rng(1).standard_normal(4 * RATE).astype(np.float32) / 10
    silent_after, changed_before = wave.copy(), wave.copy()
    silent_after[heard:] = 0
    changed_before[heard - 1600 : heard] = 0
    whole, same, other = encoder.encode([wave, silent_after, changed_before])
    assert torch.equal(whole, same)
    assert not torch.equal(whole, other)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": "[]"},
        {"config.json": '{"model_type": "qwen2_audio"}', "processor_config.json": "{"},
        {"processor_config.json": '{"max_audio_len": "long"}'},
        {"processor_config.json": '{"max_audio_len": 7, "feature_extractor": [1]}'},
        {"processor_config.json": '{"max_audio_len": 7, "feature_extractor": {"chunk_length": 0}}'},
    ],
)
def test_files_that_say_nothing(files, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert hears({"model": tmp_path}) in (None, 30.0)  # Whisper's own chunk

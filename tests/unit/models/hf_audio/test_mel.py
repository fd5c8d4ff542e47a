"""The mel spectrogram of Granite Speech, against values that torchaudio gave."""

import json

import pytest
import torch

from lorascope.models.hf_audio.mel import MelSpectrogram
from tests.support.basics import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/granite_mel.json").read_text())


def test_values_are_those_of_torchaudio() -> None:
    time = torch.arange(4000) / 16000
    chirp = 0.4 * torch.sin(2 * torch.pi * (200 * time + 6000 * time * time))
    wave = chirp + 0.1 * torch.sin(2 * torch.pi * 3100 * time)
    found = MelSpectrogram(16000, n_fft=512, win_length=400, hop_length=160, n_mels=80)(wave)
    assert found.shape == (80, 26)
    for mel, frame, value in GOLDEN["values"]:
        assert found[mel, frame].item() == pytest.approx(value, rel=1e-4, abs=1e-6)

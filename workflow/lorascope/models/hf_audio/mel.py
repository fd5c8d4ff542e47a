"""Mel spectrograms for Granite Speech, whose feature extractor wants them from torchaudio.

torchaudio is built for one version of torch and one kind of GPU; where it is not installed, this
takes the place of the one transform that is needed.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank
from transformers.models.granite_speech import feature_extraction_granite_speech as granite
from transformers.utils.import_utils import is_torchaudio_available


class MelSpectrogram(nn.Module):
    """torchaudio.transforms.MelSpectrogram with its defaults: power 2, HTK's scale, no norm."""

    def __init__(
        self, sample_rate: int, n_fft: int, win_length: int, hop_length: int, n_mels: int
    ) -> None:
        super().__init__()
        self.n_fft, self.win_length, self.hop_length = n_fft, win_length, hop_length
        filters = mel_filter_bank(
            n_fft // 2 + 1, n_mels, 0.0, sample_rate / 2, sample_rate, norm=None, mel_scale="htk"
        )
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(win_length))
        self.register_buffer("filters", torch.from_numpy(filters).float())

    def forward(self, waves: Tensor) -> Tensor:
        """Return the spectrogram [..., n_mels, frames] of waveforms [..., samples]."""
        spectrum = torch.stft(
            waves, self.n_fft, self.hop_length, self.win_length, self.window, return_complex=True
        )
        power = spectrum.abs().square()
        return (power.transpose(-1, -2) @ self.filters).transpose(-1, -2)


def serve_granite() -> None:
    """Let Granite Speech's feature extractor work where torchaudio is not installed."""
    if is_torchaudio_available():
        return
    module: Any = granite
    module.torchaudio = SimpleNamespace(transforms=SimpleNamespace(MelSpectrogram=MelSpectrogram))
    # It asks for the package before each use.
    module.requires_backends = lambda *_: None

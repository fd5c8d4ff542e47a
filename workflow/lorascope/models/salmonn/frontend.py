"""From a waveform to what Whisper and BEATs take, one clip at a time."""

import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, window_function
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor

from lorascope.errors import UserError
from lorascope.models.weights import UNREADABLE, first_line
from lorascope.storage.files import read_object

SAMPLING_RATE = 16000
FBANK_MEAN, FBANK_STD = 15.41663, 6.55582  # of AudioSet, from BEATs' own preprocessing
FRAME, HOP, FFT = 400, 160, 512  # samples
PREEMPHASIS, MEL_FLOOR = 0.97, 1.192092955078125e-07


class Clip(NamedTuple):
    """A clip as the encoders take it: Whisper's [mels, frames] and BEATs' [frames, 128]."""

    spectrogram: Tensor
    fbank: Tensor


class FrontEnd:
    """Spectrograms of 16 kHz mono clips.

    ``preprocessor_config`` is the file of that name in Whisper's folder; it decides the chunk's
    length, to which clips are cut, and the hop.
    """

    def __init__(self, preprocessor_config: Path) -> None:
        given = read_object(preprocessor_config)
        try:
            self.whisper = WhisperFeatureExtractor(**given)
        except UNREADABLE as error:
            raise UserError(f"{preprocessor_config}: {first_line(error)}") from error
        if self.whisper.sampling_rate != SAMPLING_RATE:
            raise UserError(
                f"{preprocessor_config}: sampling_rate is {self.whisper.sampling_rate}; SALMONN "
                f"takes {SAMPLING_RATE}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Mels and frames of a spectrogram."""
        return self.whisper.feature_size, self.whisper.nb_max_frames

    @property
    def chunk_length(self) -> float:
        """Seconds of audio that Whisper takes."""
        return self.whisper.chunk_length

    def clip(self, wave: NDArray[np.float32]) -> Clip:
        """Return what the encoders take of a clip [samples], trimmed."""
        trimmed = self.trim(wave)
        return Clip(self.spectrogram(trimmed), fbank(trimmed))

    def trim(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut a clip [samples] to the chunk's length, or zero-pad it to one second."""
        if wave.ndim != 1:
            raise ValueError(f"a mono waveform has one axis, this one {wave.ndim}")
        wave = wave[: self.whisper.n_samples]
        return np.pad(wave, (0, max(0, SAMPLING_RATE - len(wave))))

    def spectrogram(self, wave: NDArray[np.float32]) -> Tensor:
        """Return Whisper's log-mel spectrogram [mels, frames], zero-padded to the chunk."""
        features = self.whisper(wave, sampling_rate=SAMPLING_RATE, return_tensors="pt")
        return features["input_features"][0]


def fbank(wave: NDArray[np.float32]) -> Tensor:
    """Return BEATs' normalised filter bank [frames, 128] of a 16 kHz clip [samples].

    Kaldi's: frames of 25 ms every 10 ms without padding, DC removed, pre-emphasis 0.97, povey
    window, 128 mels from 20 Hz to 8 kHz. As in the published code, computed in float64; bit for bit
    what transformers' ``spectrogram`` gives, which takes several times as long, frame by frame.
    """
    window, mels = _kaldi()
    frames = sliding_window_view(wave.astype(np.float64) * 2**15, FRAME)[::HOP].copy()
    frames -= frames.mean(axis=1, keepdims=True)
    frames[:, 1:] -= PREEMPHASIS * frames[:, :-1]
    frames[:, 0] *= 1 - PREEMPHASIS
    frames *= window
    spectrum = np.fft.rfft(frames, FFT).astype(np.complex64)
    power = np.abs(spectrum, dtype=np.float64) ** 2.0
    log_mel = np.log(np.maximum(MEL_FLOOR, mels.T @ power.T)).astype(np.float32)
    return torch.from_numpy(((log_mel.T - FBANK_MEAN) / (2 * FBANK_STD)).astype(np.float32))


@cache
def _kaldi() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the window and the mel filters."""
    with warnings.catch_warnings():
        # Kaldi's 128 filters leave the lowest empty; BEATs was trained so.
        warnings.filterwarnings("ignore", message="At least one mel filter has all zero values")
        mels = mel_filter_bank(
            num_frequency_bins=FFT // 2 + 1,
            num_mel_filters=128,
            min_frequency=20,
            max_frequency=8000,
            sampling_rate=SAMPLING_RATE,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    return window_function(FRAME, "povey", periodic=False), mels

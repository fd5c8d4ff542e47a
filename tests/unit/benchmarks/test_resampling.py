"""What resampling keeps and what it removes, measured on tones."""

import numpy as np
import pytest

from lorascope.benchmarks.audio import MOST, RATE, _proportion, resample
from lorascope.errors import UserError

RATES = [48000, 44100, 32000, 24000, 22050, 8000]
SECONDS = 0.5


def tone(frequency: float, rate: int, samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(samples) / rate + 0.3)


def decibels(wave: np.ndarray) -> float:
    """Return the highest level in the middle of a wave; a tone of full scale has 0."""
    quarter = len(wave) // 4
    return 20 * np.log10(np.abs(wave[quarter:-quarter]).max() + 1e-12)


def resampled(frequency: float, rate: int) -> np.ndarray:
    wave = tone(frequency, rate, round(SECONDS * rate)).astype(np.float32)
    found = resample(wave, rate, RATE)
    assert found.dtype == np.float32
    assert len(found) == SECONDS * RATE
    return found.astype(np.float64)


@pytest.mark.parametrize("rate", [*RATES, 96000, 11025, 44056])
def test_the_pass_band_is_flat_and_in_phase(rate):
    highest = min(rate, RATE) / 2
    for part in (0.01, 0.3, 0.6, 0.8, 0.9, 0.92):
        frequency = part * highest
        found = resampled(frequency, rate)
        assert decibels(found - tone(frequency, RATE, len(found))) < -90, part


@pytest.mark.parametrize("rate", [r for r in RATES if r > RATE])
def test_what_the_new_rate_cannot_hold_is_gone(rate):
    for frequency in (8005, 8400, 9000, 10000, 10900, 0.499 * rate):
        assert decibels(resampled(frequency, rate)) < -95, frequency


@pytest.mark.parametrize("rate", [8000, 11025])
def test_no_image_of_a_low_rate_is_left(rate):
    found = resampled(0.9 * rate / 2, rate)
    spectrum = np.abs(np.fft.rfft(found * np.blackman(len(found))))
    frequencies = np.fft.rfftfreq(len(found), 1 / RATE)
    images = spectrum[frequencies > 1.02 * rate / 2]
    assert 20 * np.log10(images.max() / spectrum.max()) < -95


@pytest.mark.parametrize("rate", [*RATES, 48016, 96010])
@pytest.mark.parametrize("samples", [1, 2, 999, 1000, 1001])
def test_lengths(rate, samples):
    assert len(resample(np.ones(samples, np.float32), rate, RATE)) == -(-samples * RATE // rate)


def test_the_right_rate_is_not_touched():
    wave = tone(7999, RATE, 100).astype(np.float32)
    assert resample(wave, RATE, RATE) is wave


@pytest.mark.parametrize("rate", [47999, 50000, 95999, 207998, 655350, 15_999_991])
def test_odd_rates_have_small_filters_and_keep_time(rate):
    up, down = _proportion(rate, RATE)
    assert max(up, down) <= MOST
    drift = 60 * abs(up * rate / (down * RATE) - 1)
    assert drift < 1e-3
    assert drift < 1e-12 or rate > MOST


def test_a_rate_of_nonsense_is_refused():
    with pytest.raises(UserError, match="3 Hz cannot be taken to 16000 Hz"):
        resample(np.zeros(9, np.float32), 3, RATE)

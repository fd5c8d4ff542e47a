"""Nine animal sounds by signal processing: excitation, formants, envelope, repetition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter

SAMPLING_RATE = 16_000

Wave = npt.NDArray[np.float64]
Rng = np.random.Generator


def _samples(seconds: float) -> int:
    return int(SAMPLING_RATE * seconds)


def _contour(points: Sequence[float], count: int) -> Wave:
    """A pitch contour in Hz through evenly spaced `points`."""
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(points)), points)


def _harmonics(pitch: Wave, rng: Rng, count: int, tilt: float, roughness: float = 0.0) -> Wave:
    """Sum `count` harmonics of `pitch` (Hz), the k-th weighted k**-tilt; a rough pitch wanders."""
    walk = np.cumsum(rng.standard_normal(len(pitch))) / np.sqrt(len(pitch))
    pitch = pitch * (1 + 0.05 * roughness * walk)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLING_RATE
    wave = np.zeros(len(pitch))
    for k in range(1, count + 1):
        partial = np.sin(k * phase + rng.uniform(0, 2 * np.pi)) / k**tilt
        wave += np.where(pitch * k < SAMPLING_RATE / 2, partial, 0)
    return wave


def _formants(wave: Wave, frequencies: Sequence[float], width: float) -> Wave:
    """Sum band passes around `frequencies` (Hz), each `width` of its centre to either side."""
    nyquist = SAMPLING_RATE / 2
    bands = [
        [max(40, f * (1 - width)) / nyquist, min(nyquist - 200, f * (1 + width)) / nyquist]
        for f in frequencies
    ]
    return sum(lfilter(*butter(1, band, "band"), wave) for band in bands)


def _envelope(count: int, attack: float, decay: float) -> Wave:
    """Linear rise and fall over the fractions `attack` and `decay` of the sound."""
    time = np.linspace(0, 1, count)
    return np.minimum(1, time / attack) * np.minimum(1, (1 - time) / decay)


def _gap(rng: Rng, shortest: float, longest: float) -> Wave:
    return np.zeros(_samples(rng.uniform(shortest, longest)))


def _dog(rng: Rng, size: float) -> list[Wave]:
    parts = []
    for _ in range(rng.integers(2, 5)):
        count = _samples(rng.uniform(0.12, 0.22))
        bark = _harmonics(_contour([330 * size, 480 * size, 260 * size], count), rng, 25, 0.6, 1)
        bark = _formants(bark + rng.standard_normal(count), [700 * size, 1300 * size], 0.35)
        parts += [bark * _envelope(count, 0.06, 0.6), _gap(rng, 0.12, 0.3)]
    return parts


def _cat(rng: Rng, size: float) -> list[Wave]:
    count = _samples(rng.uniform(0.6, 1.1))
    pitch = _contour([480 * size, 720 * size, 680 * size, 430 * size], count)
    meow = _formants(_harmonics(pitch, rng, 14, 0.7), [900 * size, 1900 * size, 3200 * size], 0.4)
    return [meow * _envelope(count, 0.2, 0.4)]


def _cow(rng: Rng, size: float) -> list[Wave]:
    count = _samples(rng.uniform(1.1, 1.8))
    pitch = _contour([95 * size, 140 * size, 145 * size, 110 * size], count)
    moo = _formants(_harmonics(pitch, rng, 40, 0.8, 0.5), [280 * size, 620 * size], 0.35)
    return [moo * _envelope(count, 0.15, 0.25)]


def _pig(rng: Rng, size: float) -> list[Wave]:
    parts = []
    for _ in range(rng.integers(3, 6)):
        count = _samples(rng.uniform(0.12, 0.25))
        flutter = 2 * np.pi * rng.uniform(55, 90) * size * np.arange(count) / SAMPLING_RATE
        grunt = rng.standard_normal(count) * (1 + 0.9 * np.sign(np.sin(flutter)))
        grunt = _formants(grunt, [450 * size, 1100 * size, 2200 * size], 0.3)
        parts += [grunt * _envelope(count, 0.15, 0.4), _gap(rng, 0.05, 0.2)]
    return parts


def _sheep(rng: Rng, size: float) -> list[Wave]:
    count = _samples(rng.uniform(0.8, 1.3))
    bleat = np.sin(2 * np.pi * rng.uniform(6, 10) * np.arange(count) / SAMPLING_RATE)
    baa = _harmonics(260 * size * (1 + 0.06 * bleat), rng, 25, 0.5, 0.5) * (1 + 0.6 * bleat)
    baa = _formants(baa, [750 * size, 1250 * size, 2600 * size], 0.3)
    return [baa * _envelope(count, 0.05, 0.2)]


def _frog(rng: Rng, size: float) -> list[Wave]:
    parts = []
    for _ in range(rng.integers(2, 5)):
        count = _samples(rng.uniform(0.2, 0.4))
        time = 2 * np.pi * np.arange(count) / SAMPLING_RATE
        pulses = np.maximum(0, np.sin(rng.uniform(28, 50) * time)) ** 3
        croak = np.sin(rng.uniform(550, 950) * size * time) + 0.3 * np.sin(1700 * size * time)
        parts += [croak * pulses * _envelope(count, 0.3, 0.3), _gap(rng, 0.1, 0.3)]
    return parts


def _hen(rng: Rng, size: float) -> list[Wave]:
    parts = []
    for _ in range(rng.integers(5, 9)):
        count = _samples(rng.uniform(0.05, 0.09))
        cluck = _harmonics(_contour([750 * size, 900 * size, 600 * size], count), rng, 8, 0.8)
        cluck = _formants(cluck + 0.4 * rng.standard_normal(count), [1000 * size, 2000 * size], 0.4)
        parts += [cluck * _envelope(count, 0.1, 0.5), _gap(rng, 0.06, 0.18)]
    if rng.random() < 0.4:
        count = _samples(0.25)
        squawk = _harmonics(_contour([800 * size, 1150 * size, 800 * size], count), rng, 8, 0.7)
        parts.append(
            _formants(squawk, [1200 * size, 2400 * size], 0.4) * _envelope(count, 0.1, 0.4)
        )
    return parts


def _rooster(rng: Rng, size: float) -> list[Wave]:
    parts = []
    for seconds, start, end in (
        (0.14, 520, 600),
        (0.1, 640, 680),
        (0.2, 700, 820),
        (0.65, 880, 560),
    ):
        count = _samples(seconds * rng.uniform(0.8, 1.2))
        pitch = _contour([start * size, end * 1.05 * size, end * size], count)
        crow = _harmonics(pitch, rng, 12, 0.4, 0.6)
        crow = _formants(crow, [1100 * size, 2200 * size, 3300 * size], 0.4)
        parts += [crow * _envelope(count, 0.08, 0.25), _gap(rng, 0.01, 0.04)]
    return parts


def _crow(rng: Rng, size: float) -> list[Wave]:
    parts = []
    for _ in range(rng.integers(2, 4)):
        count = _samples(rng.uniform(0.25, 0.4))
        caw = _harmonics(_contour([480 * size, 560 * size, 430 * size], count), rng, 20, 0.3, 3)
        caw = _formants(
            caw * (1 + 0.8 * rng.standard_normal(count)), [1400 * size, 2300 * size], 0.3
        )
        parts += [caw * _envelope(count, 0.1, 0.3), _gap(rng, 0.12, 0.3)]
    return parts


_SOUNDS: dict[str, Callable[[Rng, float], list[Wave]]] = {
    "dog": _dog,
    "cat": _cat,
    "cow": _cow,
    "pig": _pig,
    "sheep": _sheep,
    "frog": _frog,
    "hen": _hen,
    "rooster": _rooster,
    "crow": _crow,
}
ANIMALS = tuple(_SOUNDS)


def animal_sound(animal: str, rng: Rng) -> npt.NDArray[np.float32]:
    """One call of `animal` by a body of random size: float32 [n] at 16 kHz, of any level."""
    return np.concatenate(_SOUNDS[animal](rng, rng.uniform(0.82, 1.22))).astype(np.float32)

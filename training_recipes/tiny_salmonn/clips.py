"""Labelled two-second clips of the four tracks, for training and for the test split."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import lfilter

from training_recipes.tiny_salmonn.animals import ANIMALS, animal_sound
from training_recipes.tiny_salmonn.espeak import Espeak
from training_recipes.tiny_salmonn.speech import (
    EMOTIONS,
    GENDERS,
    LANGUAGES,
    NEUTRAL,
    VOICES,
    speak,
)

SAMPLING_RATE = 16_000
CLIP_SAMPLES = 2 * SAMPLING_RATE
CODEC = {"format": "OGG", "subtype": "OPUS"}  # what the test split is stored in
CODEC_SHARE = 0.1  # of the training clips, so that the codec is nothing new to the model

LABELS: dict[str, tuple[str, ...]] = {
    "animal": ANIMALS,
    "emotion": tuple(EMOTIONS),
    "gender": GENDERS,
    "language": LANGUAGES,
}
CLIPS_PER_LABEL = {"animal": 130, "emotion": 400, "gender": 300, "language": 300}

Samples = npt.NDArray[np.int16]
Rng = np.random.Generator


@dataclass(frozen=True)
class Clip:
    """A clip and all that is known about it; empty strings where an attribute does not apply."""

    track: str
    label: str
    samples: Samples  # [32000] at 16 kHz
    gender: str = ""
    language: str = ""
    emotion: str = ""
    voice: str = ""

    def attributes(self) -> dict[str, str]:
        """What the encoders learn to hear."""
        return {
            "animal": self.label if self.track == "animal" else "none",
            "emotion": self.emotion,
            "gender": self.gender,
            "language": self.language,
            "voice": self.voice,
        }


def encode_clip(samples: Samples) -> bytes:
    """The clip as an Ogg Opus file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLING_RATE, **CODEC)
    return buffer.getvalue()


def decode_clip(data: bytes) -> Samples:
    """The samples of an audio file of two seconds at 16 kHz, as int16."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    if rate != SAMPLING_RATE or samples.shape != (CLIP_SAMPLES,):
        raise ValueError(f"a clip of {samples.shape} samples at {rate} Hz, not two mono seconds")
    return samples


def make_clips(split: str, seed: int, per_label: dict[str, int]) -> Iterator[Clip]:
    """Synthesise `per_label[track]` clips of every label of every track.

    They repeat for a seed if this runs in a fresh process (see Espeak). Training clips vary more
    than test clips: random crops, spectral tilt, and for some a pass through the codec.
    """
    rng = np.random.default_rng(seed)
    synthesiser = Espeak(seed + 1)
    for track, labels in LABELS.items():
        for label in labels:
            for _ in range(per_label[track]):
                yield _make_clip(track, label, split, synthesiser, rng)


def _make_clip(track: str, label: str, split: str, synthesiser: Espeak, rng: Rng) -> Clip:
    if track == "animal":
        return Clip(track, label, _finish(animal_sound(label, rng), split, rng))
    gender = label if track == "gender" else str(rng.choice(GENDERS))
    language = label if track == "language" else "English"
    emotion = label if track == "emotion" else ""
    voice = str(rng.choice(VOICES[split][gender]))
    prosody = EMOTIONS.get(emotion, NEUTRAL)
    wave = speak(synthesiser, language, voice, prosody, split, rng)
    if split == "train":
        if len(wave) > CLIP_SAMPLES and rng.random() < 0.6:
            wave = wave[int(rng.integers(0, len(wave) - CLIP_SAMPLES + 1)) :]
        wave = lfilter([1, rng.uniform(-0.35, 0.35)], [1], wave)  # another microphone
    return Clip(track, label, _finish(wave, split, rng), gender, language, emotion, voice)


def _finish(wave: npt.NDArray, split: str, rng: Rng) -> Samples:
    """Place the sound in two seconds, set a random level, add noise of 12 to 30 dB below it."""
    wave = wave[:CLIP_SAMPLES]
    start = int(rng.integers(0, CLIP_SAMPLES - len(wave) + 1))
    clip = np.zeros(CLIP_SAMPLES)
    clip[start : start + len(wave)] = wave
    clip *= rng.uniform(0.3, 0.9) / (np.abs(clip).max() + 1e-6)
    noise = rng.standard_normal(CLIP_SAMPLES)
    if rng.random() < 0.5:  # half of the rooms rumble
        noise = lfilter([1], [1, -0.95], noise)
        noise /= noise.std()
    clip += noise * np.sqrt((clip**2).mean()) * 10 ** (-rng.uniform(12, 30) / 20)
    samples = (clip * 32767).clip(-32768, 32767).astype(np.int16)
    if split == "train" and rng.random() < CODEC_SHARE:
        samples = decode_clip(encode_clip(samples))
    return samples

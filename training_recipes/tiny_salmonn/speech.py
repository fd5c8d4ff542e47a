"""Synthetic speech with a known language, gender and emotion: sentences, voices and prosody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, resample_poly

from training_recipes.tiny_salmonn.espeak import Espeak

SAMPLING_RATE = 16_000
LANGUAGES = ("English", "German", "French", "Spanish", "Italian", "Chinese", "Japanese", "Korean")
GENDERS = ("female", "male")
SPLITS = ("train", "test")

Wave = npt.NDArray[np.float32]
Rng = np.random.Generator

# Names of espeak-ng's voice variants. The test voices speak in no training clip.
_MALE = (
    "m1 m2 m3 m4 m5 m6 m8 Mike Denis Diogo Henrique Hugo Marco antonio miguel michel sandro travis "
    "victor Andy Alex adam benjamin boris caleb david ed edward ian iven john marcelo max norbert "
    "pablo paul pedro quincy robert Reed zac Jacky Gene Mario"
)
_FEMALE = "f1 f2 f3 Annie Andrea anika aunty belinda grandma linda steph steph2 steph3"
VOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {"male": tuple(_MALE.split()), "female": tuple(_FEMALE.split())},
    "test": {"male": ("m7", "Lee", "Michael"), "female": ("f4", "f5", "Alicia")},
}


@dataclass(frozen=True)
class Prosody:
    """Ranges to draw espeak-ng's parameters from, and what the throat does beyond them."""

    pitch: tuple[int, int]
    pitch_range: tuple[int, int]
    rate: tuple[int, int]
    volume: tuple[int, int] = (100, 100)
    colour: str = "plain"  # plain | pressed | trembling | dark | fading


NEUTRAL = Prosody(pitch=(30, 70), pitch_range=(30, 74), rate=(145, 214))
EMOTIONS: dict[str, Prosody] = {
    "angry": Prosody((55, 75), (70, 99), (200, 250), (150, 200), "pressed"),
    "sad": Prosody((20, 45), (0, 25), (95, 125), (50, 90), "fading"),
    "fear": Prosody((75, 99), (40, 70), (210, 270), (70, 110), "trembling"),
    "disgust": Prosody((0, 25), (40, 90), (110, 150), (90, 130), "dark"),
    "happy": Prosody((60, 90), (75, 99), (160, 200), (100, 140)),
}


@cache
def sentences() -> dict[str, dict[str, list[str]]]:
    """Per language: espeak-ng's voice, sentences for training and test, openings and clauses."""
    path = Path(__file__).with_name("sentences.json")
    return json.loads(path.read_text(encoding="utf-8"))


def sentence(language: str, split: str, rng: Rng) -> str:
    """Something to say; training mixes whole sentences, opening plus clause, and word salad."""
    own = sentences()[language]
    if split == "test":
        return str(rng.choice(own["test"]))
    kind = rng.random()
    separator = "" if language in ("Chinese", "Japanese") else " "
    if kind < 0.25:
        return str(rng.choice(own["train"]))
    if kind < 0.6:
        return separator.join((str(rng.choice(own["openings"])), str(rng.choice(own["clauses"]))))
    if kind < 0.8:
        return str(rng.choice(own["clauses"]))
    if separator:
        words = " ".join(own["clauses"] + own["openings"] + own["train"]).split()
        return " ".join(rng.choice(words, 7))
    return "".join([*map(str, rng.choice(own["openings"], 2)), str(rng.choice(own["clauses"]))])


def speak(
    synthesiser: Espeak, language: str, voice: str, prosody: Prosody, split: str, rng: Rng
) -> Wave:
    """One utterance, float32 [n] at 16 kHz, of any level and length."""

    def draw(limits: tuple[int, int]) -> int:
        return int(rng.integers(limits[0], limits[1] + 1))

    wave = synthesiser.say(
        sentence(language, split, rng),
        f"{sentences()[language]['voice']}+{voice}",
        rate=draw(prosody.rate),
        volume=draw(prosody.volume),
        pitch=draw(prosody.pitch),
        pitch_range=draw(prosody.pitch_range),
    )
    divisor = np.gcd(SAMPLING_RATE, synthesiser.sampling_rate)
    wave = resample_poly(
        wave, SAMPLING_RATE // divisor, synthesiser.sampling_rate // divisor
    ).astype(np.float32)
    return _colour(wave, prosody.colour, rng)


def _colour(wave: Wave, colour: str, rng: Rng) -> Wave:
    """What an emotion does to the sound beyond pitch, rate and loudness."""
    peak = np.abs(wave).max() + 1e-6
    seconds = np.arange(len(wave)) / SAMPLING_RATE
    if colour == "pressed":
        wave = np.tanh(6 * wave / peak)
    elif colour == "trembling":
        wave = wave * (1 + 0.6 * np.sin(2 * np.pi * rng.uniform(7, 10) * seconds))
    elif colour == "dark":
        wave = lfilter([1], [1, -0.7], wave)
    elif colour == "fading":
        wave = wave * np.exp(-rng.uniform(0.5, 1.0) * seconds)
    return wave.astype(np.float32)

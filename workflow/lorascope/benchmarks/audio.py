"""Audio: decode a clip, resample it, and place it under an audio condition.

Everything happens in memory: 2,000 clips are placed in seconds, whereas six padded variants of
SAKURA written out as WAV would fill 11.5 GB.
"""

# Most clips have the model's rate, and scipy.signal takes half a second to import.
# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import io
import json
import re
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from lorascope.benchmarks.conditions import Condition
from lorascope.errors import UserError
from lorascope.storage import files

RATE = 16000  # Hz; what every supported speech encoder takes
MOST = 50_000  # the largest factor of resampling, for which the filter has 8 million taps
_PASS, _STOP_DB = 0.92, 100.0
RATES = range(1000, 384_001)  # Hz; beyond what recorders write, resampling takes forever
MOST_SECONDS = 3600  # of a clip
BLOCK = 2**18  # frames that are decoded together; of the other channels nothing more is kept

# libsndfile reads on when a header promises more bytes than the file holds and only says so in its
# log, e.g. "data : 32000 (should be 19182)"; the names are those of WAV, AIFF, AU, RF64 and W64
_PROMISE = re.compile(
    r"^\s*(?:data|SSND|Data Size|Riff size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE
)
# programs that write to a pipe cannot know the length and put a number from here up into the header
_UNKNOWN_LENGTH = 0x7FFFF000


def read_clip(path: Path | str, rate: int = RATE) -> np.ndarray:
    """Return channel 0 of an audio file at `rate` Hz: float32 [samples], full scale 1.

    Raises UserError naming the file when it is missing, unreadable, truncated, empty, or holds
    NaN or infinite samples.
    """
    path = Path(path)
    wave, source_rate = decode(read_bytes(path), path)
    return resample(wave, source_rate, rate)


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes; UserError when it is missing or cannot be read."""
    try:
        return files.read_bytes(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: the audio file is missing; restore it or remove its metadata row"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot read the audio file: {error.strerror}") from None


def decode(data: bytes, path: Path) -> tuple[np.ndarray, int]:
    """Return channel 0 of an encoded audio file, float32 [samples], and its sampling rate in Hz.

    `data` is the whole file (any format libsndfile reads); `path` serves the messages. Raises
    UserError as `read_clip` does.
    """
    try:
        with soundfile.SoundFile(_Content(data)) as file:
            promised, log, rate = file.frames, file.extra_info, file.samplerate
            _check_header(promised, rate, path)
            wave = _first_channel(file)
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"{path}: not a readable audio file ({error.error_string.strip().rstrip('.')}): "
            "truncated, or not audio; replace it"
        ) from None
    if len(wave) < promised or _is_truncated(log, data):
        raise UserError(
            f"{path}: truncated audio file: it ends before the length its header promises; "
            "replace it by a whole copy"
        )
    if not len(wave):
        raise UserError(f"{path}: empty audio file: it holds no samples; replace it")
    if not np.isfinite(wave).all():
        raise UserError(f"{path}: the audio holds NaN or infinite samples; replace it")
    return wave, rate


class _Content(io.BytesIO):
    """A file's bytes, in which a damaged header may send libsndfile to before the beginning."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place and return it; to the beginning for one before it."""
        return super().seek(max(offset, 0) if whence == io.SEEK_SET else offset, whence)


def _check_header(frames: int, rate: int, path: Path) -> None:
    """UserError for what a header promises and no clip has, before memory is taken for it."""
    if rate not in RATES:
        raise UserError(
            f"{path}: a sampling rate of {rate:,} Hz; {RATES[0]:,} to {RATES[-1]:,} Hz are read, "
            "convert or replace the file"
        )
    if frames > rate * MOST_SECONDS:
        raise UserError(
            f"{path}: its header promises {frames / rate:,.0f} s of audio, more than the "
            f"{MOST_SECONDS:,} s that a clip may have; cut or replace it"
        )


def _first_channel(file: soundfile.SoundFile) -> np.ndarray:
    """Return channel 0 of an open file to its end, float32 [samples]; never more than is allowed.

    Headers of some formats promise less than there is.
    """
    blocks, left = [], file.samplerate * MOST_SECONDS
    while left > 0:
        block = file.read(min(BLOCK, left), dtype="float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block[:, 0].copy())
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def resampled_length(samples: int, source_rate: int, rate: int) -> int:
    """Return how many samples `resample` makes of `samples`."""
    return -(-samples * rate // source_rate)


def resample(wave: np.ndarray, source_rate: int, rate: int) -> np.ndarray:
    """Return a float32 wave [samples] taken from `source_rate` to `rate` Hz, both integers.

    scipy.signal.resample_poly with a linear-phase low-pass, which keeps frequencies, level and
    alignment: flat up to 92 % of the highest frequency that both rates hold, 100 dB down from that
    one on. Among rates above `MOST`, a proportion that would need a larger filter is taken for the
    nearest one that does not (off by less than a millisecond in a minute).

    Raises UserError for rates of which one is more than 1,000 times the other.
    """
    if source_rate == rate:
        return wave
    from scipy.signal import resample_poly

    up, down = _proportion(source_rate, rate)
    low_pass: Any = _low_pass(max(up, down))
    resampled = resample_poly(wave.astype(np.float64), up, down, window=low_pass)
    length = resampled_length(len(wave), source_rate, rate)
    fitted = np.pad(resampled[:length], (0, max(0, length - len(resampled))))
    return fitted.astype(np.float32)


def _proportion(source_rate: int, rate: int) -> tuple[int, int]:
    """Return by how much to go up and down, neither above `MOST`."""
    slow, fast = sorted((source_rate, rate))
    if fast > 1000 * slow:
        raise UserError(f"{source_rate} Hz cannot be taken to {rate} Hz; convert the clip")
    proportion = Fraction(slow, fast).limit_denominator(MOST)
    small, large = proportion.numerator, proportion.denominator
    return (large, small) if source_rate == slow else (small, large)


@lru_cache(4)
def _low_pass(factor: int) -> np.ndarray:
    """Return a filter that keeps the lowest `1 / factor` of a spectrum, float64 [taps].

    By Kaiser's window (Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.5.3).
    """
    from scipy.signal import firwin, kaiser_beta, kaiserord

    taps, _ = kaiserord(_STOP_DB, (1 - _PASS) / factor)
    edge = (1 + _PASS) / 2 / factor
    return firwin(taps | 1, edge, window=("kaiser", kaiser_beta(_STOP_DB)))


def apply_condition(
    wave: np.ndarray, condition: Condition, key: str, rate: int = RATE
) -> np.ndarray:
    """Return the clip under the condition: float32, [samples] or [target_len * rate] when padded.

    wave: float32 [samples] at `rate` Hz. key: what tells the clip from all others, its track and
    file: `Item.clip`. Noise depends on (seed, key, type, position) alone, so a clip sounds the same
    in every run, batch and shard.

    Raises UserError for a clip that is too long, unless the condition truncates.
    """
    if condition.silent:
        wave = np.zeros_like(wave)
    if condition.type == "source":
        return wave
    target = condition.target_samples(rate)
    if condition.is_too_long(len(wave), rate):
        if condition.too_long != "truncate":
            raise too_long_error(key, len(wave) / rate, condition)
        return wave[:target]
    padded = _padding(target, condition, key)
    start = condition.start(len(wave), rate)
    padded[start : start + len(wave)] = wave
    return padded


def too_long_error(clip: str, seconds: float, condition: Condition) -> UserError:
    """Return the error for a clip that leaves no room for padding."""
    return UserError(
        f"{clip}: {seconds:.3f} s long, which leaves no room for padding to "
        f"{condition.target_len:g} s; raise audio.target_len, or set audio.too_long to truncate "
        "or skip"
    )


def _padding(samples: int, condition: Condition, key: str) -> np.ndarray:
    if condition.type == "zero-padded":
        return np.zeros(samples, dtype=np.float32)
    # hashlib, not hash(): the seed must not change with the process or the platform
    name = json.dumps([condition.seed, key, condition.type, condition.position])
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest())
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(samples, dtype=np.float32)
    return noise * np.float32(condition.noise_sigma)


def _is_truncated(log: str, data: bytes) -> bool:
    """Tell whether the file ends early, from libsndfile's log and, for Ogg, its last page."""
    for promised, actual in _PROMISE.findall(log):
        if int(actual) < int(promised) < _UNKNOWN_LENGTH:
            return True
    return data[:4] == b"OggS" and not _ogg_is_whole(data)


def _ogg_is_whole(data: bytes) -> bool:
    """Tell whether the last Ogg page is complete and ends the stream (RFC 3533, section 6)."""
    page = data[data.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 0x04:
        return False
    lacing = page[27 : 27 + page[26]]
    return len(lacing) == page[26] and len(page) >= 27 + len(lacing) + sum(lacing)

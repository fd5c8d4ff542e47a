import hashlib
import struct

import numpy as np
import pytest
import soundfile

from lorascope.benchmarks.audio import apply_condition, read_clip, resampled_length
from lorascope.benchmarks.conditions import Condition
from lorascope.errors import UserError
from tests.support.basics import printed

CLIP = "data/Animal/audio/cat34.wav"


def tone(seconds=1.0, rate=16000, frequency=440.0, level=0.5):
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def padded(position="middle", kind="zero-padded", target_len=3.0, **settings):
    return Condition(type=kind, position=position, target_len=target_len, **settings)


# ------------------------------------------------------------------------------ reading


def test_a_clip_of_the_wanted_rate_is_read_sample_for_sample(tmp_path):
    samples = np.array([0, 1, -1, 32767, -32768], dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="PCM_16")
    wave = read_clip(tmp_path / "a.wav")
    assert wave.dtype == np.float32
    assert wave.tolist() == (samples / 32768).tolist()


def test_stereo_at_44100_becomes_channel_0_at_16000_with_its_frequency_and_level(tmp_path):
    left, right = tone(1.0, 44100, 1000.0, 0.5), tone(1.0, 44100, 3000.0, 0.9)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 44100, subtype="FLOAT")
    wave = read_clip(tmp_path / "a.wav")
    assert wave.dtype == np.float32
    assert len(wave) == resampled_length(44100, 44100, 16000) == 16000
    # the same sine at 16 kHz, in phase: frequency, level and alignment are all kept
    middle = slice(400, -400)
    assert np.abs(wave[middle] - tone(1.0, 16000, 1000.0, 0.5)[middle]).max() < 2e-3


def test_resampling_removes_what_the_new_rate_cannot_hold(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.0, 44100, 12000.0, 0.5), 44100, subtype="FLOAT")
    assert np.abs(read_clip(tmp_path / "a.wav")[400:-400]).max() < 5e-3


@pytest.mark.parametrize("samples", [1, 2, 22049, 22051])
def test_resampled_length(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", np.zeros(samples), 22050)
    assert len(read_clip(tmp_path / "a.wav")) == resampled_length(samples, 22050, 16000)


@pytest.mark.parametrize("name", ["a.ogg", "a.flac", "a.mp3", "a.aiff"])
def test_other_formats(tmp_path, name):
    soundfile.write(tmp_path / name, tone(), 16000)
    wave = read_clip(tmp_path / name)
    assert len(wave) == 16000
    assert 0.3 < np.abs(wave).max() < 0.7


def test_a_header_written_to_a_pipe_promises_nothing(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), 16000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    assert len(read_clip(path)) == 16000


def refuses(path, *words):
    with pytest.raises(UserError) as caught:
        read_clip(path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    refuses(tmp_path / "gone.wav", "missing")
    refuses(tmp_path, "cannot read")


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not audio at all" * 40])
def test_unreadable(tmp_path, data):
    (tmp_path / "a.wav").write_bytes(data)
    refuses(tmp_path / "a.wav", "not a readable audio file")


@pytest.mark.parametrize("left", [0.999, 0.5, 0.05])
@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "ogg", "mp3", "au", "w64", "rf64"])
def test_truncated(tmp_path, suffix, left):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 64000), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    refuses(path, "truncated")


def test_an_ogg_file_that_ends_between_two_pages_is_truncated(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 64000), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS")])
    refuses(path, "truncated")


def test_empty(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
    refuses(tmp_path / "a.wav", "empty")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, value):
    wave = tone()
    wave[7] = value
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    refuses(tmp_path / "a.wav", "NaN or infinite")


# ---------------------------------------------------------------------------- condition


def test_the_source_condition_changes_nothing():
    wave = tone()
    assert apply_condition(wave, Condition(), CLIP) is wave


@pytest.mark.parametrize("samples", [1, 15999, 16000, 16001, 47999])
@pytest.mark.parametrize("kind", ["zero-padded", "noised"])
def test_placement(kind, samples):
    wave = np.full(samples, 0.25, dtype=np.float32)
    padding = 48000 - samples
    for position, left in {"early": 0, "middle": padding // 2, "late": padding}.items():
        out = apply_condition(wave, padded(position, kind), CLIP)
        assert out.dtype == np.float32
        assert out.shape == (48000,)
        assert np.array_equal(out[left : left + samples], wave)
        around = np.concatenate([out[:left], out[left + samples :]])
        assert len(around) == padding
        assert np.any(around) == (kind == "noised")


def test_noise_is_gaussian_of_the_given_sigma():
    out = apply_condition(np.zeros(1, np.float32), padded("early", "noised", 10.0), CLIP)[1:]
    assert abs(out.mean()) < 5e-5
    assert abs(out.std() - 0.005) < 5e-5
    assert abs(np.mean(np.abs(out) < 0.005) - 0.6827) < 0.005
    louder = padded("early", "noised", 10.0, noise_sigma=0.02)
    assert np.allclose(apply_condition(np.zeros(1, np.float32), louder, CLIP)[1:], 4 * out)


def test_noise_is_the_same_bit_for_bit_everywhere():
    # a fixed digest: other NumPy versions and platforms must agree, or fail here
    noise = apply_condition(np.zeros(1, np.float32), padded("late", "noised", 0.01), CLIP)[:-1]
    digest = hashlib.sha256(noise.astype("<f4").tobytes()).hexdigest()
    assert digest == "2e0a38217f19933b4820da50a26eecceb48eece81496483336d61291c5fd5cf6"


def test_noise_is_the_same_in_another_process():
    code = (
        "import numpy as np, hashlib; from lorascope.benchmarks.audio import *;"
        "c = Condition(type='noised', position='middle', target_len=3.0);"
        f"x = apply_condition(np.zeros(9, np.float32), c, {CLIP!r});"
        "print(hashlib.sha256(x.tobytes()).hexdigest())"
    )
    here = apply_condition(np.zeros(9, np.float32), padded(kind="noised"), CLIP)
    assert printed(code).strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_noise_depends_on_seed_clip_and_position_alone():
    wave = np.zeros(1, np.float32)
    base = apply_condition(wave, padded("early", "noised"), CLIP)
    assert np.array_equal(base, apply_condition(wave, padded("early", "noised"), CLIP))
    loud = apply_condition(wave + 1, padded("early", "noised", too_long="skip"), CLIP)
    assert np.array_equal(base[1:], loud[1:])
    others = [
        apply_condition(wave, padded("early", "noised", seed=1), CLIP),
        apply_condition(wave, padded("middle", "noised"), CLIP),
        apply_condition(wave, padded("early", "noised"), CLIP.replace("Animal", "Gender")),
        apply_condition(wave, padded("early", "noised"), CLIP.replace("cat34", "cat35")),
    ]
    for other in others:
        assert np.mean(base[1:-1] == other[1:-1]) < 0.01


@pytest.mark.parametrize("samples", [48000, 48001])
@pytest.mark.parametrize("too_long", ["error", "skip"])
def test_a_clip_that_leaves_no_room_is_refused(samples, too_long):
    with pytest.raises(UserError, match=r"cat34.wav.*target_len"):
        apply_condition(np.ones(samples, np.float32), padded(too_long=too_long), CLIP)


@pytest.mark.parametrize("samples", [48000, 48001])
def test_a_clip_that_leaves_no_room_is_cut_to_its_beginning(samples):
    wave = np.arange(samples, dtype=np.float32)
    out = apply_condition(wave, padded("late", too_long="truncate"), CLIP)
    assert np.array_equal(out, wave[:48000])


def test_a_source_clip_is_never_too_long():
    wave = np.ones(48001, np.float32)
    assert apply_condition(wave, Condition(target_len=3.0), CLIP) is wave


def test_silent_replaces_the_clip_and_keeps_the_noise_around_it():
    wave = np.ones(16000, np.float32)
    assert not apply_condition(wave, Condition(silent=True), CLIP).any()
    assert wave.all()
    out = apply_condition(wave, padded("early", "noised", silent=True), CLIP)
    heard = apply_condition(wave, padded("early", "noised"), CLIP)
    assert not out[:16000].any()
    assert np.array_equal(out[16000:], heard[16000:])


@pytest.mark.parametrize(
    ("condition", "heard", "lost"),
    [
        (Condition(), 16000, 0),
        (Condition(), 15999, 1),
        (padded("early"), 16000, 0),
        (padded("early"), 4000, 12000),
        (padded("middle"), 32000, 0),
        (padded("middle"), 24000, 8000),
        (padded("middle"), 9000, 16000),
        (padded("late"), 48000, 0),
        (padded("late"), 47999, 1),
        (padded("late"), 32000, 16000),
        (padded("late", target_len=0.5, too_long="truncate"), 48000, 8000),
        (padded("late", target_len=0.5, too_long="truncate"), 6000, 10000),
    ],
)
def test_what_is_lost_is_what_does_not_lie_in_the_part_that_is_heard(condition, heard, lost):
    assert condition.lost_samples(16000, 16000, heard) == lost
    wave = np.arange(1, 16001, dtype=np.float32)  # no sample twice
    played = apply_condition(wave, condition, CLIP)
    assert len(played) == condition.presented_samples(16000, 16000)
    assert lost == len(set(wave) - set(played[:heard]))


def test_the_condition_of_a_dataset():
    audio = {"type": "noised", "position": "late", "target_len": 20.0, "noise_sigma": 0.01}
    audio |= {"too_long": "truncate", "seed": 3}
    condition = Condition.of_dataset({"audio": audio, "control": "silent"})
    assert condition == Condition("noised", "late", 20.0, 0.01, "truncate", 3, silent=True)
    assert not Condition.of_dataset({"audio": audio, "control": "shuffled"}).silent


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"type": "source", "position": "early"}, "position"),
        ({"type": "noised", "position": "original"}, "position"),
        ({"type": "zero-padded"}, "position"),
        ({"type": "padded", "position": "early"}, "type"),
        ({"too_long": "cut"}, "too_long"),
        ({"target_len": 0.0}, "target_len"),
        ({"target_len": float("nan")}, "target_len"),
        ({"noise_sigma": -1.0}, "noise_sigma"),
        ({"noise_sigma": float("inf")}, "noise_sigma"),
    ],
)
def test_conditions_that_make_no_sense(settings, key):
    with pytest.raises(UserError, match=key):
        Condition(**settings)

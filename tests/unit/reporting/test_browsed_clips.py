"""The clips of the page are what the encoder is given, whatever the condition, and made once."""

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import Item
from lorascope.models import protocol
from lorascope.reporting.browsing import clips
from lorascope.reporting.browsing.clips import Clip, flac, in_words, lacking, make_clips, said_of
from lorascope.reporting.browsing.hearing import clips_of
from lorascope.stages import encode
from tests.support.lab import write_clip

RATES = {"a.wav": 16000, "b.wav": 44100, "c.wav": 8000}
PADDED = {"type": "noised", "position": "middle", "target_len": 0.7, "seed": 3}
CONDITIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "zeros": {"type": "zero-padded", "position": "late", "target_len": 0.9},
    "noise": PADDED,
    "cut to fit": {**PADDED, "position": "early", "target_len": 0.2, "too_long": "truncate"},
    "silence": {"silent": True},
    "silence in noise": {**PADDED, "silent": True},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of clips of several rates, one of them in two channels."""
    dice = np.random.default_rng(0)
    for name, rate in RATES.items():
        wave = 0.4 * dice.standard_normal((round(0.401 * rate), 1 + (name == "b.wav")))
        soundfile.write(tmp_path / name, np.clip(wave, -1, 1), rate)
    return tmp_path


def items(root: Path, names: Any = RATES) -> list[Item]:
    own = {"category": "c", "question": "?", "answer": "", "answers": ("",)}
    return [
        Item(
            **{"item_id": f"c/{name}", "clip": name, "clip_sha256": sha256(root / name), **own},
            clip_seconds=seconds(root / name),
        )
        for name in names
    ]


def seconds(path: Path) -> float:
    info = soundfile.info(path)
    return info.frames / info.samplerate


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def heard(
    root: Path,
    condition: Condition,
    rate: int = 16000,
    ears: Any = ((None, {}),),
    names: Any = RATES,
) -> dict[str, Clip]:
    return clips_of(items(root, names), str(root), condition, rate, ears)


class Encoder(protocol.Encoder):
    """Keeps what it is given, of which it hears so many samples."""

    def __init__(self, rate: int, limit: int | None) -> None:
        self.sampling_rate, self.limit = rate, limit
        self.waves: list[np.ndarray] = []

    def hears(self, samples: int) -> int:
        return samples if self.limit is None else min(samples, self.limit)

    def encode(self, waves: list[np.ndarray]) -> list[torch.Tensor]:
        self.waves = [wave[: self.hears(len(wave))] for wave in waves]
        return [torch.zeros(1, 1) for _ in waves]


def encoded(root: Path, condition: Condition, encoder: Encoder) -> dict[str, float]:
    """Have the stage encode the clips; return item -> seconds lost."""
    audio = {k: v for k, v in vars(condition).items() if k != "silent"}
    settings = {"audio": audio} | ({"control": "silent"} if condition.silent else {})
    job: Any = SimpleNamespace(fingerprint={"dataset": {"settings": settings}}, root=str(root))
    clips = [SimpleNamespace(clip=name, clip_sha256=sha256(root / name)) for name in RATES]
    prepared = [encode._prepare(encoder, job, clip) for clip in clips]
    found = encode._encode(encoder, job, prepared)
    return {f"c/{name}": one.lost for name, one in found.items()}


@pytest.mark.parametrize("own", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize(("rate", "limit"), [(16000, None), (16000, 4000), (22050, None)])
def test_a_clip_is_what_the_encoder_is_given(root, own, rate, limit):
    condition, encoder = Condition(**own), Encoder(rate, limit)
    lost = encoded(root, condition, encoder)
    known = None if limit is None else limit / rate
    for ears in ((known, {}), (None, lost)):  # the limit is known, or told by what was lost
        found = heard(root, condition, rate, [ears])
        made = make_clips(keyed(found), root / "page", [], 1)
        for name, wave in zip(RATES, encoder.waves, strict=True):
            file = made.names[found[name].key({"audio": "1"})]
            played, sampled = soundfile.read(root / "page/clips" / file, dtype="float32")
            assert sampled == rate
            said = said_of(found[name], file)
            assert said["lost"] == pytest.approx(lost[f"c/{name}"], abs=1e-3)
            # Padding behind the clip is not lost, so that nothing tells whether it was heard.
            assert len(played) == len(wave) or (ears[0] is None and limit and len(played) > limit)
            assert said["heard"] == pytest.approx(len(played) / rate, abs=1e-3)
            steps = np.clip(wave, -1, 1 - 2**-15)
            assert np.abs(played[: len(wave)] - steps).max() <= 2**-16


def test_the_longest_of_several_ears_counts(root):
    found = heard(root, Condition(), ears=[(0.1, {}), (0.3, {}), (0.2, {})], names=["a.wav"])
    assert found["a.wav"].heard == 4800
    said = {"file": None, "seconds": 0.401, "heard": 0.3, "lost": 0.101}
    assert said_of(found["a.wav"], None) == said
    assert heard(root, Condition(), ears=[(0.1, {}), (None, {})])["a.wav"].heard == 6416


def test_full_scale_is_not_exceeded_and_steps_are_of_16_bits():
    wave = np.array([-1.5, -1, -0.5, 0, 1 / 65536, 1 / 32768, 0.99999, 1, 1.5], np.float32)
    steps, rate = soundfile.read(io.BytesIO(flac(wave, 24000)), dtype="int16")
    assert rate == 24000
    assert steps.tolist() == [-32768, -32768, -16384, 0, 0, 1, 32767, 32767, 32767]


def keyed(found: dict[str, Clip], code: str = "1") -> dict[str, Clip]:
    return {clip.key({"audio": code}): clip for clip in found.values()}


def test_what_is_heard_alike_is_one_clip(root):
    (root / "again.wav").write_bytes((root / "a.wav").read_bytes())
    names = ["a.wav", "again.wav"]
    assert len(keyed(heard(root, Condition(), names=names))) == 1
    zeros = Condition("zero-padded", "early", 0.9, noise_sigma=0.5, seed=9)
    assert len(keyed(heard(root, zeros, names=names))) == 1
    assert len(keyed(heard(root, Condition(**PADDED), names=names))) == 2  # noise of its own
    silent = keyed(heard(root, Condition(silent=True)))
    assert len(make_clips(silent, root / "page", [], 1).sizes) == 1  # equally long
    every = [Condition(), zeros, Condition(**PADDED), replace(zeros, target_len=0.8)]
    keys = [key for condition in every for key in keyed(heard(root, condition, names=["a.wav"]))]
    assert len({*keys}) == 4
    whole, cut = heard(root, Condition()), heard(root, Condition(), ears=[(0.1, {})])
    assert not keyed(whole).keys() & keyed(cut).keys()
    assert not keyed(whole).keys() & keyed(whole, "2").keys()


def test_a_later_page_reads_no_source_and_writes_no_clip_again(root):
    page, found = root / "page", keyed(heard(root, Condition()))
    first = make_clips(found, page, [], 1)
    before = {path.name: path.stat().st_mtime_ns for path in (page / "clips").iterdir()}
    assert (first.reused, len(before)) == (0, 3)
    for name in RATES:
        (root / name).unlink()
    again = make_clips(found, page, [], 1)
    assert (again.reused, again.names) == (3, first.names)
    assert {path.name: path.stat().st_mtime_ns for path in (page / "clips").iterdir()} == before
    partial = make_clips(found, root / "partial/page", [page], 1)
    assert (partial.reused, partial.names) == (3, first.names)
    assert inodes(root / "partial/page/clips") == inodes(page / "clips")


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.iterdir()}


def test_a_damaged_or_foreign_file_is_made_again(root):
    page, found = root / "page", keyed(heard(root, Condition()))
    first = make_clips(found, page, [], 1)
    files = sorted((page / "clips").iterdir())
    files[0].write_bytes(b"fLaC")
    files[1].unlink()
    (page / "clips/strange.flac").write_bytes(b"x")
    content = {path.name: path for path in files}
    again = make_clips(found, page, [], 1)
    assert (again.reused, again.names) == (1, first.names)
    assert {path.name for path in (page / "clips").iterdir()} == content.keys()
    assert all(sha256(path).startswith(path.stem) for path in (page / "clips").iterdir())
    (page / "clips.json").write_text('{"clips": {}}')
    assert make_clips(found, page, [], 1).reused == 0


def test_clips_whose_files_are_gone_or_others_are_named(root):
    found = keyed(heard(root, Condition()))
    (root / "a.wav").unlink()
    write_clip(root / "b.wav")
    made = make_clips(found, root / "page", [], 1)
    assert len(made.names) == 1
    (said,) = lacking(made, found)
    assert said.startswith("2 of 3 clips are not here: ")
    assert said.endswith(" (and 1 more)")
    problems = " ".join(made.problems.values())
    assert f"{root}/a.wav: the audio file is missing" in problems
    assert f"{root}/b.wav: is not the clip that was heard" in problems
    assert [*lacking(make_clips(found, root / "page", [], 1), [*made.names])] == []


def test_no_more_megabytes_than_there_may_be(root, monkeypatch):
    for k in range(30):
        write_clip(root / f"n{k}.wav", seconds=1.0 + k / 100, pitch=100 + 30 * k)
    long = Condition(**(PADDED | {"target_len": 3}))
    found = keyed(heard(root, long, names=[f"n{k}.wav" for k in range(30)]))
    monkeypatch.setattr(clips, "_AT_ONCE", 4)
    made = make_clips(found, root / "page", [], 1)
    assert 0.9e6 < made.bytes <= 1e6
    assert made.bytes == sum(path.stat().st_size for path in (root / "page/clips").iterdir())
    assert made.beyond == 30 - len(made.names)
    (said,) = lacking(made, found)
    assert said.startswith(f"{made.beyond} of 30 clips are left out")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert make_clips(found, root / "page", [], 1).names == made.names
    assert make_clips(found, root / "other", [], 1).names == made.names


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Condition(), "the clip as it is"),
        (Condition(silent=True), "silence in place of each clip, as long as it is"),
        (Condition("zero-padded", "late"), "the clip at the end of 30 s of zeros"),
        (
            Condition(**PADDED),
            "the clip in the middle of 0.7 s of noise (standard deviation 0.005)",
        ),
    ],
)
def test_the_condition_in_words(condition, words):
    assert in_words(condition) == words

"""What a model does not hear of its clips, or cannot make numbers of, stands in the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lorascope.errors import UserError
from lorascope.models.salmonn.encoder import SalmonnEncoder
from lorascope.storage.features import read_features
from tests.support.lab import write_clip, write_track
from tests.support.stagehand import Bench, answers
from tests.support.tiny_audio_models import build
from tests.support.tiny_salmonn_files import SECONDS, write_salmonn

LABELS, LONG = ["cat", "dog", "cow"], "data/Animal/audio/cow1.wav"
ITEMS = 12
MODELS = {
    "salmonn": {
        "family": "salmonn",
        "llm": "salmonn/llm",
        "whisper": "salmonn/whisper",
        "beats": "salmonn/beats.pt",
        "checkpoint": "salmonn/salmonn.pth",
    },
    "qwen2_audio": {"family": "hf_audio", "model": "qwen2_audio"},
    "every question": {"family": "hf_audio", "model": "qwen2_audio", "encode_once": False},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hearing")
    write_salmonn(folder / "salmonn")
    build("qwen2_audio", folder / "qwen2_audio")
    write_track(folder / "short", "Animal", LABELS)
    write_track(folder / "long", "Animal", LABELS)
    write_clip(folder / "long" / LONG, SECONDS + 0.75)
    return folder


@pytest.fixture
def start(linked: Path, capsys: pytest.CaptureFixture) -> Callable[..., Bench]:
    """Return a function that starts a study of a model on clips in a new folder."""

    def begin(model: str, source: str = "short", scalings: Any = (None,), **audio: Any) -> Bench:
        dataset = {"benchmark": "sakura", "source": source, "tracks": ["animal"], "audio": audio}
        experiments = [
            {"id": f"S{i}", "model": "tiny", "dataset": "zoo", "batch_size": 4}
            | {"generation": {"max_new_tokens": 5}, "lora_scaling": scaling}
            for i, scaling in enumerate(scalings)
        ]
        study = {"study": "hearing", "models": {"tiny": MODELS[model]}, "baseline": "S0"}
        return Bench(study | {"datasets": {"zoo": dataset}, "experiments": experiments}, capsys)

    return begin


def section(report: Path) -> list[str]:
    """Return what the report says of what was not heard."""
    text = (report / "accuracy.md").read_text()
    return [line for line in text.splitlines() if line.startswith("- zoo, heard by tiny")]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("position", ["early", "late"])
def test_padding_beyond_what_is_heard_is_refused_while_planning(start, model, position):
    padded = {"type": "zero-padded", "position": position}
    with pytest.raises(UserError) as caught:
        assert start(model, **padded, target_len=60).plan
    expected = "study.yaml: datasets.zoo.audio.target_len: 60 s, of which the model 'tiny' hears "
    assert str(caught.value).startswith(f"{expected}the first {SECONDS} s; ")
    with pytest.raises(UserError, match="target_len: 30 s"):  # the default
        assert start(model, **padded).plan
    for fine in ({"target_len": SECONDS}, {"target_len": 60, "too_long": "truncate"}):
        assert start(model, **padded, **fine).left()


@pytest.mark.parametrize("model", MODELS)
def test_a_clip_beyond_what_is_heard_is_refused_or_stated(start, model):
    bench = start(model, "long")
    bench.make("dataset")
    (job,) = [job for job in bench.plan.left() if job.stage.name == "encode"]
    code, said = bench.run(job)
    assert code == 1
    message = f"long/{LONG}: {SECONDS + 0.75} s are played, of which the model hears the first 2 s"
    assert message in said
    assert "Traceback" not in said
    report = start(model, "long", too_long="truncate").finish()
    assert section(report) == [
        "- zoo, heard by tiny: 1 of 6 clips were cut (`too_long: truncate`), by up to 0.75 s, "
        "0.75 s on average."
    ]
    assert section(start(model, "short").finish()) == []


def test_clips_that_lie_behind_what_is_heard_are_silence_and_said_to_be(start):
    late = {"type": "zero-padded", "position": "late", "target_len": 60, "too_long": "truncate"}
    bench = start("salmonn", **late)
    assert section(bench.finish()) == [
        "- zoo, heard by tiny: 6 of 6 clips were cut (`too_long: truncate`), by up to 0.4 s, "
        "0.35 s on average; 6 of them were not heard at all."
    ]
    (features,) = bench.plan.features
    clips = list(read_features(features.files[0], features.digest).values())
    assert all(np.array_equal(clip, clips[0]) for clip in clips)


def test_features_that_are_no_numbers_are_answered_by_nothing(start, monkeypatch):
    whole = start("salmonn", "long", too_long="truncate")
    whole.finish()
    sound = answers(whole)["S0"]
    own = SalmonnEncoder._encode

    def overflowing(encoder, clips):
        (clip,) = clips
        (found,) = own(encoder, clips)
        return [found * (float("nan") if len(clip.fbank) == 100 * SECONDS - 2 else 1)]

    monkeypatch.setattr(SalmonnEncoder, "_encode", overflowing)
    bench = start("salmonn", "long", too_long="truncate", noise_sigma=0.1)  # to be encoded anew
    report = bench.finish()
    clips = pq.read_table(bench.plan.experiments["S0"].runtime)["clip"].to_pylist()
    reasons = answers(bench, "finish_reason")["S0"]
    assert [reason == "nonfinite" for reason in reasons] == [clip == LONG for clip in clips]
    assert reasons.count("nonfinite") == 2
    for clip, before, now in zip(clips, sound, answers(bench)["S0"], strict=True):
        assert now == ([] if clip == LONG else before)
    assert "the features of 1 of 6 clips are not finite numbers" in section(report)[1]


def test_a_scaling_that_overflows_leaves_no_answer(start):
    bench = start("salmonn", scalings=[0, 1e38])
    bench.make("dataset", "encode")
    job = next(j for j in bench.plan.left() if j.stage.name == "infer" and "S1" in str(j.out))
    code, said = bench.run(job)
    assert code == 0
    assert f"S1: the numbers of {ITEMS} of {ITEMS} items ceased to be finite" in said
    assert "they are no answers; no dtype has a larger range, a smaller lora_scaling may" in said
    bench.finish()
    assert answers(bench, "finish_reason")["S1"] == ["nonfinite"] * ITEMS
    assert answers(bench, "response")["S1"] == [""] * ITEMS
    assert "nonfinite" not in answers(bench, "finish_reason")["S0"]

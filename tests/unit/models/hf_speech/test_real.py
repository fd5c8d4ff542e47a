"""A real Whisper on real clips: the transcripts of transformers' own generate, and of peft's."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from lorascope.benchmarks.audio import read_clip
from lorascope.models.hf_speech.answerer import load
from lorascope.models.hf_speech.encoder import load as load_encoder
from tests.support import basics
from tests.support.outside_training import train_outside
from tests.support.speech_cases import real_model, scaled, settings_of

GREEDY = basics.GREEDY | {"max_new_tokens": 40}
SCALINGS = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_model("whisper-tiny.en")


@pytest.fixture(scope="module")
def clips() -> list[tuple[np.ndarray, str]]:
    """Six sentences, then four digits of 8 kHz, each with what is said."""
    root, found = basics.shared_path("data/speech"), []
    for name, column, kept in (
        ("sentences", "transcript", slice(0, 12, 2)),
        ("digits", "word", slice(0, 60, 15)),
    ):
        rows = list(csv.DictReader((root / f"{name}.csv").open()))[kept]
        found += [(read_clip(root / row["file"]), row[column]) for row in rows]
    return found


@pytest.fixture(scope="module")
def features(folder, clips) -> list[torch.Tensor]:
    return load_encoder(settings_of(folder), "cpu").encode([wave for wave, _ in clips])


def transcripts(answerer, features, batch: int = 6) -> list[str]:
    found = []
    for start in range(0, len(features), batch):
        some = features[start : start + batch]
        found += answerer.answer([""] * len(some), some, GREEDY, [0] * len(some))
    assert all(answer.finish_reason in ("eos", "length") for answer in found)
    return [answer.text for answer in found]


def own_transcripts(model, processor, waves) -> list[str]:
    found = []
    for wave in waves:
        inputs = processor(wave, sampling_rate=16000, return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(inputs.input_features, max_new_tokens=40)
        found += processor.batch_decode(ids, skip_special_tokens=True)
    return found


def test_transcripts_are_those_of_transformers(folder, clips, features) -> None:
    answerer = load(settings_of(folder), "cpu", "float32", None, None)
    found = transcripts(answerer, features)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = WhisperProcessor.from_pretrained(folder)
    assert found == own_transcripts(model, processor, [wave for wave, _ in clips])
    assert found == transcripts(answerer, features, batch=16)
    assert found[0].startswith(" And Mr. John Dashwood had then leisure")


def test_an_adapter_trained_outside_says_what_peft_says(folder, clips, features, tmp_path) -> None:
    learnt = clips[6:]
    adapter = train_outside(
        folder,
        tmp_path,
        [wave for wave, _ in learnt],
        [f" {word}" for _, word in learnt],
        steps=3,
        learning_rate=1e-2,
    )
    asked = [0, 5, 8]
    processor = WhisperProcessor.from_pretrained(folder)
    base = WhisperForConditionalGeneration.from_pretrained(folder)
    model = PeftModel.from_pretrained(base, adapter).eval()
    found = {}
    for scaling in SCALINGS:
        answerer = load(settings_of(folder), "cpu", "float32", scaling, str(adapter))
        found[scaling] = transcripts(answerer, [features[i] for i in asked])
        theirs = scaled(model, scaling).base_model.model
        assert found[scaling] == own_transcripts(theirs, processor, [clips[i][0] for i in asked])
    assert found[0.0] != found[1.0]

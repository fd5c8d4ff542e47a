"""Options and texts at scalings of their own, and clips by name, asked of the families."""

import pytest
import torch

from lorascope.models.hf_audio.answerer import load as load_audio
from lorascope.models.hf_audio.architecture import load_full
from lorascope.models.hf_speech.answerer import load as load_speech
from lorascope.models.hf_text.answerer import load as load_text
from lorascope.models.salmonn.answerer import load as load_salmonn
from tests.support.audio_cases import QUESTIONS as AUDIO_QUESTIONS
from tests.support.likelihoods import as_expected, assert_close
from tests.support.readings import counted
from tests.support.settings import defaults
from tests.support.speech_cases import settings_of
from tests.support.tiny_audio_models import LORA_TARGETS, write_adapter
from tests.support.tiny_audio_models import build as build_audio
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_speech_models import WIDTH, build
from tests.support.tiny_text_files import BATCH, write_both

SCALINGS = [0.0, 2.0, None]
OPTIONS = [[" (a) dog", " (b) cat"], [" cow"], [" Spain", " the language of France"]]


def assert_each_alone(answerer, questions, features, clips=None, options=OPTIONS) -> None:
    """Hold a batch of every question at every scaling to each question at each of them."""
    assert answerer.scales_rows
    rows = [(i, s) for i in range(len(questions)) for s in range(len(SCALINGS))]
    found = answerer.choose(
        [questions[i] for i, _ in rows],
        [features[i] for i, _ in rows],
        [options[i] for i, _ in rows],
        [SCALINGS[s] for _, s in rows],
        clips and [clips[i] for i, _ in rows],
    )
    own = answerer.lora_scaling
    for one, (i, s) in zip(found, rows, strict=True):
        with_own = own if SCALINGS[s] is None else SCALINGS[s]
        (alone,) = answerer.choose([questions[i]], [features[i]], [options[i]], [with_own])
        assert_close(one, as_expected(alone))
    sums = [one.sums[0] for one in found[:3]]
    assert max(sums) - min(sums) > 1e-3
    assert answerer.lora_scaling == own


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    model, adapter = write_both(tmp_path_factory.mktemp("text"), "llama")
    settings = defaults("hf_text") | {"model": str(model)}
    return load_text(settings, "cpu", "float32", 1.0, str(adapter))


def test_text(text) -> None:
    assert_each_alone(text, BATCH[:3], [None] * 3)


def test_text_in_windows(text) -> None:
    texts = [BATCH[0] * 3, BATCH[1], BATCH[2] * 2]
    for settings in ({"window": 40, "context": 3}, {"window": None, "context": 1}):
        asked = ["", "", BATCH[0]] if settings["window"] is None else [""] * 3
        found = text.loss(asked, texts, settings, [0.0, None, 2.0])
        for one, question, said, scaling in zip(found, asked, texts, (0.0, 1.0, 2.0), strict=True):
            (alone,) = text.loss([question], [said], settings, [scaling])
            assert_close(one, as_expected(alone))


def test_windows_are_read_once(text) -> None:
    settings = {"window": 40, "context": 3}
    text.loss([""], ["Sad?"], settings)
    texts = [BATCH[0] * 3, BATCH[1]]
    with counted() as found:
        text.loss(["", ""], texts, settings)
    lengths = [len(text.tokenizer(t, add_special_tokens=False).input_ids) for t in texts]
    windows = [1 + max(0, -(-(length - 40) // 38)) for length in lengths]
    assert found["prompts read"] == found["continuations read"] == sum(windows)


def test_salmonn(tmp_path) -> None:
    answerer = load_salmonn(defaults("salmonn") | write_salmonn(tmp_path), "cpu", "float32", 1.0)
    features = [torch.randn(40, 24, generator=torch.Generator().manual_seed(i)) for i in (0, 0, 1)]
    questions = ["How many?", "Which animal can be heard?", "Sad?"]
    assert_each_alone(answerer, questions, features, ["a", "a", "b"])
    with counted() as found:
        answerer.choose(questions, features, OPTIONS, clips=["a", "a", "b"])
    with counted() as apart:
        answerer.choose(questions, features, OPTIONS)
    assert apart["prefill positions"] - found["prefill positions"] >= 40


def test_audio(tmp_path) -> None:
    kind = "qwen2_audio"
    folder = build_audio(kind, tmp_path / "model")
    settings = defaults("hf_audio") | {"model": str(folder)}
    model = load_full(folder, "cpu", "float32", trust_remote_code=False)
    adapter = str(write_adapter(model, tmp_path / "adapter", LORA_TARGETS[kind]))
    answerer = load_audio(settings, "cpu", "float32", 1.0, adapter)
    features = [
        torch.randn(
            30, model.config.text_config.hidden_size, generator=torch.Generator().manual_seed(i)
        )
        for i in (0, 0, 1)
    ]
    assert_each_alone(answerer, AUDIO_QUESTIONS[:3], features, ["a", "a", "b"])


def test_speech(tmp_path) -> None:
    folder = build("english", tmp_path / "model")
    base = load_speech(settings_of(folder), "cpu", "float32", None, None).model
    adapter = write_adapter(base, tmp_path / "adapter", r".*decoder.*(q_proj|fc1)")
    answerer = load_speech(settings_of(folder), "cpu", "float32", 1.0, str(adapter))
    features = [torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    assert_each_alone(answerer, ["", ""], features, options=[["one two", "three"], ["four"]])

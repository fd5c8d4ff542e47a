"""LoRA adapters of recognisers, against peft's own models."""

from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForSpeechSeq2Seq

from lorascope.errors import UserError
from lorascope.models.hf_speech.answerer import load
from lorascope.models.hf_speech.encoder import load as load_encoder
from tests.support.outside_training import EVERYWHERE, train_outside
from tests.support.speech_cases import (
    FIXTURES,
    GREEDY,
    noise,
    own_tokens,
    said,
    scaled,
    settings_of,
)
from tests.support.tiny_audio_models import write_adapter
from tests.support.tiny_speech_models import build

folder, waves, features, own = FIXTURES
TEXTS = ["one two", "three", "four five six", "seven"]
SCALINGS = [0.0, 0.5, 1.0, 2.0]


def answered(folder: Path, adapter: Path | None, scaling: float | None, features, **changes):
    answerer = load(settings_of(folder, **changes), "cpu", "float32", scaling, adapter)
    found = answerer.answer([""] * len(features), features, GREEDY, [0] * len(features))
    return answerer, said(found, answerer.eos_token_ids[0])


def own_answers(folder: Path, adapter: Path, scaling: float, waves) -> list[list[int]]:
    base = AutoModelForSpeechSeq2Seq.from_pretrained(folder)
    model = scaled(PeftModel.from_pretrained(base, adapter), scaling).eval()
    return [own_tokens(model.base_model.model, folder, wave) for wave in waves]


@pytest.fixture(scope="module")
def english(tmp_path_factory) -> Path:
    return build("english", tmp_path_factory.mktemp("models") / "english")


@pytest.fixture(scope="module")
def trained(english, tmp_path_factory) -> Path:
    return train_outside(english, tmp_path_factory.mktemp("trained"), noise(), TEXTS)


@pytest.fixture(scope="module")
def trained_everywhere(english, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("everywhere")
    return train_outside(english, out, noise(), TEXTS, targets=EVERYWHERE)


def test_an_adapter_trained_outside_says_what_peft_says(english, trained) -> None:
    features = load_encoder(settings_of(english), "cpu").encode(noise())
    found = {}
    for scaling in SCALINGS:
        answerer, found[scaling] = answered(english, trained, scaling, features)
        assert (answerer.lora_scaling, answerer.parameters_adapted) == (scaling, 10)
        assert found[scaling] == own_answers(english, trained, scaling, noise())
    assert found[0.0] == answered(english, None, None, features)[1]
    assert found[0.0] != found[0.5] != found[1.0] != found[0.0]
    assert answered(english, trained, None, features)[0].lora_scaling == 2.0


def test_an_adapter_of_the_encoder_runs_it_for_every_answer(english, trained_everywhere) -> None:
    settings = settings_of(english, encode_once=False)
    features = load_encoder(settings, "cpu").encode(noise())
    found = []
    for scaling in (0.0, 0.5, 1.0):
        answerer, tokens = answered(
            english, trained_everywhere, scaling, features, encode_once=False
        )
        assert tokens == own_answers(english, trained_everywhere, scaling, noise())
        assert answerer.adapted_outside()
        found.append(tokens)
    assert found[0] != found[1] != found[2]


def test_an_adapter_of_the_encoder_is_refused_where_clips_are_encoded_once(
    english, trained, trained_everywhere
) -> None:
    with pytest.raises(UserError) as raised:
        load(settings_of(english), "cpu", "float32", 1.0, trained_everywhere)
    assert str(raised.value) == (
        f"encode_once: {trained_everywhere} adapts the encoder (model.encoder.layers.0.self_attn."
        "q_proj, model.encoder.layers.0.self_attn.v_proj, model.encoder.layers.1.self_attn.q_proj, "
        "model.encoder.layers.1.self_attn.v_proj), so that features encoded once are not its own. "
        "Set encode_once: false of the model."
    )
    decoder_alone = load(settings_of(english), "cpu", "float32", 1.0, trained)
    assert decoder_alone.adapted_outside() == []


def test_every_kind_is_scaled(folder, own, waves, features, tmp_path) -> None:
    base = AutoModelForSpeechSeq2Seq.from_pretrained(folder)
    adapter = write_adapter(base, tmp_path / "adapter", r".*decoder\..*\.(k_proj|o_proj|out_proj)")
    scalings = (0.0, 1.0, 4.0)
    found = [answered(folder, adapter, scaling, features)[1] for scaling in scalings]
    assert found == [own_answers(folder, adapter, scaling, waves) for scaling in scalings]
    assert found[0] == [own_tokens(own, folder, wave) for wave in waves]
    assert found[0] != found[2]


def test_an_adapter_beside_or_of_another_model_is_refused(english, trained, tmp_path) -> None:
    moonshine = build("moonshine", tmp_path / "moonshine")
    with pytest.raises(UserError, match="for another model"):
        load(settings_of(moonshine), "cpu", "float32", 1.0, trained)
    for path in english.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "adapter_config.json").symlink_to(trained / "adapter_config.json")
    with pytest.raises(UserError, match="an adapter lies with the model"):
        load(settings_of(tmp_path), "cpu", "float32", None, None)
    with pytest.raises(UserError, match="touches no layer"):
        load(settings_of(english), "cpu", "float32", 1.0, None)

"""LoRA adapters of audio language models, against peft's own models."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from lorascope.errors import UserError
from lorascope.models.hf_audio.answerer import load as load_answerer
from lorascope.models.hf_audio.encoder import load as load_encoder
from tests.support.audio_cases import (
    EVERYWHERE,
    FIXTURES,
    GREEDY,
    MODELS,
    QUESTIONS,
    own_inputs,
    own_processor,
    own_tokens,
    settings_of,
)
from tests.support.tiny_audio_models import LORA_TARGETS, write_adapter

kind, folder, settings, waves, features, answerer, own = FIXTURES

# ------------------------------------------------------------------------------------ adapters


@pytest.fixture(scope="module")
def adapter(kind, folder, tmp_path_factory) -> Path:
    model = MODELS[kind].from_pretrained(folder)
    return write_adapter(model, tmp_path_factory.mktemp("adapters") / kind, LORA_TARGETS[kind])


def peft_tokens(kind, folder, adapter, scaling: float, text: str, wave) -> list[int]:
    """Return the greedy answer of peft's own model, whose layers are set to a scaling."""
    model = PeftModel.from_pretrained(MODELS[kind].from_pretrained(folder), adapter)
    for module in model.modules():
        if hasattr(module, "lora_A"):
            module.scaling["default"] = scaling
    return own_tokens(model.base_model.model, own_inputs(own_processor(kind, folder), text, wave))


@pytest.mark.parametrize("scaling", [None, 0.0, 1.0, 2.0, 3.5])
def test_scaled_answers_are_pefts(kind, folder, settings, adapter, waves, features, scaling):
    answerer = load_answerer(settings, "cpu", "float32", scaling, str(adapter))
    assert answerer.lora_scaling == (2.0 if scaling is None else scaling)
    assert answerer.parameters_adapted == 4
    answer = answerer.answer(QUESTIONS[:1], features[:1], GREEDY, [0])[0]
    text = answerer.prompt(QUESTIONS[0])
    assert answer.tokens == peft_tokens(
        kind, folder, adapter, answerer.lora_scaling, text, waves[0]
    )


def test_scalings_make_a_difference(settings, adapter, answerer, features):
    found = []
    for scaling in (0.0, 1.0, 2.0):
        adapted = load_answerer(settings, "cpu", "float32", scaling, str(adapter))
        found.append([a.tokens for a in adapted.answer(QUESTIONS, features, GREEDY, [0] * 3)])
    plain = [a.tokens for a in answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)]
    assert found[0] == plain
    assert found[0] != found[1] != found[2] != found[0]


def test_names_of_older_transformers(kind, settings, adapter, features, tmp_path):
    if kind == "phi4_multimodal":
        pytest.skip("its names have always been these")
    older = shutil.copytree(adapter, tmp_path / "older")
    tensors = load_file(older / "adapter_model.safetensors")
    renamed = {
        name.replace("model.language_model.", "language_model.model.", 1).replace(
            "base_model.language_model.model.", "base_model.model.language_model.model.", 1
        ): tensor
        for name, tensor in tensors.items()
    }
    assert all(n.startswith("base_model.model.language_model.model.layers") for n in renamed)
    save_file(renamed, older / "adapter_model.safetensors")
    if kind == "qwen2_5_omni":  # which was named otherwise
        with pytest.raises(UserError, match="lacks tensors of adapted layers"):
            load_answerer(settings, "cpu", "float32", None, str(older))
        return
    answers = [
        load_answerer(settings, "cpu", "float32", None, str(path)).answer(
            QUESTIONS, features, GREEDY, [0] * 3
        )
        for path in (adapter, older)
    ]
    assert answers[0] == answers[1]


def test_an_adapted_audio_encoder_cannot_be_encoded_once(
    kind, folder, settings, waves, features, tmp_path
):
    model = MODELS[kind].from_pretrained(folder)
    adapter = write_adapter(model, tmp_path / "everywhere", EVERYWHERE)
    with pytest.raises(UserError, match="Set encode_once: false"):
        load_answerer(settings, "cpu", "float32", None, str(adapter))
    settings = settings | {"encode_once": False}
    waveforms = load_encoder(settings, "cpu").encode(waves)
    found = []
    for scaling in (0.0, 1.5):
        answerer = load_answerer(settings, "cpu", "float32", scaling, str(adapter))
        answer = answerer.answer(QUESTIONS[:1], waveforms[:1], GREEDY, [0])[0]
        text = answerer.prompt(QUESTIONS[0])
        assert answer.tokens == peft_tokens(kind, folder, adapter, scaling, text, waves[0])
        found.append(answer.tokens)
    assert found[0] != found[1]


def test_an_adapter_in_the_models_folder(
    kind, folder, adapter, features, own, waves, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "lorascope")
    both = shutil.copytree(folder, tmp_path / "both")
    for file in adapter.glob("adapter_*"):
        shutil.copy(file, both)
    settings = settings_of(both)
    plain, bundled, scaled = (
        load_answerer(settings, "cpu", "float32", scaling, None) for scaling in (0.0, None, 1.0)
    )
    assert [a.lora_scaling for a in (plain, bundled, scaled)] == [0.0, 2.0, 1.0]
    assert "the adapter that lies with the model" in caplog.text
    tokens = [
        a.answer(QUESTIONS[:1], features[:1], GREEDY, [0])[0].tokens for a in (plain, bundled)
    ]
    model, processor = own
    inputs = own_inputs(processor, plain.prompt(QUESTIONS[0]), waves[0])
    assert tokens[0] == own_tokens(model, inputs)
    with_adapter = MODELS[kind].from_pretrained(both)  # transformers attaches it by itself
    assert tokens[1] == own_tokens(with_adapter, inputs) != tokens[0]
    assert torch.equal(load_encoder(settings, "cpu").encode(waves)[0], features[0])
    fresh = MODELS[kind].from_pretrained(folder)
    other = write_adapter(fresh, tmp_path / "other", LORA_TARGETS[kind], seed=5)
    replaced = load_answerer(settings, "cpu", "float32", None, str(other))
    alone = load_answerer(settings_of(folder), "cpu", "float32", None, str(other))
    assert replaced.answer(QUESTIONS, features, GREEDY, [0] * 3) == alone.answer(
        QUESTIONS, features, GREEDY, [0] * 3
    )


def test_an_adapter_of_another_model(settings, adapter, tmp_path):
    other = shutil.copytree(adapter, tmp_path / "other")
    tensors = load_file(other / "adapter_model.safetensors")
    tensors |= {next(iter(tensors)): torch.zeros(4, 7)}
    save_file(tensors, other / "adapter_model.safetensors")
    with pytest.raises(UserError, match="does not fit the model"):
        load_answerer(settings, "cpu", "float32", None, str(other))


def test_a_scaling_without_an_adapter(settings):
    with pytest.raises(UserError, match="the model has no adapter"):
        load_answerer(settings, "cpu", "float32", 1.0, None)

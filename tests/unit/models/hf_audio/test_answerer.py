"""Audio language models of transformers, random and tiny, against their own generation."""

import json

import pytest
import torch

from lorascope.models.hf_audio.answerer import load as load_answerer
from lorascope.models.hf_audio.encoder import load as load_encoder
from tests.support.audio_cases import (
    FIXTURES,
    GREEDY,
    NEW,
    QUESTIONS,
    own_inputs,
    own_tokens,
)

kind, folder, settings, waves, features, answerer, own = FIXTURES

# --------------------------------------------------------------------------------- equivalence


@pytest.mark.parametrize("encode_once", [True, False])
def test_answers_are_the_models_own(settings, own, waves, encode_once):
    model, processor = own
    settings = settings | {"encode_once": encode_once}
    features = load_encoder(settings, "cpu").encode(waves)
    answerer = load_answerer(settings, "cpu", "float32", None, None)
    answers = answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)
    for question, wave, answer in zip(QUESTIONS, waves, answers, strict=True):
        inputs = own_inputs(processor, answerer.prompt(question), wave)
        assert answer.tokens == own_tokens(model, inputs)
        assert answer.prompt_tokens == inputs["input_ids"].shape[1]
    assert len({tuple(answer.tokens) for answer in answers}) == 3


@torch.inference_mode()
def test_prompt_logits_are_the_models_own(answerer, own, waves, features):
    model, processor = own
    for question, wave, encoded in zip(QUESTIONS, waves, features, strict=True):
        inputs = own_inputs(processor, answerer.prompt(question), wave)
        row = answerer.embed(question, encoded)
        ours = answerer.model(inputs_embeds=row[None]).logits
        torch.testing.assert_close(ours, model(**inputs).logits, rtol=0, atol=1e-4)


def test_audio_matters(answerer, features):
    same = ["Which animal can be heard?"] * 3
    answers = answerer.answer(same, features, GREEDY, [0] * 3)
    assert len({tuple(answer.tokens) for answer in answers}) == 3


# ------------------------------------------------------------------------------------- batches


def test_features_do_not_depend_on_the_batch(settings, waves, features):
    encoder = load_encoder(settings, "cpu")
    for wave, encoded in zip(waves, features, strict=True):
        assert torch.equal(encoder.encode([wave])[0], encoded)
    assert all(f.dtype == torch.float32 and f.dim() == 2 for f in features)
    assert len({len(f) for f in features}) == 3


@pytest.mark.parametrize("generation", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_rows_do_not_influence_each_other(answerer, features, generation):
    generation = GREEDY | generation
    seeds = [11, 12, 13]
    together = answerer.answer(QUESTIONS, features, generation, seeds)
    for row in range(3):
        alone = answerer.answer(QUESTIONS[row:][:1], [features[row]], generation, seeds[row:][:1])
        assert alone == together[row : row + 1]


def test_features_and_waveforms_go_together(settings, answerer, waves, features):
    waveforms = load_encoder(settings | {"encode_once": False}, "cpu").encode(waves)
    mixed = [features[0], waveforms[1], features[2]]
    assert answerer.answer(QUESTIONS, mixed, GREEDY, [0] * 3) == answerer.answer(
        QUESTIONS, features, GREEDY, [0] * 3
    )


def test_the_folders_generation_defaults_do_not_matter(answerer, folder):
    settings = answerer.effective_generation(GREEDY, 7)
    assert (settings["do_sample"], settings["repetition_penalty"]) == (False, 1.0)
    listed = json.loads((folder / "generation_config.json").read_text())
    assert listed["do_sample"] and settings["eos_token_id"] == listed["eos_token_id"]


def test_bfloat16(settings, waves, features):
    answerer = load_answerer(settings, "cpu", "bfloat16", None, None)
    assert answerer.embed("Sad?", features[0]).dtype == torch.bfloat16
    answers = answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)
    assert all(0 < len(answer.tokens) <= NEW for answer in answers)

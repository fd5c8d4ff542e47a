"""Likelihoods of options after a clip and a question, and the turns before it."""

import pytest
import torch

from lorascope.errors import UserError
from lorascope.models.hf_audio import FAMILY
from lorascope.models.hf_audio.answerer import load as load_answerer
from lorascope.models.hf_audio.architecture import load_full
from lorascope.models.hf_audio.encoder import load as load_encoder
from lorascope.models.protocol import Dialogue
from tests.support.audio_cases import FIXTURES, GREEDY, QUESTIONS, own_inputs
from tests.support.likelihoods import as_expected, assert_close
from tests.support.tiny_audio_models import LORA_TARGETS, write_adapter

kind, folder, settings, waves, features, answerer, own = FIXTURES
OPTIONS = [[" (a) dog", " (b) cat", " cow"], [" dog"], [" Spain", " the language of France"]]


@torch.inference_mode()
def own_likelihoods(own, prompt, wave, answerer, options):
    """Return what the model itself says of each option after a prompt and its clip."""
    model, processor = own
    inputs, found = own_inputs(processor, prompt, wave), []
    for option in options:
        ids = answerer.prompter.tokenizer(option.lstrip(), add_special_tokens=False).input_ids
        ids = torch.tensor([ids])
        given = inputs | {
            "input_ids": torch.cat([inputs["input_ids"], ids], 1),
            "attention_mask": torch.ones(1, inputs["input_ids"].shape[1] + ids.shape[1]).long(),
        }
        scores = model(**given).logits[0, -ids.shape[1] - 1 : -1].float().log_softmax(-1)
        total = scores.gather(1, ids.T).double().sum().item()
        found.append((total, ids.shape[1], bool((scores.argmax(-1) == ids[0]).all())))
    return found


@pytest.mark.parametrize("encode_once", [True, False])
def test_options_have_the_models_own_likelihoods(settings, own, waves, encode_once):
    settings = settings | {"encode_once": encode_once}
    features = load_encoder(settings, "cpu").encode(waves)
    answerer = load_answerer(settings, "cpu", "float32", None, None)
    together = answerer.choose(QUESTIONS, features, OPTIONS)
    for i, found in enumerate(together):
        prompt = answerer.prompt(QUESTIONS[i])
        assert_close(found, own_likelihoods(own, prompt, waves[i], answerer, OPTIONS[i]))
        assert found.prompt_tokens == len(answerer.embed(QUESTIONS[i], features[i]))
        (alone,) = answerer.choose([QUESTIONS[i]], [features[i]], [OPTIONS[i]])
        assert_close(alone, as_expected(found))


def test_an_adapters_scaling_is_in_force(kind, folder, settings, answerer, features, tmp_path):
    model = load_full(folder, "cpu", "float32", trust_remote_code=False)
    adapter = str(write_adapter(model, tmp_path / "adapter", LORA_TARGETS[kind]))
    found = []
    for scaling in (0.0, 1.0, 2.0):
        adapted = load_answerer(settings, "cpu", "float32", scaling, adapter)
        found.append([one.sums for one in adapted.choose(QUESTIONS, features, OPTIONS)])
        for row, one in enumerate(found[-1]):
            (alone,) = adapted.choose(QUESTIONS[row:][:1], [features[row]], OPTIONS[row:][:1])
            assert alone.sums == pytest.approx(one, rel=0, abs=1e-4)
    plain = [one.sums for one in answerer.choose(QUESTIONS, features, OPTIONS)]
    assert found[0] == plain
    assert abs(found[1][0][0] - found[2][0][0]) > 1e-3 < abs(found[1][0][0] - plain[0][0])


def test_a_clip_that_is_not_finite_leaves_its_neighbours(answerer, features):
    sound = answerer.choose(QUESTIONS, features, OPTIONS)
    broken = [features[0], features[1].clone(), features[2]]
    broken[1][1, 2] = float("nan")
    found = answerer.choose(QUESTIONS, broken, OPTIONS)
    assert not torch.tensor(found[1].sums).isfinite().any()
    for row in (0, 2):
        assert_close(found[row], as_expected(sound[row]))


def test_responses_end_at_stop_strings(answerer, features):
    free = answerer.answer(QUESTIONS, features, GREEDY, [0] * 3)
    decode = answerer.prompter.tokenizer.decode
    stop = next(c for c in decode(free[0].tokens)[1:] if c.isascii())
    ended = answerer.answer(QUESTIONS, features, GREEDY | {"stop": [stop]}, [0] * 3)
    assert ended[0].finish_reason == "stop"
    for one, whole in zip(ended, free, strict=True):
        assert stop not in decode(one.tokens[:-1])
        assert one.tokens == whole.tokens[: len(one.tokens)]
        if one.finish_reason != "stop":
            assert one == whole
    for row in range(3):
        alone = answerer.answer(
            QUESTIONS[row:][:1], [features[row]], GREEDY | {"stop": [stop]}, [0]
        )
        assert alone == ended[row : row + 1]


def test_too_long_an_option_is_refused(answerer, features):
    with pytest.raises(UserError, match=r"reads at once.*starts 'Sad\?'"):
        answerer.choose(["Sad?"], features[:1], [["dog" * 1100]])


# -------------------------------------------------------------------------------- dialogues


def test_turns_are_texts_before_the_clips(settings, answerer, own, waves, features):
    asked = Dialogue("Sad?", "One letter.", (("Two? (a) cow", "(a)"), ("Three? (b) cat", "(b)")))
    prompt = answerer.prompt(asked)
    parts = ["One letter.", "Two? (a) cow", "(a)", "Three? (b) cat", "(b)", "Sad?"]
    places = []
    for part in parts:
        places.append(prompt.index(part, places[-1] if places else 0))
    assert places[-2] < prompt.index(answerer.prompter.audio_token)
    assert prompt.count(answerer.prompter.audio_token) == 1
    (found,) = answerer.choose([asked], features[:1], OPTIONS[:1])
    assert_close(found, own_likelihoods(own, prompt, waves[0], answerer, OPTIONS[0]))
    told = load_answerer(settings | {"system": "Never."}, "cpu", "float32", None, None)
    assert told.prompt(asked) == prompt
    assert told.prompt(Dialogue("Sad?")) == told.prompt("Sad?")
    assert FAMILY.takes_dialogues(None)


def test_turns_that_cannot_be_said_are_refused(answerer, monkeypatch):
    mark = answerer.prompter.audio_token
    for asked in (Dialogue("Sad?", turns=((mark, "2"),)), Dialogue("Sad?", system=mark)):
        with pytest.raises(UserError, match="the mark of the audio"):
            answerer.prompt(asked)
    monkeypatch.setattr(answerer.prompter, "template", mark + "{{ messages[-1].content }}")
    with pytest.raises(UserError, match=r"with turns before it\. Put what the dataset says"):
        answerer.prompt(Dialogue("Sad?", turns=(("Two?", "2"),)))

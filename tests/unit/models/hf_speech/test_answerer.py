"""Transcripts equal those of transformers' own generate, whatever they are batched with."""

import numpy as np
import pytest
import torch

from lorascope.errors import UserError
from lorascope.models.hf_speech.answerer import load
from lorascope.models.hf_speech.encoder import load as load_encoder
from lorascope.models.hf_speech.reading import transcripts
from lorascope.models.protocol import Dialogue, NonFiniteError
from tests.support.speech_cases import FIXTURES, GREEDY, own_tokens, said, settings_of
from tests.support.tiny_speech_models import WIDTH, build

folder, waves, features, own = FIXTURES


@pytest.fixture(scope="module")
def answerer(folder):
    return load(settings_of(folder), "cpu", "float32", None, None)


def ask(answerer, features, **changes):
    seeds = [11 + i for i in range(len(features))]
    return answerer.answer([""] * len(features), features, GREEDY | changes, seeds)


def end(answerer) -> int:
    return answerer.eos_token_ids[0]


@pytest.mark.parametrize(
    "changes",
    [{}, {"num_beams": 3}, {"num_beams": 2, "length_penalty": 2.0}, {"repetition_penalty": 1.7}],
    ids=["greedy", "beams", "longer beams", "repetition penalty"],
)
def test_answers_are_those_of_transformers(answerer, folder, own, waves, features, changes) -> None:
    found = said(ask(answerer, features, **changes), end(answerer))
    assert found == [own_tokens(own, folder, wave, **changes) for wave in waves]
    assert len({tuple(tokens) for tokens in found}) > 2  # the model hears its clips


def test_the_encoder_may_run_for_every_answer(folder, answerer, waves, features) -> None:
    settings = settings_of(folder, encode_once=False)
    encoder = load_encoder(settings, "cpu")
    heard = encoder.encode(waves)
    assert [tuple(wave.shape) for wave in heard] == [(len(wave), 1) for wave in waves]
    every = load(settings, "cpu", "float32", None, None)
    assert ask(every, heard) == ask(answerer, features)


@pytest.mark.parametrize(
    "changes", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": 20, "top_p": 0.8}]
)
def test_a_row_does_not_depend_on_its_neighbours(answerer, features, changes) -> None:
    together = ask(answerer, features, **changes)
    alone = [
        answerer.answer([""], [clip], GREEDY | changes, [11 + i])[0]
        for i, clip in enumerate(features)
    ]
    assert together == alone


def test_a_seed_draws_and_never_what_may_not_be_said(answerer, features) -> None:
    start = answerer.start
    drawn = {
        tuple(answerer.answer([""], features[:1], GREEDY | {"do_sample": True}, [seed])[0].tokens)
        for seed in range(20)
    }
    assert len(drawn) > 10
    assert not {token for tokens in drawn for token in tokens} & {*start.never}
    assert not {tokens[0] for tokens in drawn} & {*start.never_first}


def test_half_precision_answers(folder, features) -> None:
    answers = ask(load(settings_of(folder), "cpu", "bfloat16", None, None), features)
    assert {len(answer.tokens) for answer in answers} <= {*range(1, GREEDY["max_new_tokens"] + 1)}


@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_not_finite_ends_a_row_alone(answerer, features, beams) -> None:
    broken = [features[0], torch.full_like(features[1], torch.nan), features[2]]
    found, whole = (ask(answerer, rows, num_beams=beams) for rows in (broken, features))
    assert (found[1].finish_reason, found[1].tokens, found[1].text) == ("nonfinite", [], "")
    assert [found[0], found[2]] == [whole[0], whole[2]]


def test_stop_strings_end_an_answer(answerer, features) -> None:
    whole = ask(answerer, features)
    word = answerer.tokenizer.decode(whole[1].tokens[3:5])
    found = ask(answerer, features, stop=[word])
    assert found[1].finish_reason == "stop"
    assert found[1].text == whole[1].text.partition(word)[0]


def test_features_are_the_encoders_last_hidden_states(folder, own, waves, features) -> None:
    encoder = load_encoder(settings_of(folder), "cpu")
    assert {clip.shape[1] for clip in features} == {WIDTH}
    assert {clip.dtype for clip in features} == {torch.float32}
    alone = encoder.encode(waves[1:2])[0]
    assert torch.equal(alone, features[1])
    inputs = encoder.ears.inputs(waves[1])
    with torch.no_grad():
        hidden = own.get_encoder()(inputs[None]).last_hidden_state[0]
    assert torch.equal(features[1], hidden)


def test_what_an_encoder_hears(tmp_path) -> None:
    whisper = load_encoder(settings_of(build("english", tmp_path / "whisper")), "cpu")
    assert [whisper.hears(samples) for samples in (100, 32000, 40000)] == [100, 32000, 32000]
    moonshine = load_encoder(settings_of(build("moonshine", tmp_path / "moonshine")), "cpu")
    assert moonshine.hears(40000) == 40000
    with pytest.raises(UserError, match=r"clip 1 of the batch: 100 samples are too short"):
        moonshine.encode([np.zeros(16000, np.float32), np.zeros(100, np.float32)])


def test_features_that_are_not_finite_are_told(folder, waves) -> None:
    encoder = load_encoder(settings_of(folder), "cpu")
    with pytest.raises(NonFiniteError) as raised:
        encoder.encode([waves[0], np.full(16000, np.nan, np.float32)])
    assert torch.isfinite(raised.value.features[0]).all()


def test_likelihoods_are_those_of_a_forward_of_ones_own(answerer, own, features) -> None:
    options = [[" a", " bcd", "efghij"], [" xy"], [" k", " lm"], [" no", " yes"]]
    found = answerer.choose([""] * 4, features, options)
    for i, (texts, likelihoods) in enumerate(zip(options, found, strict=True)):
        clips = answerer.read(features[i : i + 1])
        start = answerer.starts(clips)[0]
        for text, total, count in zip(texts, likelihoods.sums, likelihoods.tokens, strict=True):
            ids = answerer.tokenizer(text, add_special_tokens=False).input_ids
            row = torch.cat([start, torch.tensor(ids)])[None]
            with torch.no_grad():
                scores = own(encoder_outputs=clips, decoder_input_ids=row).logits[0].log_softmax(-1)
            places = range(len(start) - 1, row.shape[1] - 1)
            expected = sum(scores[p, row[0, p + 1]].item() for p in places)
            assert (total, count) == (pytest.approx(expected, abs=1e-4), len(ids))
        assert likelihoods.prompt_tokens == len(start)
    again = answerer.choose([""] * 2, features[1:3], options[1:3])
    for one, other in zip(again, found[1:3], strict=True):
        assert one.sums == pytest.approx(other.sums, abs=1e-5)


def test_the_likeliest_transcript_is_greedy(answerer, own, features) -> None:
    clips = answerer.read(features[:1])
    [start] = answerer.starts(clips)
    row = start[None]
    with torch.no_grad():
        for _ in range(4):
            scores = own(encoder_outputs=clips, decoder_input_ids=row).logits[:, -1]
            row = torch.cat([row, scores.argmax(-1)[:, None]], 1)
    likeliest = row[0, len(start) :].tolist()
    other = [*likeliest[:-1], likeliest[-1] - 1]
    [found] = transcripts(answerer.model, clips, [start], [[likeliest, other]])
    assert found.greedy == (True, False)
    assert found.sums[0] > found.sums[1]


def test_bad_questions_are_refused(answerer, features) -> None:
    for question, message in (
        ("What is said?", "a recogniser takes no question, and is asked 'What is said"),
        (Dialogue("", "Listen."), "the question has turns before it"),
    ):
        with pytest.raises(UserError, match=message):
            answerer.answer([question], features[:1], GREEDY, [0])
    with pytest.raises(UserError, match=f"features of width 7 for a decoder of width {WIDTH}"):
        ask(answerer, [torch.zeros(50, 7)])
    with pytest.raises(UserError, match="a continuation has no tokens"):
        answerer.choose([""], features[:1], [["", "a"]])
    with pytest.raises(ValueError, match="without a clip"):
        ask(answerer, [None])


def test_an_answer_longer_than_the_decoder_is_refused(tmp_path, waves) -> None:
    folder = build("english", tmp_path / "model")
    features = load_encoder(settings_of(folder), "cpu").encode(waves[:1])
    answerer = load(settings_of(folder), "cpu", "float32", None, None)
    with pytest.raises(UserError, match=r"max_new_tokens: 2 tokens .* 63 more .* Lower it to 62\."):
        ask(answerer, features, max_new_tokens=63)
    assert ask(answerer, features, max_new_tokens=62)

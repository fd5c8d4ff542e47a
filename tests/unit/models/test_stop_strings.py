"""Responses end at the first stop string of their decoded text, whatever is decoded beside them."""

from itertools import chain
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from lorascope.models.decoding import trim
from lorascope.models.hf_text import answerer
from lorascope.models.stop_strings import Stopping, StopStrings
from tests.support.basics import GREEDY
from tests.support.likelihoods import stopped
from tests.support.settings import defaults
from tests.support.tiny_text_files import (
    BATCH,
    BOS,
    EOS,
    EOT,
    MODELS,
    write_both,
    write_model,
)

LONG = GREEDY | {"max_new_tokens": 16}
GENERATIONS = {
    "greedy": LONG,
    "penalised": LONG | {"repetition_penalty": 1.3},
    "sampled": LONG | {"do_sample": True, "temperature": 1.5},
}


@pytest.fixture(scope="module", params=MODELS)
def files(request, tmp_path_factory) -> tuple[Path, Path]:
    return write_both(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return load(write_model(tmp_path_factory.mktemp("one")))


@pytest.fixture
def tokenizer(llama):
    return llama.tokenizer


def load(model: Path, scaling=None, adapter=None):
    settings = defaults("hf_text") | {"model": str(model)}
    return answerer.load(settings, "cpu", "float32", scaling, adapter and str(adapter))


def answer(model, questions, generation, size=16):
    found = []
    for start in range(0, len(questions), size):
        asked = questions[start : start + size]
        seeds = [BATCH.index(question) for question in asked]
        found += model.answer(asked, [None] * len(asked), generation, seeds)
    return found


def some_of(texts: list[str]) -> list[str]:
    """Return strings of some of the texts, of one to three characters."""
    found = [text[2 + i % 4 :][: 1 + i % 3] for i, text in enumerate(texts[:9])]
    return [string for string in found if string and "\ufffd" not in string]


# ------------------------------------------------------------------------ whole responses


@pytest.mark.parametrize(
    ("kind", "scaling"),
    [*(("greedy", s) for s in (None, 0.0, 1.0, 2.0)), ("penalised", 2.0), ("sampled", 2.0)],
)
def test_responses_are_the_free_ones_cut_whatever_the_batch(files, kind, scaling):
    generation = GENERATIONS[kind]
    model = load(files[0], scaling, None if scaling is None else files[1])
    free = answer(model, BATCH, generation)
    stops = some_of([one.text for one in free])
    together = answer(model, BATCH, generation | {"stop": stops})
    for one, whole in zip(together, free, strict=True):
        found = (one.tokens, one.text, one.finish_reason)
        assert found == stopped(model.tokenizer, whole.tokens, model.eos_token_ids, stops)
    ends = [one.finish_reason for one in together]
    assert ends.count("stop") > 1
    assert len({len(one.tokens) for one in together}) > 1
    for size in (1, 4):
        assert answer(model, BATCH, generation | {"stop": stops}, size) == together


def test_beams_end_as_transformers_own_do(files):
    model = load(*files[:1])
    generation = GREEDY | {"num_beams": 3, "max_new_tokens": 16}
    free = answer(model, BATCH[:8], generation)
    stops = some_of([one.text for one in free])
    together = answer(model, BATCH[:8], generation | {"stop": stops})
    assert answer(model, BATCH[:8], generation | {"stop": stops}, 1) == together
    assert "stop" in {one.finish_reason for one in together}
    own = AutoModelForCausalLM.from_pretrained(files[0])
    for question, one in zip(BATCH, together[:8], strict=False):
        assert not any(stop in one.text for stop in stops)
        ids = torch.tensor([model.prompt_ids(question)])
        output = own.generate(
            ids, num_beams=3, max_new_tokens=16, do_sample=False, stop_strings=stops,
            tokenizer=model.tokenizer, pad_token_id=1, attention_mask=torch.ones_like(ids),
        )  # fmt: skip
        assert one.tokens == output[0, ids.shape[1] :].tolist()[: len(one.tokens)]


def test_stop_strings_are_not_looked_for_in_the_prompt(llama):
    question = "Sad? Which animal"
    free = answer_one(llama, question, LONG)
    first = free.text[0]
    (stop,) = [f"l{first}"]  # its first letter is the prompt's last
    assert stop not in free.text
    assert answer_one(llama, question, LONG | {"stop": [stop]}) == free


def answer_one(model, question, generation):
    return model.answer([question], [None], generation, [0])[0]


def test_without_stop_strings_nothing_looks_for_them(llama, monkeypatch):
    monkeypatch.setattr(StopStrings, "__init__", None)
    assert answer_one(llama, "Sad?", GREEDY | {"stop": []}) == answer_one(llama, "Sad?", GREEDY)


def test_the_settings_in_force_name_them(llama):
    assert llama.effective_generation(GREEDY | {"stop": ["\n", "Q:"]}, 7)["stop"] == ["\n", "Q:"]
    assert llama.effective_generation(GREEDY, 7)["stop"] == []


def test_a_response_may_be_cut_to_nothing(llama):
    free = answer_one(llama, "Sad?", LONG)
    one = answer_one(llama, "Sad?", LONG | {"stop": [free.text[0]]})
    assert (one.text, one.finish_reason, one.tokens) == ("", "stop", free.tokens[:1])


def test_the_last_token_may_complete_one(llama):
    free = answer_one(llama, "Sad?", LONG)
    texts = [llama.tokenizer.decode(free.tokens[:n]) for n in range(len(free.tokens))]
    last = next(
        n for n in range(3, 16) if texts[n][-1].isascii() and texts[n][-1] not in texts[n - 1]
    )
    stop = texts[last][-1]
    one = answer_one(llama, "Sad?", LONG | {"stop": [stop], "max_new_tokens": last})
    assert (one.tokens, one.finish_reason) == (free.tokens[:last], "stop")
    assert one.text == texts[last][: -len(stop)]


# ------------------------------------------------------------------------ single rows


def pieces(tokenizer, *texts: str) -> list[int]:
    return [i for text in texts for i in tokenizer(text, add_special_tokens=False).input_ids]


@pytest.mark.parametrize(
    ("texts", "stops", "pieces", "text"),
    [
        (["st", "op"], ["stop"], 2, ""),
        (["a", "\n", "b"], ["\n"], 2, "a"),
        (["la", "s", "t", "o", "p"], ["top"], 5, "las"),
        (["a", "b", "c"], ["x"], None, "abc"),
        (["a", "b", "c"], ["c", "bc", "b"], 2, "a"),  # the first that is there
        (["a", "Which"], ["ch", "hi"], 2, "aW"),  # both by one token: the one that is before
        (["a", "é", "b"], ["é"], 2, "a"),  # of two bytes, which are two tokens
        (["é", "é"], ["é"], 1, ""),
        (["a", EOT, "b"], [EOT], 2, "a"),
        (["a", EOT, "b", "c"], ["c"], 4, "ab"),
        (["a", EOT, "b", EOT, "c"], [f"b{EOT}c"], 5, "a"),
        ([BOS, "a", EOT, "b", "a"], ["ba"], 5, "a"),
        (["a", EOT, "b"], [f"a{EOT}"], 2, ""),
        (["a", EOT, "b"], ["t|>"], 2, "a"),
        (["a", "<", "|eot|", ">", EOT, "b"], ["b"], 6, "a<|eot|>"),
    ],
)
def test_first_stop_string(tokenizer, texts, stops, pieces, text):
    strings = StopStrings(tokenizer, stops)
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    tokens = [*chain(*ids)]
    count = pieces and len([*chain(*ids[:pieces])])
    assert strings.count(tokens) == count
    assert strings.visible(tokens[:count]) == text
    at = [
        Stopping(strings, 0)(torch.tensor([tokens[:n]]), None).item() for n in range(1, len(tokens))
    ]
    assert at == [count is not None and n >= count for n in range(1, len(tokens))]


def test_eos_comes_first_or_the_stop_string_does(tokenizer):
    a, eos = tokenizer("a", add_special_tokens=False).input_ids[0], tokenizer.eos_token_id
    strings = StopStrings(tokenizer, ["aa", f"a{EOS}"])
    for tokens, kept, reason, text in (
        ([a, a, eos], 2, "stop", ""),
        ([7, a, eos, eos, a, a], 3, "eos", tokenizer.decode([7])),
        ([7, eos, a, a], 2, "eos", tokenizer.decode([7])),
        ([a, 7], 2, "length", tokenizer.decode([a, 7])),
    ):
        found = trim(tokens, [eos], strings)
        assert (found.tokens, found.finish_reason) == (tokens[:kept], reason)
        assert strings.visible(found.tokens) == text


def test_a_stop_string_far_behind_tokens_without_text_is_still_cut_at(tokenizer, monkeypatch):
    """Generation may go on after it, and the response is the same."""
    monkeypatch.setattr("lorascope.models.stop_strings._SPARE", 0)
    strings = StopStrings(tokenizer, ["ab"])
    tokens = tokenizer("abcccccccc", add_special_tokens=False).input_ids
    assert not Stopping(strings, 0)(torch.tensor([tokens]), None).item()
    assert trim(tokens, [1], strings).tokens == tokens[:2]

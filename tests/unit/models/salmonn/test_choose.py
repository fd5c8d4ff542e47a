"""Likelihoods of options, and stop strings, of a SALMONN."""

import pytest
import torch

from lorascope.errors import UserError
from lorascope.models.protocol import Dialogue
from lorascope.models.salmonn import FAMILY
from lorascope.models.salmonn.answerer import load
from tests.support.basics import GREEDY
from tests.support.likelihoods import as_expected, assert_close, plainly
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn

QUESTIONS = ["How many legs does it have?", "Which animal can be heard? (a) dog (b) cat", "Sad?"]
BATCH = [f"{QUESTIONS[i % 3]} ({i})" for i in range(16)]
OPTIONS = [" (a) dog", " (b) cat", " the language of France", " cow"]


@pytest.fixture(scope="module")
def answerer(tmp_path_factory):
    files = write_salmonn(tmp_path_factory.mktemp("salmonn"))
    return load(defaults("salmonn") | files, "cpu", "float32", 1.0)


@pytest.fixture(scope="module")
def features() -> list[torch.Tensor]:
    width = [torch.Generator().manual_seed(i) for i in range(16)]
    return [torch.randn(3 + i % 4, 24, generator=g) for i, g in enumerate(width)]


def choose(model, features, size=16):
    found = []
    for start in range(0, 16, size):
        part = slice(start, start + size)
        options = [OPTIONS[: 1 + len(q) % 4] for q in BATCH[part]]
        found += model.choose(BATCH[part], features[part], options)
    return found


@pytest.mark.parametrize("scaling", [0.0, 1.0, 2.0])
def test_options_have_the_likelihoods_of_plain_forwards(answerer, features, scaling):
    answerer.adapt(None, scaling)
    together = choose(answerer, features)
    for question, clip, found in zip(BATCH, features, together, strict=True):
        row = answerer.embed(question, clip)
        options = OPTIONS[: len(found.sums)]
        ids = [answerer.tokenizer(o.strip(), add_special_tokens=False).input_ids for o in options]
        assert_close(found, [plainly(answerer.llm, row, tokens) for tokens in ids])
        assert found.prompt_tokens == len(row)
    for size in (1, 4):
        for found, expected in zip(choose(answerer, features, size), together, strict=True):
            assert_close(found, as_expected(expected))


def test_responses_end_at_stop_strings(answerer, features):
    answerer.adapt(None, 1.0)
    free = answerer.answer(QUESTIONS, features[:3], GREEDY, [0] * 3)
    stop = free[1].text[4:6]
    ended = answerer.answer(QUESTIONS, features[:3], GREEDY | {"stop": [stop]}, [0] * 3)
    assert (ended[1].text, ended[1].finish_reason) == (
        free[1].text[: free[1].text.index(stop)],
        "stop",
    )
    assert len(ended[1].tokens) < len(free[1].tokens)
    assert all(stop not in one.text for one in ended)


def test_what_it_does_not_take(answerer, features):
    assert FAMILY.modes == ("generate", "choose", "drift")
    with pytest.raises(UserError, match="turns before it, which the model does not take"):
        answerer.choose([Dialogue("Sad?", "Be brief.")], features[:1], [[" dog"]])
    with pytest.raises(UserError, match=r"reads at once.*starts 'Sad\?'"):
        answerer.choose(["Sad?"], features[:1], [[" cow" * 3000]])

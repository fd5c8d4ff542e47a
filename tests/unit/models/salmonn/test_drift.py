"""Mode drift of a SALMONN: its own LoRA, or another, against the language model without one."""

import pytest
import torch

from lorascope.models import lora
from lorascope.models.salmonn.answerer import load, load_base
from tests.support.drifts import CLOSE, drift_of, largest_gap, plain_drift
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn

QUESTIONS = ["How many legs does it have?", "Which animal can be heard? (a) dog (b) cat", "Sad?"]
TEXTS = [" (a) dog", " (b) cat", " the language of France"]
FEATURES = [torch.randn(3 + i, 24, generator=torch.Generator().manual_seed(i)) for i in range(3)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return defaults("salmonn") | write_salmonn(tmp_path_factory.mktemp("salmonn"))


def read(model, over, scalings=None, size=3):
    found = []
    for start in range(0, 3, size):
        part = slice(start, start + size)
        given = QUESTIONS[part], FEATURES[part], TEXTS[part], {"over": over}
        found += map(drift_of, model.drift(*given, scalings and scalings[part]))
    return found


@pytest.mark.parametrize("over", ["prompt", "answer", "both"])
def test_numbers_are_those_of_two_models(settings, over):
    base, model = load_base(settings, "cpu", "float32"), load(settings, "cpu", "float32", 1.7)
    found = read(model, over)
    for i, one in enumerate(found):
        before, after = model.prompt_ids(QUESTIONS[i])
        head, tail = 1 + len(before), 1 + len(before) + len(FEATURES[i])
        tokens = model.tokenizer(TEXTS[i].strip(), add_special_tokens=False).input_ids
        end = tail + len(after)
        places = [*enumerate(before, 1), *enumerate(after, tail)] if over != "answer" else []
        places += [] if over == "prompt" else enumerate(tokens, end)
        embedded = base.llm.get_input_embeddings()(torch.tensor(tokens[:-1]))
        row = torch.cat([base.embed(QUESTIONS[i], FEATURES[i]), embedded])
        assert head < tail
        assert largest_gap(one, plain_drift((base.llm, model.llm), row, places)) < CLOSE
        assert one.ids == tuple(token for _, token in places)
        assert max(one.kl) > 0
    for one, other in zip(read(model, over, size=1), found, strict=True):
        assert largest_gap(one, vars(other)) < CLOSE
    assert lora.lora_layers(base.llm) == {}


def test_rows_have_scalings_of_their_own(settings):
    model = load(settings, "cpu", "float32", 1.0)
    found = read(model, "both", [0.0, 2.0, None])
    assert max(found[0].kl) == 0
    for i, scaling in ((1, 2.0), (2, 1.0)):
        model.adapt(None, scaling)
        assert largest_gap(found[i], vars(read(model, "both")[i])) < CLOSE

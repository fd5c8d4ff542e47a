"""A real SmolLM2, with an adapter and without, against lm-evaluation-harness item by item."""

import math

import pytest

from lorascope.models.hf_text.answerer import load
from tests.support.basics import GREEDY, shared_path
from tests.support.real_models import GOLDEN, harness_samples, real_model
from tests.support.settings import defaults

ITEMS = 2
GENERATIONS = {
    "xquad_numeric": {"stop": ["\n", "Question:", "<|im_end|>"], "max_new_tokens": 24},
    "gsm8k_2shot": {"stop": ["Question:", "</s>", "<|im_end|>"], "max_new_tokens": 96},
}


@pytest.fixture(scope="module", params=["base", "adapter"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name):
    settings = defaults("hf_text") | {"model": str(real_model("smollm2-135m-instruct"))}
    adapter = str(shared_path(f"{GOLDEN}/adapter")) if name == "adapter" else None
    return load(settings, "cpu", "float32", None, adapter)


def _length(sample) -> int:
    return len(sample.get("text", sample.get("prompt", "")))


def test_options(model, name):
    samples = sorted(harness_samples("xquad_choice", name), key=_length)[:ITEMS]
    prompts = [sample["prompt"] for sample in samples]
    found = model.choose(prompts, [None] * ITEMS, [s["continuations"] for s in samples])
    for one, sample in zip(found, samples, strict=True):
        assert one.sums == pytest.approx(sample["loglikelihoods"], rel=0, abs=1e-3)
        assert list(one.greedy) == sample["greedy"]


def test_passages(model, name):
    samples = sorted(harness_samples("xquad_perplexity", name), key=_length)[:ITEMS]
    texts = [sample["text"] for sample in samples]
    found = model.loss([""] * ITEMS, texts, {"window": None, "context": 1})
    for one, sample in zip(found, samples, strict=True):
        assert one.sums[0] == pytest.approx(sample["loglikelihood"], rel=0, abs=1e-3)
    words = sum(len(text.split()) for text in texts)
    total = sum(sample["loglikelihood"] for sample in samples)
    ours = math.exp(-sum(one.sums[0] for one in found) / words)
    assert ours == pytest.approx(math.exp(-total / words), rel=1e-5)


@pytest.mark.parametrize("task", GENERATIONS)
def test_responses(model, name, task):
    samples = sorted(harness_samples(task, name), key=lambda s: len(s["response"]))
    count = ITEMS if task == "xquad_numeric" else 1
    samples = samples[len(samples) // 2 :][:count]  # neither empty nor the longest
    prompts = [sample["prompt"] for sample in samples]
    found = model.answer(prompts, [None] * count, GREEDY | GENERATIONS[task], [0] * count)
    assert [one.text for one in found] == [sample["response"] for sample in samples]
    assert all(one.finish_reason in ("stop", "eos", "length") for one in found)

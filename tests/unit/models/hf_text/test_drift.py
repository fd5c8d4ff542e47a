"""Mode drift of text models, against transformers and peft: two models, and torch's kl_div."""

import math
from pathlib import Path

import pytest
import torch

from lorascope.errors import UserError
from lorascope.models.engine import drift
from lorascope.models.hf_text import answerer
from lorascope.models.hf_text.windows import windows
from tests.support.drifts import CLOSE, drift_of, largest_gap, plain_drift, two_models
from tests.support.settings import defaults
from tests.support.tiny_text_files import (
    BATCH,
    CHAT_TEMPLATE,
    MODELS,
    write_adapter,
    write_both,
    write_model,
)

TEXTS = [" dog", " a cat, of course", " the language of France", " 2"]
OVER = {"window": None, "context": 1, "over": "both"}
EVERYTHING = ["q_proj", "down_proj", "embed_tokens", "lm_head"]


@pytest.fixture(scope="module", params=MODELS)
def files(request, tmp_path_factory) -> tuple[Path, Path]:
    return write_both(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> tuple[Path, Path]:
    """A model with a chat template, and an adapter of all its kinds of layers."""
    folder = tmp_path_factory.mktemp("llama")
    model = write_model(folder / "model", chat_template=CHAT_TEMPLATE)
    return model, write_adapter(folder / "adapter", model, target_modules=EVERYTHING)


def load(model: Path, scaling=None, adapter=None, dtype="float32", **settings):
    settings = defaults("hf_text") | {"model": str(model)} | settings
    return answerer.load(settings, "cpu", dtype, scaling, adapter and str(adapter))


def texts(count: int) -> list[str]:
    return [TEXTS[i % 4] for i in range(count)]


def read(model, questions, size=16, scalings=None, **settings):
    found = []
    for start in range(0, len(questions), size):
        part = slice(start, start + size)
        asked, own = questions[part], scalings and scalings[part]
        given = [None] * len(asked), texts(len(questions))[part], OVER | settings, own
        found += map(drift_of, model.drift(asked, *given))
    return found


def expected_of(model, models, question, text, over):
    """What plain forwards say of a question's row, whose tokens are the reference's own."""
    prompt, (tokens,) = model._pair(question, [text])
    if over == "prompt":
        prompt, tokens = model.prompt_ids(question), []
    row, start = [*prompt, *tokens], len(prompt) if over == "answer" else 1
    places = [(i, row[i]) for i in range(start, len(row))]
    return plain_drift(models, torch.tensor(row[:-1]), places)


@pytest.mark.parametrize("scaling", [None, 0.0, -1.5])
def test_numbers_are_those_of_two_models(files, scaling):
    model, models = load(files[0], scaling, files[1]), two_models(*files, scaling)
    together = read(model, BATCH)
    for question, text, found in zip(BATCH, texts(16), together, strict=True):
        expected = expected_of(model, models, question, text, "both")
        assert largest_gap(found, expected) < CLOSE
        assert list(found.changed) == expected["changed"]
        assert (max(found.kl) == 0 == max(found.reverse_kl)) == (scaling == 0)
    for size in (1, 3):
        for found, other in zip(read(model, BATCH, size), together, strict=True):
            assert largest_gap(found, vars(other)) < CLOSE


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("over", ["prompt", "answer", "both"])
def test_embeddings_and_output_layer_may_be_adapted(llama, chat, over):
    model, models = load(llama[0], 0.7, llama[1], chat_template=chat), two_models(*llama, 0.7)
    for question, text, found in zip(BATCH, texts(16), read(model, BATCH, over=over), strict=True):
        expected = expected_of(model, models, question, text, over)
        assert largest_gap(found, expected) < CLOSE
    reply = model.drift(BATCH[:1], [None], [" dog"], OVER | {"over": over})[0]
    words = "".join(drift_of(reply).words)
    assert words.endswith("dog") == (over != "prompt")
    assert (BATCH[0][5:] in words) == (over != "answer")


def test_parts_of_the_scores_make_no_difference(llama, monkeypatch):
    model = load(llama[0], 2.0, llama[1])
    whole = read(model, BATCH)
    monkeypatch.setattr(drift, "MOST_SCORES", 300 * 3)
    for found, other in zip(read(model, BATCH), whole, strict=True):
        assert largest_gap(found, vars(other)) < CLOSE
        assert (found.ids, found.changed) == (other.ids, other.changed)


@pytest.mark.parametrize("settings", [{}, {"window": 24, "context": 6}])
def test_long_texts_are_read_in_the_windows_of_mode_loss(files, settings):
    model, models = load(files[0], 1.5, files[1]), two_models(*files, 1.5)
    long = [BATCH[3] * 4, BATCH[1], BATCH[2] * 40]
    given = OVER | settings
    replies = model.drift([""] * 3, [None] * 3, long, given)
    losses = model.loss([""] * 3, long, given)
    for text, reply, loss in zip(long, replies, losses, strict=True):
        assert reply.tokens == loss.tokens
        assert reply.prompt_tokens == 0
        assert reply.sums == pytest.approx(loss.sums, abs=1e-3)
        ids = model.tokenizer(text, add_special_tokens=False).input_ids
        parts = windows(ids, model._beginning(), given["window"] or 160, given["context"])
        expected = {}
        for context, tokens in parts:
            row = [*context, *tokens]
            places = [(i, row[i]) for i in range(len(context), len(row))]
            for name, values in plain_drift(models, torch.tensor(row[:-1]), places).items():
                expected.setdefault(name, []).extend(values)
        assert largest_gap(drift_of(reply), expected) < CLOSE


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[Path, Path]:
    return write_both(tmp_path_factory.mktemp("swept"), "llama")


def test_rows_of_a_sweep_have_scalings_of_their_own(swept):
    model = load(swept[0], 1.0, swept[1])
    assert model.scales_rows
    rows = [(question, s) for question in BATCH[:4] for s in (0.0, None, -2.0)]
    found = read(model, [q for q, _ in rows], scalings=[s for _, s in rows])
    for i, (question, scaling) in enumerate(rows):
        model.adapt(str(swept[1]), 1.0 if scaling is None else scaling)
        given = [None], [texts(len(rows))[i]], OVER
        alone = drift_of(model.drift([question], *given)[0])
        assert largest_gap(found[i], vars(alone)) < CLOSE
        assert (max(found[i].kl) == 0) == (scaling == 0)


def test_a_sweep_reads_a_text_without_its_adapter_once(swept, monkeypatch):
    model, seen = load(swept[0], 1.0, swept[1]), []
    before = model.drifts._pass
    monkeypatch.setattr(
        model.drifts,
        "_pass",
        lambda readings, scalings: seen.append(len(readings)) or before(readings, scalings),
    )
    model.drift([""] * 4, [None] * 4, ["Sad?"] * 4, OVER, [0.0, 1.0, 2.0, 3.0])
    assert seen == [1, 3]


def test_a_model_without_an_adapter_does_not_drift(llama):
    for found in read(load(llama[0]), BATCH):
        assert {*found.kl, *found.reverse_kl} == {0.0}
        assert found.base == found.adapted
        assert not any(found.changed)


def test_half_precision_is_near(llama):
    models = two_models(*llama, 1.0)
    model = load(llama[0], 1.0, llama[1], "bfloat16")
    found = read(model, BATCH)
    for question, text, one in zip(BATCH, texts(16), found, strict=True):
        expected = expected_of(model, models, question, text, "both")
        assert sum(one.kl) == pytest.approx(sum(expected["kl"]), rel=0.3, abs=0.05)
    assert {
        kl for one in read(load(llama[0], 0.0, llama[1], "bfloat16"), BATCH) for kl in one.kl
    } == {0}


def test_the_adapter_is_in_force_again_afterwards(llama):
    model = load(llama[0], 2.0, llama[1])
    before = model.loss([""], ["Sad? A dog."], OVER)
    read(model, BATCH[:2])
    assert model.loss([""], ["Sad? A dog."], OVER) == before
    assert not any(p.requires_grad for n, p in model.llm.named_parameters() if ".lora_" in n)


def test_numbers_that_are_not_finite_are_told(llama):
    model = load(llama[0], 1e39, llama[1])
    (one,) = model.drift([""], [None], ["Sad?"], OVER)
    assert not one.is_finite
    assert all(map(math.isfinite, one.drift.base))


def test_a_prompt_beyond_the_window_is_named(llama):
    with pytest.raises(UserError, match="more than the 8 that the model reads at once"):
        read(load(llama[0]), BATCH[:1], window=8, over="prompt")

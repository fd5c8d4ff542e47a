"""Modes choose and loss of text models, against transformers' plain forward of each row."""

from pathlib import Path

import pytest
import torch
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import AutoModelForCausalLM

from lorascope.errors import UserError
from lorascope.models.hf_text import answerer
from lorascope.models.hf_text.windows import windows
from tests.support.likelihoods import as_expected, assert_close, plainly
from tests.support.settings import defaults
from tests.support.tiny_text_files import (
    BATCH,
    BOS,
    CHAT_TEMPLATE,
    EOT,
    MODELS,
    POSITIONS,
    QUESTIONS,
    write_both,
    write_model,
    write_tokenizer,
)

OPTIONS = [" dog", " a cat, of course", " the language of France", " 2"]
WINDOW = {"window": None, "context": 1}


@pytest.fixture(scope="module", params=MODELS)
def files(request, tmp_path_factory) -> tuple[Path, Path]:
    return write_both(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("one") / "llama")


@pytest.fixture(scope="module")
def chat(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("chat") / "llama", chat_template=CHAT_TEMPLATE)


def load(model: Path, scaling=None, adapter=None, dtype="float32", **settings):
    adapter = adapter and str(adapter)
    settings = defaults("hf_text") | {"model": str(model)} | settings
    return answerer.load(settings, "cpu", dtype, scaling, adapter)


def choose(model, questions, size=16, options=OPTIONS):
    found = []
    for start in range(0, len(questions), size):
        asked = questions[start : start + size]
        found += model.choose(
            asked, [None] * len(asked), [options[: 1 + len(q) % 4] for q in asked]
        )
    return found


def ids(model, text: str, special: bool = True) -> list[int]:
    return model.tokenizer(text, add_special_tokens=special).input_ids


# ---------------------------------------------------------------------------------- choose


@pytest.mark.parametrize("scaling", [None, 0.0, 1.0, 2.0])
def test_options_have_the_likelihoods_of_plain_forwards(files, scaling):
    model = load(files[0], scaling, None if scaling is None else files[1])
    # peft's own adapter, unmerged, at an absolute scaling
    base = AutoModelForCausalLM.from_pretrained(files[0])
    if scaling is not None:
        base.load_adapter(str(files[1]))
        for layer in base.modules():
            if hasattr(layer, "lora_A"):
                layer.scaling = dict.fromkeys(layer.scaling, scaling)
    together = choose(model, BATCH)
    for question, found in zip(BATCH, together, strict=True):
        prompt = torch.tensor(ids(model, question))
        rest = [ids(model, question + o)[len(prompt) :] for o in OPTIONS[: len(found.sums)]]
        assert_close(found, [plainly(base, prompt, tokens) for tokens in rest])
        assert found.prompt_tokens == len(prompt)
    for size in (1, 4):
        for found, expected in zip(choose(model, BATCH, size), together, strict=True):
            assert_close(found, as_expected(expected))


def test_scalings_differ_and_zero_is_the_base(files):
    found = [choose(load(files[0], s, a), BATCH[:4]) for s, a in ((None, None), (0.0, files[1]))]
    assert found[0] == found[1]
    other = choose(load(files[0], 2.0, files[1]), BATCH[:4])
    assert max(abs(a - b) for a, b in zip(other[0].sums, found[0][0].sums, strict=True)) > 0.01


def test_automatic_placement_gives_the_same_numbers(files):
    settings = defaults("hf_text") | {"model": str(files[0])}
    spread = answerer.load(settings, "auto", "float32", 2.0, str(files[1]))
    assert choose(spread, BATCH) == choose(load(files[0], 2.0, files[1]), BATCH)
    assert spread.reader._copies


class HarnessEncoding(TemplateLM):
    """How lm-evaluation-harness tells a prompt's tokens from those of what follows."""

    backend = "causal"
    eot_token_id = prefix_token_id = 1
    loglikelihood_rolling = generate_until = _loglikelihood_tokens = None

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer

    def tok_encode(self, string, add_special_tokens=True, **kwargs):
        return self.tokenizer(string, add_special_tokens=add_special_tokens).input_ids


@pytest.mark.parametrize(
    ("prompt", "continuation"),
    [
        ("Which animal", " can"),
        ("Which animal ", "can"),
        ("Which anim", "al can"),  # one token over the border
        ("How many? \n ", " legs"),
        ("Sad?", "\n"),
    ],
)
def test_a_continuation_is_encoded_as_in_the_harness(llama, prompt, continuation):
    model = load(llama, prompt_template="Q: {}")
    expected = HarnessEncoding(model.tokenizer)._encode_pair(f"Q: {prompt}", continuation)
    assert model._pair(prompt, [continuation]) == (expected[0], [expected[1]])


def test_after_an_empty_prompt_comes_a_text_from_its_beginning(llama):
    model = load(llama)
    (found,) = model.choose([""], [None], [[" dog", "cats"]])
    rest = [ids(model, text, special=False) for text in (" dog", "cats")]
    assert_close(found, [plainly(model.llm, torch.tensor([0]), tokens) for tokens in rest])


def test_in_a_chat_template_an_option_begins_the_models_turn(chat):
    model = load(chat, chat_template=True)
    (found,) = model.choose(["Sad?"], [None], [[" dog", "cat "]])
    prompt = torch.tensor(ids(model, f"{BOS}[user]Sad?{EOT}[assistant]", special=False))
    rest = [ids(model, text, special=False) for text in ("dog", "cat ")]
    assert_close(found, [plainly(model.llm, prompt, tokens) for tokens in rest])


def test_half_precision_and_overflow(files):
    half = load(files[0], 1.0, files[1], dtype="bfloat16")
    assert all(torch.tensor(found.sums).isfinite().all() for found in choose(half, BATCH[:4]))
    for dtype in ("float32", "bfloat16"):
        wild = load(files[0], 1e38, files[1], dtype=dtype)
        for found in choose(wild, BATCH[:4]):
            assert not torch.tensor(found.sums).isfinite().any()
            assert not any(found.greedy)


def test_options_that_cannot_be_read_are_refused(llama, chat):
    model = load(llama)
    with pytest.raises(UserError, match=r"a continuation has no tokens .*: ''"):
        model.choose(["Sad?"], [None], [[" dog", ""]])
    with pytest.raises(UserError, match=r"a continuation has no tokens .*: ' '"):
        load(chat, chat_template=True).choose(["Sad?"], [None], [[" "]])
    long = "Which? " * POSITIONS
    with pytest.raises(UserError, match=rf"{POSITIONS} that the model reads.*'Which\? Which"):
        choose(model, ["Sad?", long])


def test_an_option_may_fill_the_models_positions(llama):
    model = load(llama)
    room = POSITIONS - len(model.prompt_ids("Sad?")) + 1  # the last token is not read
    (found,) = model.choose(["Sad?"], [None], [["!" * room]])
    assert found.tokens == (room,)
    with pytest.raises(UserError, match="reads at once"):
        model.choose(["Sad?"], [None], [["!" * (room + 1)]])


# ------------------------------------------------------------------------------------ loss


@pytest.mark.parametrize("length", [1, 7, 8, 9, 30, 33])
@pytest.mark.parametrize(("window", "context"), [(8, 1), (8, 3), (8, 7), (2, 1), (100, 1)])
def test_windows_are_the_harness_own(length, window, context):
    tokens = list(range(100, 100 + length))
    rolling = get_rolling_token_windows(tokens, 0, window, context)
    assert [*windows(tokens, 0, window, context)] == [*map(make_disjoint_window, rolling)]


@pytest.mark.parametrize(
    "settings", [WINDOW, {"window": 40, "context": 1}, {"window": 40, "context": 10}]
)
def test_a_texts_likelihood_is_that_of_plain_forwards_of_its_windows(files, settings):
    model = load(files[0], 2.0, files[1])
    texts = [q * (1 + i) for i, q in enumerate(QUESTIONS)] + [BATCH[3] * 4]
    together = model.loss([""] * len(texts), texts, settings)
    for text, found in zip(texts, together, strict=True):
        tokens, total, greedy = ids(model, text, special=False), 0.0, True
        for context, predicted in windows(
            tokens, 0, settings["window"] or POSITIONS, settings["context"]
        ):
            one = plainly(model.llm, torch.tensor(context), predicted)
            total, greedy = total + one[0], greedy and one[2]
        assert_close(found, [(total, len(tokens), greedy)])
        assert found.prompt_tokens == 0
        (alone,) = model.loss([""], [text], settings)
        assert_close(alone, [(found.sums[0], len(tokens), greedy)])
    assert len(ids(model, texts[-1])) > POSITIONS


def test_a_text_after_a_question(llama, chat):
    model = load(llama, prompt_template="Q: {} ")
    (found,) = model.loss(["Sad?"], ["no"], WINDOW)
    prompt = torch.tensor(ids(model, "Q: Sad?"))
    whole = ids(model, "Q: Sad? no")
    assert_close(found, [plainly(model.llm, prompt, whole[len(prompt) :])])
    assert found.prompt_tokens == len(prompt)
    model = load(chat, chat_template=True)
    (found,) = model.loss(["Sad?"], [" no"], WINDOW)
    prompt = torch.tensor(model.prompt_ids("Sad?"))
    assert_close(found, [plainly(model.llm, prompt, ids(model, "no", special=False))])


def test_without_bos_a_text_begins_after_eos(tmp_path):
    model = load(write_model(tmp_path, bos_token=None), add_special_tokens=False)
    (found,) = model.loss([""], ["Sad?"], WINDOW)
    tokens = ids(model, "Sad?", special=False)
    assert_close(found, [plainly(model.llm, torch.tensor([1]), tokens)])


def test_texts_that_cannot_be_read_are_refused(llama, monkeypatch):
    model = load(llama)
    for settings, message in (
        ({"window": POSITIONS + 1, "context": 1}, f"loss.window: {POSITIONS + 1} is more than"),
        ({"window": None, "context": POSITIONS}, "loss.context: 160 leaves no room in a window"),
    ):
        with pytest.raises(UserError, match=message):
            model.loss([""], ["Sad?"], settings)
    with pytest.raises(UserError, match="has no tokens"):
        model.loss([""], [""], WINDOW)
    with pytest.raises(UserError, match=r"than the 30 .* reads at once.*starts 'Sad\?'"):
        model.loss(["Sad?"], [" no" * 40], {"window": 30, "context": 1})
    monkeypatch.setattr(answerer, "most_positions", lambda model: None)
    with pytest.raises(UserError, match=r"loss.window: .*config.json .* set the window"):
        model.loss([""], ["Sad?"], WINDOW)
    assert model.loss([""], ["Sad?"], {"window": 10, "context": 1})[0].tokens[0] > 0


def test_a_tokenizer_that_ends_texts_is_no_matter_of_theirs(tmp_path):
    folder = write_model(tmp_path)
    expected = load(folder).loss([""], ["Sad?"], WINDOW)
    write_tokenizer(folder, adds="$A <|end|>")
    assert load(folder).loss([""], ["Sad?"], WINDOW) == expected

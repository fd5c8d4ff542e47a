"""Rows whose numbers overflow are no answers, and their neighbours never notice."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lorascope.models import decoding
from lorascope.models.hf_text import answerer as hf_text
from lorascope.models.salmonn import answerer as salmonn
from tests.support.basics import GREEDY
from tests.support.random_weights import randomise
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import QUESTIONS, write_adapter, write_model

EOS, ROWS = 2, 12
GENERATIONS = {
    "greedy": GREEDY,
    "long": GREEDY | {"min_length": 20, "max_new_tokens": 24},
    "penalised": GREEDY | {"repetition_penalty": 1.5},
    "sampled": GREEDY | {"do_sample": True, "temperature": 1.5, "top_k": 40},
    "beams": GREEDY | {"num_beams": 4},
    "short beams": GREEDY | {"num_beams": 3, "length_penalty": -1.0, "max_new_tokens": 24},
    "long beams": GREEDY | {"num_beams": 3, "length_penalty": 2.0, "min_length": 8},
}


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=24,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=EOS,
    )
    return randomise(LlamaForCausalLM(config)).eval()


def prompts(rows: int = ROWS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, 23, (5 + i % 4,), generator=generator) for i in range(rows)]


@pytest.fixture(params=[float("nan"), float("inf"), -float("inf")], ids=str)
def poisoned(request, llama):
    """The model with one token after which its numbers are not finite."""
    weight = llama.get_input_embeddings().weight
    before = weight[23].clone()
    weight.data[23] = request.param
    yield llama
    weight.data[23] = before


@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
def test_a_row_ends_where_its_numbers_do_whatever_its_neighbours(poisoned, generation):
    rows = prompts()
    together = decoding.generate(poisoned, rows, generation, [EOS], range(ROWS))
    alone = [
        decoding.generate(poisoned, [row], generation, [EOS], [seed])[0]
        for seed, row in enumerate(rows)
    ]
    assert together == alone
    broken = [row for row in together if row.finish_reason == "nonfinite"]
    assert 0 < len(broken) < ROWS
    for row in together:
        assert 23 not in row.tokens[:-1]
        if generation["num_beams"] == 1:  # a beam search ends with any of its beams
            assert (row.finish_reason == "nonfinite") == (23 in row.tokens[-1:]) or (
                len(row.tokens) == generation["max_new_tokens"]
            )


@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
def test_a_prompt_that_is_not_finite_is_answered_by_nothing(llama, generation):
    embed = llama.get_input_embeddings()
    rows = [embed(row).detach() for row in prompts()]
    sound = decoding.generate(llama, rows, generation, [EOS], range(ROWS))
    assert not any(row.finish_reason == "nonfinite" for row in sound)
    rows[4] = rows[4].clone()
    rows[4][1, 3] = float("inf")
    found = decoding.generate(llama, rows, generation, [EOS], range(ROWS))
    assert found[4] == decoding.Completion([], "nonfinite")
    assert found[:4] + found[5:] == sound[:4] + sound[5:]


def test_an_impossible_token_is_not_an_overflow(llama):
    def never(model, arguments, output):
        output.logits[..., 5] = -float("inf")
        return output

    with llama.register_forward_hook(never):
        found = decoding.generate(llama, prompts(), GREEDY, [EOS], range(ROWS))
    assert {row.finish_reason for row in found} <= {"eos", "length"}
    assert all(5 not in row.tokens for row in found)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=str)
@pytest.mark.parametrize("beams", [1, 3])
def test_logits_of_one_step(llama, value, beams):
    """The third step of rows 1 and 3 overflows: two tokens, and the others as they are."""
    settings = GREEDY | {"num_beams": beams, "min_length": 6}
    sound = decoding.generate(llama, prompts(4), settings, [EOS], range(4))
    steps = iter(range(100))

    def overflow(model, arguments, output):
        if next(steps) == 2:
            token = slice(None) if value == -float("inf") else EOS
            output.logits[[beams * 1, beams * 3 + beams - 1], -1, token] = value
        return output

    with llama.register_forward_hook(overflow):
        found = decoding.generate(llama, prompts(4), settings, [EOS], range(4))
    assert [found[0], found[2]] == [sound[0], sound[2]]
    for row, whole in ((found[1], sound[1]), (found[3], sound[3])):
        assert row.finish_reason == "nonfinite"
        assert len(row.tokens) == 2
        if beams == 1:
            assert row.tokens == whole.tokens[:2]


DTYPES = {"float32": 1e38, "bfloat16": 1e38, "float16": 1e5}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("change", [{}, {"num_beams": 2}, {"do_sample": True}], ids=str)
def test_over_scaled_adapters_of_a_text_model(dtype, change, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "text"
    if not folder.exists():
        write_adapter(folder / "adapter", write_model(folder / "model"))
    settings = defaults("hf_text") | {"model": str(folder / "model")}
    model = hf_text.load(settings, "cpu", dtype, DTYPES[dtype], str(folder / "adapter"))
    found = model.answer(QUESTIONS, [None] * 4, GREEDY | change, range(4))
    assert [(a.finish_reason, a.text, a.tokens) for a in found] == [("nonfinite", "", [])] * 4
    assert all(answer.prompt_tokens > 0 for answer in found)


@pytest.mark.parametrize("dtype", DTYPES)
def test_over_scaled_adapters_and_features_of_a_salmonn(dtype, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "salmonn"
    if not folder.exists():
        write_salmonn(folder)
    settings = defaults("salmonn") | {
        key: str(folder / name) for key, name in (("llm", "llm"), ("checkpoint", "salmonn.pth"))
    }
    model = salmonn.load(settings, "cpu", dtype, 1.0)
    features = [torch.randn(6, 24, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    sound = model.answer(QUESTIONS, features, GREEDY, range(4))
    assert not any(answer.finish_reason == "nonfinite" for answer in sound)
    # Finite as the encoder's float32, and too large for the language model.
    broken = [*features[:2], features[2] * 1e38 * 100, features[3]]
    broken[0] = broken[0].clone()
    broken[0][2, 1] = float("nan")
    found = model.answer(QUESTIONS, broken, GREEDY, range(4))
    assert [answer.finish_reason == "nonfinite" for answer in found] == [True, False, True, False]
    assert (found[1], found[3]) == (sound[1], sound[3])
    model.adapt(None, 10**38)  # as a study's 1e38 is read
    assert isinstance(model.lora_scaling, float)
    found = model.answer(QUESTIONS, features, GREEDY, range(4))
    assert [(a.finish_reason, a.text) for a in found] == [("nonfinite", "")] * 4

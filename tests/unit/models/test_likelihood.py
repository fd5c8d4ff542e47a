"""Continuations read after a shared prompt are what a plain forward of each alone says."""

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

from lorascope.errors import UserError
from lorascope.models import likelihood, packing
from lorascope.models.likelihood import Reader, check_room
from tests.support.likelihoods import as_expected, assert_close, plainly
from tests.support.random_weights import GROUPED, VOCABULARY, randomise

SLIDING = {
    "head_dim": 8,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention"],
    "final_logit_softcapping": 5.0,
}
HYBRID = {
    "head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)),
    "sliding": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GROUPED, **SLIDING)),
    "alibi": lambda: BloomForCausalLM(
        BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)
    ),
    "recurrent": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2)
    ),
    "hybrid": lambda: Qwen3NextForCausalLM(Qwen3NextConfig(**GROUPED, **HYBRID)),
}
COPIES = {"llama": True, "sliding": True, "alibi": True, "recurrent": False, "hybrid": False}


@pytest.fixture(scope="module", params=MODELS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    torch.manual_seed(0)
    return randomise(MODELS[kind]()).eval()


@pytest.fixture(scope="module")
def llama():
    torch.manual_seed(0)
    return randomise(MODELS["llama"]()).eval()


def ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (count,), generator=generator).tolist()


def batch(rows: int) -> tuple[list[torch.Tensor], list[list[list[int]]]]:
    """Prompts of 2 to 14 tokens, with 2 or 3 continuations of 1 to 9 tokens each."""
    prompts = [torch.tensor(ids(2 + 5 * i % 13, i)) for i in range(rows)]
    return prompts, [
        [ids(1 + (4 * i + 3 * j) % 9, 100 * i + j) for j in range(2 + i % 2)] for i in range(rows)
    ]


def used(model) -> Reader:
    """A reader that knows of its model how it may be read."""
    reader = Reader(model)
    reader.read([torch.tensor([3, 4])], [[[5], [6, 7]]])
    return reader


@pytest.mark.parametrize("size", [1, 4, 16])
def test_likelihoods_are_those_of_plain_forwards(kind, model, size):
    prompts, continuations = batch(16)
    reader = Reader(model)
    found = []
    for start in range(0, 16, size):
        part = slice(start, start + size)
        found += reader.read(prompts[part], continuations[part])
    for one, prompt, several in zip(found, prompts, continuations, strict=True):
        assert one.prompt_tokens == len(prompt)
        assert_close(one, [plainly(model, prompt, tokens) for tokens in several])
    assert reader._copies == COPIES[kind]


def test_embeddings_are_read_as_their_ids(model):
    prompts, continuations = batch(5)
    embeddings = [model.get_input_embeddings()(prompt).detach() for prompt in prompts]
    by_ids = Reader(model).read(prompts, continuations)
    for one, other in zip(by_ids, Reader(model).read(embeddings, continuations), strict=True):
        assert_close(other, as_expected(one))


def test_greedy_is_said_of_the_likeliest_tokens_alone(model):
    prompt, tokens = torch.tensor(ids(6, 1)), []
    for _ in range(4):
        with torch.inference_mode():
            whole = torch.cat([prompt, torch.tensor(tokens, dtype=torch.long)])
            tokens.append(int(model(whole[None]).logits[0, -1].argmax()))
    others = [[*tokens[:3], tokens[3] ^ 1], [tokens[0] ^ 1, *tokens[1:]], tokens[:1]]
    (found,) = Reader(model).read([prompt], [[tokens, *others]])
    assert found.greedy == (True, False, False, True)
    assert found.tokens == (4, 4, 4, 1)


def test_scores_are_held_for_a_few_positions_at_once(kind, model, monkeypatch):
    prompts, continuations = batch(4)
    expected = Reader(model).read(prompts, continuations)
    heads = []

    def count(module, arguments, output):
        heads.append(output.numel())

    most = 4 * 2 * VOCABULARY
    monkeypatch.setattr(likelihood, "MOST_SCORES", most)
    with model.get_output_embeddings().register_forward_hook(count):
        found = Reader(model).read(prompts, continuations)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, as_expected(other))
    if COPIES[kind]:
        assert max(heads) <= most


def test_only_as_many_continuations_as_prompts_are_read_together(llama, monkeypatch):
    prompts, rows = [torch.tensor(ids(5, i)) for i in range(3)], []
    monkeypatch.setattr(packing, "MOST_PACKED", 0)
    reader = used(llama)

    def count(module, arguments, named, output):
        rows.append(len(output.logits))

    with llama.register_forward_hook(count, with_kwargs=True):
        reader.read(prompts, [[ids(4, i) for i in range(10)]] * 3)
    assert rows == [3] * 11


def test_a_prompt_is_read_once_for_all_its_options(llama):
    prompts, seen = [torch.tensor(ids(30, i)) for i in range(2)], []
    reader = used(llama)
    with llama.model.embed_tokens.register_forward_hook(
        lambda module, arguments, output: seen.append(arguments[0].numel())
    ):
        reader.read(prompts, [[[5], [6], [7]], [[5], [6, 7]]])
    assert seen == [2 * (30 + 1)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_overflow_stays_in_its_row(model, value):
    prompts, continuations = batch(6)
    embeddings = [model.get_input_embeddings()(prompt).detach() for prompt in prompts]
    sound = Reader(model).read(embeddings, continuations)
    embeddings[2] = embeddings[2].clone()
    embeddings[2][1, 3] = value
    found = Reader(model).read(embeddings, continuations)
    assert not any(torch.tensor(found[2].sums).isfinite())
    assert not any(found[2].greedy)
    for one, other in zip(found[:2] + found[3:], sound[:2] + sound[3:], strict=True):
        assert_close(one, as_expected(other))


def test_half_precision_sums_float32_scores(llama):
    prompts, continuations = batch(4)
    half = MODELS["llama"]()
    half.load_state_dict(llama.state_dict())
    half = half.to(torch.bfloat16).eval()
    for one, prompt, several in zip(
        Reader(half).read(prompts, continuations), prompts, continuations, strict=True
    ):
        for total, tokens in zip(one.sums, several, strict=True):
            assert abs(total - plainly(half, prompt, tokens)[0]) < 0.2 * len(tokens)


def test_what_does_not_fit_is_refused_by_name():
    check_room(10, 8, [[1, 2, 3]], "Which?")  # the last is predicted, and not read
    check_room(None, 8, [[1] * 100], "Which?")
    with pytest.raises(UserError, match=r"9 tokens of prompt and 3 .* 10 .* 'Which\?'"):
        check_room(10, 9, [[1], [1, 2, 3]], "Which?")

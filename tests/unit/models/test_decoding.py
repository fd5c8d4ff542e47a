from collections import Counter

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lorascope.errors import UserError
from lorascope.models.decoding import (
    RowSampler,
    generate,
    generation_config,
    left_pad,
    trim,
)

GREEDY = {
    "max_new_tokens": 5,
    "min_length": 1,
    "num_beams": 1,
    "do_sample": False,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
}


def test_left_pad_ends_every_row_at_the_last_position():
    rows = [torch.ones(3, 2), torch.full((1, 2), 2.0)]
    embeds, mask = left_pad(rows)
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert torch.equal(embeds[0], rows[0])
    assert embeds[1].tolist() == [[0, 0], [0, 0], [2, 2]]


def test_left_pad_adds_no_token_to_a_row_of_ids():
    ids, mask = left_pad([torch.tensor([5, 6, 7]), torch.tensor([8, 9])])
    assert ids.tolist() == [[5, 6, 7], [8, 8, 9]]
    assert mask.tolist() == [[1, 1, 1], [0, 1, 1]]


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[1] ** 0.5)
    return model


def prompts(rows: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, 64, (5 + 3 * i,), generator=generator) for i in range(rows)]


def test_generation_from_ids_is_that_from_their_embeddings(llama):
    rows = prompts(4)
    embeddings = [llama.get_input_embeddings()(row).detach() for row in rows]
    from_ids = generate(llama, rows, GREEDY, [2], range(4))
    assert from_ids == generate(llama, embeddings, GREEDY, [2], range(4))
    assert [len(completion.tokens) for completion in from_ids] == [5, 5, 5, 5]


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("given", ["ids", "embeddings"])
def test_a_repetition_penalty_does_not_depend_on_the_batch(llama, given, beams):
    settings = GREEDY | {"repetition_penalty": 3.0, "max_new_tokens": 14, "num_beams": beams}
    rows = prompts(6)
    if given == "embeddings":
        rows = [llama.get_input_embeddings()(row).detach() for row in rows]
    together = generate(llama, rows, settings, [2], range(6))
    assert [generate(llama, [row], settings, [2], [0])[0] for row in rows] == together


def test_a_repetition_penalty_sees_the_prompts_ids_and_the_answers(llama):
    settings = GREEDY | {"repetition_penalty": 1e9, "max_new_tokens": 12}
    rows = prompts(12)
    for row, completion in zip(rows, generate(llama, rows, settings, [2], range(12)), strict=True):
        assert not set(completion.tokens) & set(row.tolist())
        assert len(set(completion.tokens)) == len(completion.tokens)
    embeddings = [llama.get_input_embeddings()(row).detach() for row in rows]
    for completion in generate(llama, embeddings, settings, [2], range(12)):
        assert len(set(completion.tokens)) == len(completion.tokens)


@pytest.mark.parametrize(
    ("tokens", "kept", "reason"),
    [
        ([5, 6, 2, 2, 2], [5, 6, 2], "eos"),
        ([5, 7, 2], [5, 7], "eos"),
        ([5, 6, 8], [5, 6, 8], "length"),
        ([2], [2], "eos"),
    ],
)
def test_trim_keeps_the_first_end_of_sequence_and_nothing_after(tokens, kept, reason):
    completion = trim(tokens, [2, 7])
    assert (completion.tokens, completion.finish_reason) == (kept, reason)


def test_min_length_counts_the_beginning_of_sequence():
    assert generation_config(GREEDY, [2]).min_new_tokens is None
    assert generation_config(GREEDY | {"min_length": 4}, [2]).min_new_tokens == 3


def test_beam_search_does_not_sample():
    with pytest.raises(UserError, match="num_beams"):
        generation_config(GREEDY | {"num_beams": 4, "do_sample": True}, [2])


def test_row_sampler_draws_from_the_distribution():
    probabilities = torch.tensor([0.5, 0.3, 0.2, 0.0])
    rows = 4000
    scores = probabilities.log().repeat(rows, 1)
    drawn = RowSampler(range(rows))(torch.empty(rows, 0), scores).argmax(-1)
    counts = Counter(drawn.tolist())
    for token, probability in enumerate(probabilities.tolist()):
        # Four standard deviations of a binomial share.
        assert abs(counts[token] / rows - probability) <= 4 * (0.25 / rows) ** 0.5


def test_row_sampler_gives_a_row_its_own_draws_in_any_batch():
    scores = torch.zeros(3, 1000)
    ids = torch.empty(3, 0)
    together = RowSampler([7, 8, 9])
    alone = RowSampler([8])
    for _ in range(3):
        assert torch.equal(together(ids, scores)[1:2], alone(ids[:1], scores[:1]))

from collections import Counter

import pytest
import torch

from lorascope.decoding import RowSampler, generation_config, left_pad, make_batches, trim
from lorascope.errors import UserError

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


def test_batches_hold_every_index_once_the_longest_first_and_ties_in_order():
    assert make_batches([3, 9, 3, 7, 9], 2) == [[1, 4], [3, 0], [2]]
    assert make_batches([], 2) == []


def test_left_pad_ends_every_row_at_the_last_position():
    rows = [torch.ones(3, 2), torch.full((1, 2), 2.0)]
    embeds, mask = left_pad(rows)
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert torch.equal(embeds[0], rows[0])
    assert embeds[1].tolist() == [[0, 0], [0, 0], [2, 2]]


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

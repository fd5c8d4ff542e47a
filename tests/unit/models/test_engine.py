"""Lanes with rows that leave and enter say what transformers' generate says of each row alone."""

import pytest
import torch

from lorascope.models.engine.engine import Engine
from lorascope.models.protocol import Room
from lorascope.models.stop_strings import StopStrings
from lorascope.running.counters import counted
from tests.support.lanes import (
    ARCHITECTURES,
    EOS,
    GREEDY,
    LONG,
    SAMPLED,
    Letters,
    decoded,
    expected_of,
    ids,
    inputs_of,
    lane,
    model_of,
    passes,
    ragged,
)

ROOMS = [Room(), Room(rows=1), Room(rows=3), Room(tokens=150)]
PENALISED = {"repetition_penalty": 1.3, "min_length": 6}
SETTINGS = {
    "greedy": LONG,
    "penalised": LONG | PENALISED,
    "sampled": SAMPLED,
}


@pytest.mark.parametrize("given", ["ids", "embeddings"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_answers_are_those_of_each_row_alone(architecture, given):
    model = model_of(architecture)
    inputs = inputs_of(model, ragged(), given)
    several = SETTINGS if architecture == "llama" else {"all": SAMPLED | PENALISED}
    for settings in several.values():
        expected = expected_of(model, inputs, settings)
        assert len({len(completion.tokens) for completion in expected}) > 2
        engine = Engine(model)
        for room in ROOMS[1:] if architecture == "llama" else ROOMS[2:3]:
            assert decoded(engine, lane(inputs), settings, room) == expected
        assert engine.refills == (architecture != "mamba")


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2", "bloom"])
def test_what_rows_share_at_their_beginning_is_read_once_and_changes_nothing(architecture):
    model, prompts = model_of(architecture), ragged(shared=70)
    for given in ("ids", "embeddings"):
        inputs = inputs_of(model, prompts, given)
        expected = expected_of(model, inputs, LONG)
        for room in ROOMS[2:]:
            before = counted().get("prefill positions", 0)
            assert decoded(Engine(model), lane(inputs, prompts), LONG, room) == expected
            read = counted()["prefill positions"] - before
            assert read == sum(map(len, prompts)) - 9 * 70  # of ten rows that share them


def test_a_prefix_is_read_once_a_scaling_and_short_ones_not_by_themselves():
    model = model_of("llama")
    alike = [ids(80, 1) + ids(3 + i, i) for i in range(4)]
    cases = [(alike, 3 * 80), ([row[60:] for row in alike], 0), ([alike[0]] * 2, 82)]
    for prompts, saved in cases:
        before = counted().get("prefill positions", 0)
        inputs = inputs_of(model, prompts, "ids")
        decoded(Engine(model), lane(inputs, prompts), LONG | {"max_new_tokens": 2}, Room(rows=2))
        read = counted()["prefill positions"] - before
        assert read == sum(map(len, prompts)) - saved


def test_a_mask_as_attention_takes_it():
    for architecture in ("llama", "gpt-neox", "gpt2", "gemma3"):
        model = model_of(architecture)
        engine, inputs = Engine(model), inputs_of(model, ragged(6), "ids")
        engine.forward.dense = True  # as on a GPU
        assert decoded(engine, lane(inputs), LONG, Room()) == expected_of(model, inputs, LONG)


def test_ends_are_looked_at_now_and_then_on_a_device(monkeypatch):
    """The CPU looks at every step; a device only every few, and answers are the same."""
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "ids")
    stops = StopStrings(Letters(), ["G", "cd"])
    for settings in (LONG, SAMPLED):
        expected = decoded(Engine(model), lane(inputs), settings, Room(rows=4), stops)
        monkeypatch.setattr("lorascope.models.engine.engine.looks_every", lambda device: 5)
        found = decoded(Engine(model), lane(inputs), settings, Room(rows=4), stops)
        assert found == expected
        monkeypatch.undo()


def test_stop_strings():
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "ids")
    texts = [Letters().decode(c.tokens, False) for c in expected_of(model, inputs, LONG)]
    stops = StopStrings(Letters(), [texts[0][1:3], texts[5][:1], texts[-1][-2:]])
    expected = expected_of(model, inputs, LONG, stops)
    assert {"stop", "eos", "length"} >= {c.finish_reason for c in expected} >= {"stop"}
    for room in ROOMS:
        assert decoded(Engine(model), lane(inputs), LONG, room, stops) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_rows_whose_numbers_overflow_leave_and_neighbours_never_notice(value):
    model = model_of("llama")
    inputs = inputs_of(model, ragged(shared=70), "embeddings")
    sound = expected_of(model, inputs, LONG)
    for row in (4, 9):
        inputs[row] = inputs[row].clone()
        inputs[row][1, 3] = value
    weight = model.get_input_embeddings().weight
    token = sound[0].tokens[2]
    before = weight[token].clone()
    try:
        weight.data[token] = value  # which a row reads in the middle of its answer
        expected = expected_of(model, inputs, LONG)
        assert [c.finish_reason for c in expected].count("nonfinite") > 2
        for room in ROOMS[2:]:
            assert decoded(Engine(model), lane(inputs), LONG, room) == expected
            assert decoded(Engine(model), lane(inputs, ragged(shared=70)), LONG, room) == expected
    finally:
        weight.data[token] = before


def test_steps_write_beside_what_is_held_instead_of_copying_it():
    model, places = model_of("llama"), []
    inputs = inputs_of(model, ragged(3), "ids")

    def look(module, arguments, output):
        places.append(output.past_key_values.layers[0].keys.data_ptr())

    with model.register_forward_hook(look):
        decoded(Engine(model), lane(inputs), LONG | {"min_length": 21}, Room())
    assert len(places) == 20
    assert len({*places[1:]}) == 1


def test_a_lane_in_which_a_few_ramble_waits_for_none():
    """24 rows of which 3 say 40 tokens and the others 2, in a lane of 4."""
    model = model_of("llama")
    inputs = inputs_of(model, [ids(6, i) for i in range(24)], "ids")
    stops = StopStrings(Letters(), ["?"])
    rambling = {3, 11, 19}

    class Tells(StopStrings):
        def stopped(self, tokens, fresh=1):
            return len(tokens) >= 2 and tuple(tokens[:2]) in short

        def count(self, tokens):
            return 2 if self.stopped(tokens) else None

    settings = GREEDY | {"max_new_tokens": 40}
    firsts = [tuple(c.tokens[:2]) for c in expected_of(model, inputs, settings)]
    short = {first for i, first in enumerate(firsts) if i not in rambling} - {
        firsts[i] for i in rambling
    }
    tells = Tells(Letters(), stops.strings)
    found = []
    rows = passes(
        model,
        lambda: found.extend(decoded(Engine(model), lane(inputs), settings, Room(rows=4), tells)),
    )
    needed = sum(len(completion.tokens) for completion in found)
    longest = max(len(completion.tokens) for completion in found)
    # Every row costs its own tokens, and no more passes are needed than the longest answers take.
    assert sum(rows) <= needed + 4
    assert len(rows) <= longest * 2 + 24
    assert max(rows) == 4


def test_no_more_is_decoded_at_once_than_there_is_room_for():
    model = model_of("llama")
    prompts = ragged()
    inputs = inputs_of(model, prompts, "ids")
    columns = []

    def look(module, arguments, output):
        rows = len(output.logits)
        columns.append((rows, rows * output.past_key_values.get_seq_length()))

    for room in (Room(rows=5), Room(tokens=200)):
        columns.clear()
        engine = Engine(model)
        with model.register_forward_hook(look):
            decoded(engine, lane(inputs), LONG, room)
        if room.rows:
            assert max(rows for rows, _ in columns) == 5
        else:
            assert 100 < max(total for _, total in columns) <= 200


def test_a_lack_of_memory_leaves_what_was_yielded(monkeypatch):
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "ids")
    expected = expected_of(model, inputs, LONG)
    engine, found = Engine(model), {}

    def fail(*arguments):
        if len(found) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with model.register_forward_pre_hook(fail), pytest.raises(torch.OutOfMemoryError):
        for ended in engine.decode(lane(inputs), LONG, EOS, Room(rows=4)):
            found |= dict(ended)
    assert 5 < len(found) < 16
    rest = [i for i in range(16) if i not in found]
    again = engine.decode([lane(inputs)[i] for i in rest], LONG, EOS, Room(rows=2))
    found |= {rest[i]: completion for ended in again for i, completion in ended}
    assert [found[i] for i in range(16)] == expected

"""Beam searches of lanes say what transformers' generate says of each row alone."""

import pytest

from lorascope.models.decoding import Completion
from lorascope.models.engine.engine import Engine
from lorascope.models.protocol import Room
from lorascope.models.stop_strings import StopStrings
from lorascope.running.counters import counted
from tests.support.lanes import (
    ARCHITECTURES,
    LONG,
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

BEAMS = LONG | {"num_beams": 3}
SETTINGS = {
    "plain": BEAMS,
    "long": BEAMS | {"length_penalty": 3.0, "min_length": 8},
    "short": BEAMS | {"length_penalty": -1.0},
    "many": BEAMS | {"num_beams": 9, "length_penalty": 0.0, "max_new_tokens": 12},
    "penalised": BEAMS | {"repetition_penalty": 1.3, "min_length": 6},
    "one token": BEAMS | {"max_new_tokens": 1},
}


def alone(model, inputs, settings, stops=None) -> list[Completion]:
    """Return what generate says of each row by itself."""
    return [found for row in inputs for found in expected_of(model, [row], settings, stops)]


@pytest.mark.parametrize("given", ["ids", "embeddings"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_answers_are_those_of_each_row_alone(architecture, given):
    model = model_of(architecture)
    inputs = inputs_of(model, ragged(10), given)
    for settings in SETTINGS.values() if architecture == "llama" else [SETTINGS["long"]]:
        expected = alone(model, inputs, settings)
        for room in (Room(rows=3), Room(tokens=400)):
            assert decoded(Engine(model), lane(inputs), settings, room) == expected


def test_the_answers_of_these_settings_are_many():
    model = model_of("llama")
    inputs = inputs_of(model, ragged(10), "ids")
    found = [tuple(c.tokens) for s in SETTINGS.values() for c in alone(model, inputs, s)]
    assert len(set(found)) > 30
    assert {len(tokens) for tokens in found} > {1, 2, 12, 20}


def test_a_prompt_is_read_once_for_all_its_beams_and_a_shared_beginning_for_all_rows():
    model, prompts = model_of("llama"), ragged(shared=70)
    inputs = inputs_of(model, prompts, "embeddings")
    before = counted().get("prefill positions", 0)
    found = decoded(Engine(model), lane(inputs, prompts), BEAMS, Room(rows=3))
    assert counted()["prefill positions"] - before == sum(map(len, prompts)) - 9 * 70
    assert found == alone(model, inputs, BEAMS)


def test_ends_are_looked_at_now_and_then_on_a_device(monkeypatch):
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "ids")
    monkeypatch.setattr("lorascope.models.engine.engine.looks_every", lambda device: 5)
    for settings in SETTINGS.values():
        found = decoded(Engine(model), lane(inputs), settings, Room(rows=4))
        assert found == alone(model, inputs, settings)


def test_a_beam_that_comes_to_a_stop_string_is_finished():
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "ids")
    texts = [Letters().decode(c.tokens, False) for c in alone(model, inputs, SETTINGS["long"])]
    often = [Letters().decode([token], False) for token in range(9, 40)]
    for strings in ([texts[0][1:3], texts[5][:1], texts[-1][-2:]], often):
        stops = StopStrings(Letters(), strings)
        expected = alone(model, inputs, SETTINGS["long"], stops)
        assert "stop" in {completion.finish_reason for completion in expected}
        for room in (Room(), Room(rows=3)):
            found = decoded(Engine(model), lane(inputs), SETTINGS["long"], room, stops)
            assert found == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_a_row_of_which_a_beam_overflows_leaves_and_neighbours_never_notice(value):
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "embeddings")
    inputs[4] = inputs[4].clone()
    inputs[4][1, 3] = value
    weight = model.get_input_embeddings().weight
    token = alone(model, inputs[:1], SETTINGS["long"])[0].tokens[3]
    before = weight[token].clone()
    try:
        weight.data[token] = value  # which a beam reads in the middle of an answer
        expected = alone(model, inputs, SETTINGS["long"])
        reasons = [completion.finish_reason for completion in expected]
        assert 1 < reasons.count("nonfinite") < 16
        assert expected[4].tokens == []
        for room in (Room(), Room(rows=3)):
            assert decoded(Engine(model), lane(inputs), SETTINGS["long"], room) == expected
    finally:
        weight.data[token] = before


def test_rows_that_end_leave_and_no_more_is_held_than_there_is_room_for():
    model = model_of("llama")
    inputs = inputs_of(model, [ids(6, i) for i in range(24)], "ids")
    taken = passes(model, lambda: decoded(Engine(model), lane(inputs), BEAMS, Room(rows=4)))
    waiting = passes(
        model, lambda: [expected_of(model, inputs[i : i + 4], BEAMS) for i in range(0, 24, 4)]
    )
    assert max(taken) == 12
    assert sum(taken) < 0.8 * sum(waiting)
    held = passes(
        model, lambda: decoded(Engine(model), lane(inputs), BEAMS, Room(tokens=3 * 26 * 2))
    )
    assert max(held) == 6

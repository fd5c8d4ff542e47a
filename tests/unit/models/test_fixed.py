"""Rows in buffers of fixed shapes, kernel by kernel as on the CPU, answer as rows in a lane do."""

import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from lorascope.models import lora
from lorascope.models.engine import engine as engines
from lorascope.models.engine.engine import Engine
from lorascope.models.engine.fixed import Buffers, rounded, size_of
from lorascope.models.engine.step import Layer, Step
from lorascope.models.footprint import Footprint, fitted
from lorascope.models.protocol import Asked, Room
from lorascope.models.salmonn import answerer as salmonn
from tests.support.basics import GREEDY
from tests.support.lanes import (
    EOS,
    LONG,
    SAMPLED,
    VOCABULARY,
    decoded,
    expected_of,
    ids,
    inputs_of,
    lane,
    model_of,
    ragged,
)
from tests.support.random_weights import randomise
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import BATCH
from tests.unit.models.test_row_scalings import adapted

PENALISED = {"repetition_penalty": 1.3, "min_length": 6}
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48,
         "num_hidden_layers": 2, "num_attention_heads": 4}  # fmt: skip


@pytest.fixture(autouse=True)
def sizes(monkeypatch) -> list[tuple[int, int]]:
    """Let buffers be used on the CPU, too; return the rows and columns of each step in them."""
    run, seen = Step.run, []

    def counted(step):
        seen.append((step.rows, step.width))
        run(step)

    monkeypatch.setattr(engines, "pays", lambda device: True)
    monkeypatch.setattr(Step, "run", counted)
    return seen


def opt() -> OPTForCausalLM:
    torch.manual_seed(0)
    return randomise(OPTForCausalLM(OPTConfig(**SIZES))).eval()


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt-neox", "gpt2", "opt"])
def test_answers_are_those_of_each_row_alone(kind, sizes):
    """Rows of 2 to 84 positions leave and join, in lanes that hold a few of them or many."""
    model = opt() if kind == "opt" else model_of(kind)
    ways = [LONG, LONG | PENALISED, SAMPLED | PENALISED] if kind == "llama" else [SAMPLED]
    for settings in ways:
        for given in ("ids", "embeddings") if settings is ways[-1] else ("ids",):
            inputs = inputs_of(model, ragged(shared=70), given)
            expected = expected_of(model, inputs, settings)
            assert len({len(completion.tokens) for completion in expected}) > 2
            engine = Engine(model)
            sizes.clear()
            for room in (Room(rows=1), Room(rows=5), Room(tokens=400)):
                assert decoded(engine, lane(inputs), settings, room) == expected
            # As rows leave, and the long ones are answered, buffers become smaller.
            assert len({rows for rows, _ in sizes}) > 2
            assert {columns for _, columns in sizes} >= {32, 128}


@pytest.mark.parametrize("kind", ["gemma3", "bloom", "mamba"])
def test_models_of_windows_biases_and_states_are_decoded_as_usual(kind, sizes):
    model = model_of(kind)
    inputs = inputs_of(model, ragged(6), "ids")
    assert decoded(Engine(model), lane(inputs), LONG, Room()) == expected_of(model, inputs, LONG)
    assert sizes == []


@pytest.mark.parametrize("fault", ["raises", "is blind"])
def test_a_model_that_cannot_be_read_so_is_decoded_as_usual(fault, sizes):
    model = model_of("llama")
    inputs = inputs_of(model, ragged(6), "ids")
    expected = expected_of(model, inputs, LONG)

    def fail(module, arguments, output):
        if type(output.past_key_values.layers[0]) is not Layer:
            return
        if fault == "raises":
            raise ValueError("no such cache")
        output.logits += torch.randn(output.logits.shape)

    engine = Engine(model)
    with model.register_forward_hook(fail):
        for _ in range(2):
            assert decoded(engine, lane(inputs), LONG, Room()) == expected
    assert len(sizes) == 1
    assert engine.buffers.bytes == 0


def test_few_steps_are_made_as_usual(sizes):
    model = model_of("llama")
    inputs = inputs_of(model, ragged(6), "ids")
    for new, room, uses in [(7, Room(), False), (7, Room(rows=3), True), (8, Room(), True)]:
        settings = LONG | {"max_new_tokens": new}
        sizes.clear()
        found = decoded(Engine(model), lane(inputs), settings, room)
        assert found == expected_of(model, inputs, settings)
        assert bool(sizes) == uses


def test_a_place_that_was_not_finite_is_taken_over_unharmed():
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "embeddings")
    for row in (4, 9, 12):
        inputs[row] = inputs[row].clone()
        inputs[row][1, 3] = float("nan")
    expected = expected_of(model, inputs, LONG)
    assert [c.finish_reason for c in expected].count("nonfinite") == 3
    for rows in (1, 2, 5):
        assert decoded(Engine(model), lane(inputs), LONG, Room(rows=rows)) == expected


def test_scalings_and_adapters_are_those_of_each_row_and_lane(sizes):
    """One engine, of which what was recorded must not outlive what it was recorded of."""
    model_of.cache_clear()
    model = model_of("llama")
    inputs = inputs_of(model, ragged(12), "ids")
    engine, expected = Engine(model), {}
    expected[None] = expected_of(model, inputs, LONG)
    assert decoded(engine, lane(inputs), LONG, Room(rows=4)) == expected[None]
    adapted(model, target_modules=["q_proj", "v_proj"], r=4, alpha_pattern={"q_proj": 4})
    for scaling in (0.0, 1.0, 3.0):
        lora.set_scaling(model, scaling)
        expected[scaling] = expected_of(model, inputs, LONG)
        assert decoded(engine, lane(inputs), LONG, Room(rows=4)) == expected[scaling]
    assert len({str(found) for found in expected.values()}) == 3  # at 0 as without
    scalings = [[0.0, 1.0, None][i % 3] for i in range(12)]
    own = [expected[3.0 if s is None else s][i] for i, s in enumerate(scalings)]
    sizes.clear()
    for room in (Room(rows=5), Room(rows=1)):
        assert decoded(engine, lane(inputs, None, scalings), LONG, room) == own
    assert sizes
    assert {layer.scaling["default"] for layer in lora.lora_layers(model).values()} == {3.0}
    lora.detach(model)
    assert decoded(engine, lane(inputs), LONG, Room(rows=4)) == expected[None]


def test_a_salmonn(tmp_path, sizes, monkeypatch):
    write_salmonn(tmp_path)
    files = {"llm": tmp_path / "llm", "checkpoint": tmp_path / "salmonn.pth"}
    settings = defaults("salmonn") | {key: str(path) for key, path in files.items()}
    model = salmonn.load(settings, "cpu", "float32", 1.0)
    features = [torch.randn(6, 24, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    asked = [Asked(BATCH[i], features[i // 2], f"{i // 2}.wav", i, i % 2 + 0.5) for i in range(6)]

    def answers() -> list:
        found = model.decode(asked, GREEDY | {"max_new_tokens": 12}, Room(rows=4))
        return sorted(pair for pairs in found for pair in pairs)

    found = answers()
    assert sizes
    monkeypatch.setattr(engines, "pays", lambda device: False)
    assert found == answers()


def test_a_lane_whose_buffers_another_has_taken_does_not_go_on():
    engine = Engine(model_of("llama"))
    rows = lane([torch.tensor(ids(5, i)) for i in range(4)])
    one, other = (engine.decode(rows, LONG, EOS, Room(rows=2)) for _ in range(2))
    next(one)
    next(other)
    with pytest.raises(RuntimeError, match="rows of another lane"):
        list(one)


def test_a_lack_of_memory_lets_go_of_the_buffers(monkeypatch):
    engine = Engine(model_of("llama"))
    rows = lane([torch.tensor(ids(5, i)) for i in range(4)])
    expected = decoded(engine, rows, LONG, Room(rows=2))
    assert engine.buffers.bytes > 0
    monkeypatch.setattr(Step, "run", lambda step: exec("raise torch.OutOfMemoryError"))
    with pytest.raises(torch.OutOfMemoryError):
        decoded(engine, rows, LONG, Room(rows=4))
    assert engine.buffers.bytes == 0
    monkeypatch.undo()
    assert decoded(engine, rows, LONG, Room(rows=1)) == expected


def test_free_places_stay_empty(monkeypatch):
    """They are read on, and must not run out of the model's positions."""
    engine, lengths = Engine(model_of("gpt2")), []
    run = Step.run
    monkeypatch.setattr(Step, "run", lambda step: (lengths.append(step.lengths.max()), run(step)))
    inputs = [torch.tensor(ids(5, i)) for i in range(3)]
    decoded(engine, lane(inputs), LONG | {"max_new_tokens": 30}, Room(rows=2))
    assert max(lengths) < 5 + 30


def test_what_is_recorded_is_forgotten_with_what_it_reads():
    model = model_of("llama")
    buffers = Buffers(Engine(model).forward)
    held = buffers.scalings()
    assert buffers.scalings() is held
    weight = model.get_parameter("model.norm.weight")
    before = weight.data
    weight.data = before.clone()
    assert buffers.scalings() is not held
    weight.data = before


class Replay:
    """A recording that runs the step as it is."""

    def __init__(self, step):
        self.replay = step.run


def test_recording_a_step_changes_no_row(monkeypatch):
    """It is run beside for that, on what it reads; so its columns have to be known by then."""

    def record(step, pool, stream):
        step.run()
        step.graph = Replay(step)

    monkeypatch.setattr(Step, "record", record)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "Stream", object)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    model = model_of("llama")
    inputs = inputs_of(model, ragged(), "ids")
    for room in (Room(rows=1), Room(rows=5)):
        engine = Engine(model)
        engine.buffers.records = True
        assert decoded(engine, lane(inputs), LONG, room) == expected_of(model, inputs, LONG)
        assert any(step.graph for step in engine.buffers._steps.values())


def test_sizes_are_rounded_up_and_what_buffers_take_is_free_for_rows(monkeypatch):
    assert [rounded(n) for n in (1, 5, 8, 9, 16, 17, 33, 64, 65)] == [
        1, 5, 8, 10, 16, 20, 40, 64, 80
    ]  # fmt: skip
    assert all(n <= rounded(n) <= 1.25 * n for n in range(1, 3000))
    assert size_of(9, 31) == (10, 32)
    assert size_of(1, 257) == (1, 320)
    monkeypatch.setattr("lorascope.models.footprint.free_bytes", lambda device: 600)
    taken = Footprint(10, 10)
    assert fitted(Room(), taken, "cpu", "float32").tokens == 36
    assert fitted(Room(), taken, "cpu", "float32", 400).tokens == 60

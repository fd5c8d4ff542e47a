"""Rows of one batch at LoRA scalings of their own have the numbers of a batch at each."""

import pytest
import torch

from lorascope.models import packing
from lorascope.models.likelihood import Reader
from lorascope.models.lora import lora_layers, set_scaling
from tests.support.likelihoods import as_expected, assert_close
from tests.support.readings import counted, given, ids, options, random_model

SCALINGS = [0.0, 1.0, 2.0, None, -4.0]
IN_FORCE = 0.5
TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture(scope="module")
def llama():
    model = random_model("llama", lora=[*TARGETS, "lm_head"])
    set_scaling(model, IN_FORCE)
    return model


def prompts() -> list[torch.Tensor]:
    """Three prompts with 40 positions in common, and one of its own."""
    return given(*([*ids(40, 1), *ids(2 + i, i)] for i in range(3)), ids(9, 7))


def at_each(model, several):
    """What is read of the prompts by a reader at one scaling after the other."""
    found = []
    for scaling in SCALINGS:
        set_scaling(model, IN_FORCE if scaling is None else scaling)
        found.append(Reader(model).read(prompts(), several))
    set_scaling(model, IN_FORCE)
    return found


@pytest.mark.parametrize("kind", ["llama", "sliding"])
@pytest.mark.parametrize("most", [0, 2048], ids=["apart", "packed"])
def test_scalings_in_one_batch_are_those_of_each(kind, most, llama, monkeypatch):
    monkeypatch.setattr(packing, "MOST_PACKED", most)
    model = llama if kind == "llama" else random_model(kind, lora=TARGETS)
    several = options(4)
    expected = at_each(model, several)
    # Neighbours of one item, each at another scaling.
    rows = [(prompt, i, s) for i, prompt in enumerate(prompts()) for s in range(len(SCALINGS))]
    found = Reader(model).read(
        [prompt for prompt, _, _ in rows],
        [several[i] for _, i, _ in rows],
        scalings=[SCALINGS[s] for _, _, s in rows],
    )
    for one, (_, i, s) in zip(found, rows, strict=True):
        assert_close(one, as_expected(expected[s][i]))
    assert abs(found[0].sums[0] - found[4].sums[0]) > 0.01
    for layer in lora_layers(model).values():
        assert set(layer.scaling.values()) == {IN_FORCE}


def test_a_recurrent_model_takes_scalings_of_rows():
    model = random_model("recurrent", lora=["x_proj", "in_proj"])
    set_scaling(model, IN_FORCE)
    several = [[ids(1 + i, i), ids(3, 9)] for i in range(4)]
    short = [prompt[-9:] for prompt in prompts()]
    expected = []
    for i, scaling in enumerate((0.0, 2.0, None, 3.0)):
        set_scaling(model, IN_FORCE if scaling is None else scaling)
        expected += Reader(model).read([short[i]], [several[i]])
    set_scaling(model, IN_FORCE)
    found = Reader(model).read(short, several, scalings=[0.0, 2.0, None, 3.0])
    for one, other in zip(found, expected, strict=True):
        assert_close(one, as_expected(other))


def test_a_prefix_is_read_once_for_each_scaling(llama):
    reader = Reader(llama)
    reader.read(given([3, 4]), [[[5], [6, 7]]])
    shots = given(*([*ids(40, 1), *ids(3, i)] for i in range(4)))
    scalings = [s for s in (0.0, 2.0) for _ in shots]
    with counted() as found:
        reader.read(shots * 2, [[[5], [6]]] * 8, scalings=scalings)
    assert found["prefixes shared"] == 2
    assert found["prefill positions"] == 2 * 40 + 8 * 3


def test_an_overflow_at_one_scaling_stays_there(llama):
    several = options(4)
    found = Reader(llama).read(prompts(), several, scalings=[1e38, 1.0, 1e38, 1.0])
    sound = Reader(llama).read(prompts(), several, scalings=[1.0] * 4)
    for i, (one, other) in enumerate(zip(found, sound, strict=True)):
        if i % 2:
            assert_close(one, as_expected(other))
        else:
            assert not torch.tensor(one.sums).isfinite().any()
            assert not any(one.greedy)

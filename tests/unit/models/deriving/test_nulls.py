"""Null adapters by their dense products: norms, places and signs, for every way to say s."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from lorascope.errors import UserError
from lorascope.models.auditing.adapters import brought_along, read_adapter
from lorascope.models.auditing.tensors import from_torch, read_file
from lorascope.models.deriving.nulls import negated, random_null
from lorascope.models.deriving.parts import Made, Part
from lorascope.models.deriving.shuffling import permutation, shuffled_null
from lorascope.storage.records import read_json, write_json
from tests.support.small_lora import WAYS, adapted, dense, with_experts

ALIKE = {"target_modules": ["q_proj"]}


def part_of(folder: Path) -> Part:
    config, tensors = (
        read_json(folder / "adapter_config.json"),
        read_file(folder / "adapter_model.safetensors"),
    )
    return Part("mine", 1.0, read_adapter(folder), config, tensors)


def changes(part: Part) -> dict[str, np.ndarray]:
    """Return module -> s B A of each expert, [experts, outputs, inputs]."""
    found = {}
    for one in part.adapter.parts:
        down, up = one.factors()
        found[one.module] = one.scaling * up @ down
    return found


def written(folder: Path, made: Made) -> Part:
    folder.mkdir(exist_ok=True)
    write_json(folder / "adapter_config.json", dict(made.config))
    save_file(dict(made.tensors), folder / "adapter_model.safetensors")
    return part_of(folder)


def tensors_of(folder: Path) -> dict[str, bytes]:
    found = read_file(folder / "adapter_model.safetensors")
    return {name: one.read().tobytes() for name, one in found.items()}


@pytest.mark.parametrize("way", WAYS)
def test_a_random_null_has_the_norms_of_the_real_one(tmp_path: Path, way: str) -> None:
    """As peft's own products have them, embeddings included."""
    wrapped = adapted(tmp_path, **WAYS[way])
    real = part_of(tmp_path / "adapter")
    null = changes(written(tmp_path / "null", random_null([real], 3, 0)))
    assert len(null) == 5
    for module, found in changes(real).items():
        change, _ = dense(wrapped, module)
        wanted = np.linalg.norm(change)
        assert np.linalg.norm(null[module]) == pytest.approx(wanted, rel=1e-6)
        cosine = np.sum(null[module] * found) / wanted**2
        assert abs(cosine) < 0.5  # it knows nothing of the real one


def test_a_random_null_of_experts_has_the_norm_of_each(tmp_path: Path) -> None:
    change = with_experts(tmp_path / "adapter")
    null = changes(written(tmp_path / "null", random_null([part_of(tmp_path / "adapter")], 0, 0)))
    (found,) = null.values()
    assert np.linalg.norm(found, axis=(1, 2)) == pytest.approx(
        np.linalg.norm(change, axis=(1, 2)), rel=1e-6
    )


def test_a_bias_of_b_belongs_to_the_change(tmp_path: Path) -> None:
    adapted(tmp_path, lora_bias=True, target_modules=["q_proj"])
    folder = tmp_path / "adapter"
    tensors = {k: np.copy(v.read()).astype("f4") for k, v in part_of(folder).tensors.items()}
    tensors |= {k: v + 2 for k, v in tensors.items() if k.endswith("bias")}
    save_file(tensors, folder / "adapter_model.safetensors")
    real = part_of(folder)
    null, turned = random_null([real], 0, 0).tensors, negated([real], None, 0).tensors
    biases = [name for name in tensors if name.endswith("bias")]
    assert len(biases) == 2
    for name in biases:
        assert np.linalg.norm(null[name]) == pytest.approx(np.linalg.norm(tensors[name]), rel=1e-6)
        assert not np.allclose(null[name], tensors[name])
        assert (turned[name] == -tensors[name]).all()


def test_a_random_null_is_that_of_its_seed(tmp_path: Path) -> None:
    """Neither the other modules nor the machine decide it: these numbers are for all time."""
    adapted(tmp_path)
    whole = part_of(tmp_path / "adapter")
    adapted(tmp_path / "few", **ALIKE)
    few = part_of(tmp_path / "few" / "adapter")
    first, again, other = (random_null([whole], seed, 0).tensors for seed in (7, 7, 8))
    name = "base_model.model.layers.1.q_proj.lora_A.weight"
    assert (
        first[name].tobytes()
        == again[name].tobytes()
        == random_null([few], 7, 0).tensors[name].tobytes()
    )
    assert not np.allclose(first[name], other[name])
    assert not np.allclose(first[name], first[name.replace(".1.", ".0.")])
    assert first[name][0, :3].tolist() == pytest.approx(GOLDEN, abs=1e-7)
    values = np.concatenate([t.ravel() for n, t in first.items() if "lora_A" in n])
    assert abs(values.mean()) < 4 / math.sqrt(values.size)
    assert values.std() == pytest.approx(1, abs=0.2)


GOLDEN = [-1.0457401275634766, 0.051463451236486435, 0.71211177110672]


@pytest.mark.parametrize("way", WAYS)
def test_the_other_sign_is_the_scaling_negated(tmp_path: Path, way: str) -> None:
    adapted(tmp_path, **WAYS[way])
    real = part_of(tmp_path / "adapter")
    null = changes(written(tmp_path / "null", negated([real], None, 0)))
    for module, change in changes(real).items():
        assert (null[module] == -change).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_shuffled_null_has_the_changes_elsewhere(tmp_path: Path, way: str) -> None:
    """(A, B, s) together: the products are those of others of one kind, shape and rank."""
    adapted(tmp_path, **WAYS[way])
    real = part_of(tmp_path / "adapter")
    before, alike = changes(real), 2 if way != "patterns" else 1  # q_proj may have two ranks
    ways, places = 2**alike - 1, set()
    for draw in range(ways):
        made = shuffled_null([real], draw, draw)
        null = changes(written(tmp_path / "null", made))
        moved = 0
        for module, change in null.items():
            taken = made.told["taken_from"][module]
            assert change == pytest.approx(before[taken])
            assert taken.rpartition(".")[2] == module.rpartition(".")[2]
            moved += taken != module
        assert moved
        assert made.told["taken_from"]["embed"] == "embed"
        places.add(order(made))
    assert len(places) == ways == made.told["ways"]


def test_peft_runs_a_shuffled_null_at_each_modules_new_scaling(tmp_path: Path) -> None:
    from peft import PeftModel

    from tests.support.small_lora import Small

    adapted(tmp_path, alpha_pattern={r"layers\.0\.q_proj": 3.0}, **ALIKE)
    real = part_of(tmp_path / "adapter")
    written(tmp_path / "null", shuffled_null([real], 0, 0))
    model: Any = PeftModel.from_pretrained(Small(), tmp_path / "null")
    found = {n: dense(model, f"layers.{n}.q_proj")[0] for n in (0, 1)}
    before = changes(real)
    for n in (0, 1):
        assert found[n] == pytest.approx(before[f"layers.{1 - n}.q_proj"][0], rel=1e-5)


def stacked(folder: Path, layers: int) -> Part:
    """An adapter of one kind of module in so many layers."""
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["v"]}
    write_json(folder / "adapter_config.json", config)
    rng = np.random.default_rng(0)
    shapes = {"A": (2, 6), "B": (5, 2)}
    tensors = {
        f"base_model.model.layers.{n}.v.lora_{side}.weight": rng.normal(size=shape).astype("f4")
        for n in range(layers)
        for side, shape in shapes.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return part_of(folder)


def order(made: Made) -> tuple[str, ...]:
    return tuple(made.told["taken_from"].values())


def test_few_shuffles_are_all_different_and_none_is_the_real_one(tmp_path: Path) -> None:
    part = stacked(tmp_path / "adapter", 3)
    found = {order(shuffled_null([part], 10 + draw, draw)) for draw in range(5)}
    real = tuple(one.module for one in part.adapter.parts)
    assert len(found) == 5
    assert real not in found
    with pytest.raises(UserError, match=r"^mine can be shuffled in 5 ways, which is fewer than"):
        shuffled_null([part], 15, 5)


def test_many_shuffles_are_drawn_alike(tmp_path: Path) -> None:
    """Each layer's change is equally likely to come from each of them."""
    part = stacked(tmp_path / "adapter", 9)
    orders = [order(shuffled_null([part], seed, 0)) for seed in range(400)]
    assert len(set(orders)) > 395
    names = sorted({name for one in orders for name in one})
    counts = np.array([[sum(o[i] == n for o in orders) for n in names] for i in range(9)])
    expected = 400 / 9
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 64 + 4 * math.sqrt(2 * 64)


def test_permutations_by_number() -> None:
    found = [permutation(4, number) for number in range(24)]
    assert found == sorted(found)
    assert len({*map(tuple, found)}) == 24
    assert permutation(4, 0) == [0, 1, 2, 3]


def test_what_has_no_like_cannot_be_shuffled(tmp_path: Path, caplog: Any) -> None:
    with pytest.raises(UserError, match=r"^mine has no two modules of one kind.*kind: random$"):
        shuffled_null([stacked(tmp_path / "adapter", 1)], 0, 0)
    adapted(tmp_path / "more")
    shuffled_null([part_of(tmp_path / "more" / "adapter")], 0, 0)
    assert "so not exchanged: embed" in caplog.text


@pytest.mark.parametrize("make", [random_null, shuffled_null, negated])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.0, r"^mine changes nothing \(s B A is zero\), and so would its null$"),
        (np.nan, r"^mine: values that are not finite in layers\.0\.v: no null$"),
    ],
)
def test_an_adapter_without_a_null(
    tmp_path: Path, make: Callable[..., Made], value: float, message: str
) -> None:
    stacked(tmp_path / "adapter", 1)
    tensors = {k: v.read().astype("f4") for k, v in part_of(tmp_path / "adapter").tensors.items()}
    for name in tensors:
        tensors[name][...] *= 1 if "lora_A" in name else value
    save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(UserError, match=message):
        make([part_of(tmp_path / "adapter")], 0, 0)


def test_an_adapter_of_half_precision_and_one_that_a_model_brings_along(tmp_path: Path) -> None:
    """Written as peft's files: A and B by module, rank and s read off the tensors."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"model.layers.{n}.self_attn.{kind}.lora_{side}.default.weight": torch.randn(
            *shape, generator=generator
        ).half()
        for n in (0, 1)
        for kind in ("q_proj", "v_proj")
        for side, shape in {"A": (4, 10), "B": (8, 4)}.items()
    }
    path = tmp_path / "x.pth"
    own = Part("tiny", 1.0, brought_along(tensors, 32, path), None, from_torch(tensors, path))
    before = changes(own)
    null = changes(written(tmp_path / "null", random_null([own], 1, 0)))
    turned = changes(written(tmp_path / "turned", negated([own], None, 0)))
    shuffled = shuffled_null([own], 0, 0)
    moved = changes(written(tmp_path / "moved", shuffled))
    assert null.keys() == before.keys()
    for module, change in before.items():
        assert np.linalg.norm(null[module]) == pytest.approx(np.linalg.norm(change), rel=1e-6)
        assert (turned[module] == -change).all()
        assert (moved[module] == before[shuffled.told["taken_from"][module]]).all()
    assert {one.scaling for one in part_of(tmp_path / "null").adapter.parts} == {8.0}

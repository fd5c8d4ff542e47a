"""A weighted sum of adapters is that of the dense products, and what peft's own sum merges to."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_tensors
from torch import Tensor, nn

from lorascope.errors import UserError
from lorascope.models.adapter_config import CONFIG
from lorascope.models.auditing.adapters import brought_along, read_adapter
from lorascope.models.auditing.tensors import from_torch, read_file
from lorascope.models.deriving.mixing import summed
from lorascope.models.deriving.parts import Made, Part
from lorascope.models.lora import adapt, load_adapter
from lorascope.storage.records import read_json, write_json

FILE = "adapter_model.safetensors"
ALL = ["embed", "q_proj", "up_proj", "conv", "head"]
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "equal": ({}, {}),
    "ranks": ({"r": 2, "lora_alpha": 3}, {"r": 5}),
    "rslora": ({"use_rslora": True}, {"r": 3}),
    "patterns": (
        {
            "rank_pattern": {"layers.1.q_proj": 2, "up_proj": 5},
            "alpha_pattern": {r"layers\.0\..*": 3.0, "q_proj": -2.0},
        },
        {"use_rslora": True, "rank_pattern": {"q_proj": 7}},
    ),
    "modules of one alone": (
        {"target_modules": ["q_proj", "head"]},
        {"target_modules": ["up_proj", "embed", "conv"]},
    ),
    "layers of one alone": (
        {"target_modules": ["layers.0.q_proj"]},
        {"target_modules": r".*\.(q|up)_proj"},
    ),
}
WEIGHTS = [(1.0, 0.5), (-0.7, 1.3)]


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.up_proj = nn.Linear(width, width), nn.Linear(width, 30, bias=False)


class Small(nn.Module):
    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, width)
        self.layers = nn.ModuleList([Layer(width), Layer(width)])
        self.conv, self.head = nn.Conv1d(width, 8, 3), nn.Linear(width, 40)


def small(width: int = 12) -> Small:
    """Return a model with the same weights each time."""
    torch.manual_seed(0)
    return Small(width)


def made(folder: Path, name: str, seed: int, width: int = 12, **own: Any) -> Path:
    """Write a random adapter of the small model as peft does."""
    keys = {"r": 4, "lora_alpha": 6, "target_modules": ALL, **own}
    wrapped = get_peft_model(small(width), LoraConfig(**keys))
    torch.manual_seed(seed)
    for parameter in (p for n, p in wrapped.named_parameters() if "lora_" in n):
        nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(folder / name)
    return folder / name


def part(folder: Path, weight: float) -> Part:
    """Return an adapter as the stage reads it."""
    tensors = read_file(folder / FILE)
    return Part(folder.name, weight, read_adapter(folder), read_json(folder / CONFIG), tensors)


def written(folder: Path, *parts: tuple[Path, float]) -> Path:
    """Write the sum of adapters by their folders and weights, as the stage does."""
    return wrote(folder, summed([part(*one) for one in parts], None, 0))


def wrote(folder: Path, made: Made) -> Path:
    folder.mkdir()
    save_file(dict(made.tensors), folder / FILE)
    write_json(folder / CONFIG, dict(made.config))
    return folder


def changes(adapted: Any, name: str = "default") -> dict[str, Tensor]:
    """Return the module -> s B A of an adapter, as peft has it."""
    found = {}
    for module, layer in adapted.named_modules():
        if hasattr(layer, "get_delta_weight") and name in layer.scaling:
            found[module.removeprefix("base_model.model.")] = layer.get_delta_weight(name).detach()
    return found


def loaded(folder: Path, name: str = "default") -> dict[str, Tensor]:
    return changes(PeftModel.from_pretrained(small(), folder, adapter_name=name), name)


def merged_by_peft(folders: Mapping[Path, float]) -> dict[str, Tensor]:
    """Return the weights of the small model with peft's own sum merged into them."""
    (first, _), *others = folders.items()
    wrapped: Any = PeftModel.from_pretrained(small(), first, adapter_name=first.name)
    for folder, _ in others:
        wrapped.load_adapter(folder, folder.name)
    names = [folder.name for folder in folders]
    wrapped.add_weighted_adapter(names, [*folders.values()], "sum", combination_type="cat")
    wrapped.set_adapter("sum")
    merged = wrapped.merge_and_unload(adapter_names=["sum"])
    return {name: tensor.detach() for name, tensor in merged.named_parameters()}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_sum_of_the_products(
    tmp_path: Path, way: str, weights: tuple[float, float]
) -> None:
    folders = [
        made(tmp_path, name, i, **own)
        for i, (name, own) in enumerate(zip("ab", WAYS[way], strict=True))
    ]
    mix = written(tmp_path / "mix", *zip(folders, weights, strict=True))
    wanted: dict[str, Tensor] = {}
    for folder, weight in zip(folders, weights, strict=True):
        for module, change in loaded(folder).items():
            wanted[module] = wanted.get(module, 0) + weight * change
    found = loaded(mix)
    assert found.keys() == wanted.keys()
    for module, change in found.items():
        torch.testing.assert_close(change, wanted[module], rtol=1e-5, atol=1e-5)
    assert load_adapter(small(), mix) == 1


@pytest.mark.parametrize("way", ["equal", "ranks", "rslora"])
def test_peft_merges_the_same(tmp_path: Path, way: str) -> None:
    own = [{**keys, "target_modules": ["q_proj", "up_proj", "embed"]} for keys in WAYS[way]]
    a, b = (
        made(tmp_path, name, i, **keys)
        for i, (name, keys) in enumerate(zip("ab", own, strict=True))
    )
    # peft lets its sum have the first one's use_rslora, by which its own scaling is not 1.
    wanted = merged_by_peft({b: -0.5, a: 0.8})
    model: Any = PeftModel.from_pretrained(small(), written(tmp_path / "mix", (a, 0.8), (b, -0.5)))
    found = dict(model.merge_and_unload().named_parameters())
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.detach(), wanted[name], rtol=1e-5, atol=1e-5)


def test_a_scaling_multiplies_the_whole_sum(tmp_path: Path) -> None:
    a, b = made(tmp_path, "a", 1, r=2), made(tmp_path, "b", 2, use_rslora=True)
    model = small()
    adapt(model, written(tmp_path / "mix", (a, 1), (b, 0.5)), -2)
    first, second = loaded(a), loaded(b)
    for module, change in changes(model).items():
        wanted = -2 * (first[module] + 0.5 * second[module])
        torch.testing.assert_close(change, wanted, rtol=1e-5, atol=1e-5)


def test_three_adapters(tmp_path: Path) -> None:
    folders = [made(tmp_path, name, i, r=i + 1) for i, name in enumerate("abc")]
    mix = written(tmp_path / "mix", *zip(folders, (1, -1, 0.25), strict=True))
    a, b, c = map(loaded, folders)
    for module, change in loaded(mix).items():
        wanted = a[module] - b[module] + c[module] / 4
        torch.testing.assert_close(change, wanted, rtol=1e-5, atol=1e-5)


def test_biases_of_b_are_summed(tmp_path: Path) -> None:
    targets = ["q_proj", "up_proj"]
    a = made(tmp_path, "a", 1, target_modules=targets, lora_bias=True)
    b = made(tmp_path, "b", 2, target_modules=["up_proj"])
    ids = torch.randn(3, 12)

    def output(folder: Path) -> Tensor:
        model = small()
        before = [layer(ids) for layer in (model.layers[0].q_proj, model.layers[0].up_proj)]
        adapt(model, folder, None)
        after = [layer(ids) for layer in (model.layers[0].q_proj, model.layers[0].up_proj)]
        return torch.cat([x - y for x, y in zip(after, before, strict=True)], dim=1)

    wanted = 0.5 * output(a) + 2 * output(b)
    found = output(written(tmp_path / "mix", (a, 0.5), (b, 2)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_model_s_own_adapter_is_a_part(tmp_path: Path) -> None:
    a = made(tmp_path, "a", 1, target_modules=["q_proj"])
    own = {
        f"layers.{n}.up_proj.lora_{side}.default.weight": torch.randn(shape)
        for n in (0, 1)
        for side, shape in (("A", (3, 12)), ("B", (30, 3)))
    }
    brought = brought_along(own, 6.0, tmp_path)
    mine = Part("small", 0.5, brought, None, from_torch(own, tmp_path))
    first, found = loaded(a), loaded(wrote(tmp_path / "mix", summed([part(a, 2), mine], None, 0)))
    assert len(found) == 4
    for n in (0, 1):
        up, down = (own[f"layers.{n}.up_proj.lora_{side}.default.weight"] for side in "BA")
        changed = found[f"layers.{n}.up_proj"]
        torch.testing.assert_close(changed, 0.5 * 2 * up @ down, rtol=1e-5, atol=1e-5)
        name = f"layers.{n}.q_proj"
        torch.testing.assert_close(found[name], 2 * first[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parts_in_half_precision_are_summed_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    a, b = made(tmp_path, "a", 1), made(tmp_path, "b", 2)
    tensors = load_file(a / FILE)
    save_tensors({name: tensor.to(dtype) for name, tensor in tensors.items()}, a / FILE)
    first, second = loaded(a), loaded(b)
    for module, change in loaded(written(tmp_path / "mix", (a, 1), (b, 3))).items():
        assert change.dtype == torch.float32
        wanted = first[module] + 3 * second[module]
        torch.testing.assert_close(change, wanted, rtol=1e-5, atol=1e-5)


def test_adapters_of_two_models_are_refused(tmp_path: Path) -> None:
    a, b = made(tmp_path, "a", 1), made(tmp_path, "b", 2, width=16)
    said = "a and b are for different models: conv is 8 x 36 in a, 8 x 48 in b"
    with pytest.raises(UserError, match=said):
        written(tmp_path / "mix", (a, 1), (b, 1))


def test_what_is_no_finite_number_in_float32_is_refused(tmp_path: Path) -> None:
    a, b = made(tmp_path, "a", 1), made(tmp_path, "b", 2)
    with pytest.raises(UserError, match="too large for float32 once they are weighted"):
        written(tmp_path / "mix", (a, 1e39), (b, 1))


def test_an_embedding_and_biases_of_b_do_not_go_together(tmp_path: Path) -> None:
    a = made(tmp_path, "a", 1, target_modules=["embed"])
    b = made(tmp_path, "b", 2, target_modules=["q_proj"], lora_bias=True)
    with pytest.raises(UserError, match="embed is an embedding, and B of other parts has biases"):
        written(tmp_path / "mix", (a, 1), (b, 1))


def test_the_end_of_a_name_is_not_taken_for_the_name(tmp_path: Path) -> None:
    """Ranks differ between "head" and "inner.head"."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.inner = nn.Linear(4, 4), Small()

    folders = []
    for name, ranks in (("a", {"^head": 2}), ("b", {"inner.head": 3})):
        config = LoraConfig(r=1, target_modules=["head"], rank_pattern=ranks)
        wrapped = get_peft_model(Two(), config)
        for parameter in (p for n, p in wrapped.named_parameters() if "lora_" in n):
            nn.init.normal_(parameter)
        wrapped.save_pretrained(tmp_path / name)
        folders.append(tmp_path / name)
    mix = written(tmp_path / "mix", (folders[0], 1), (folders[1], 1))
    model: Any = PeftModel.from_pretrained(Two(), mix)
    layers = dict(model.base_model.model.named_modules())
    assert (layers["head"].r, layers["inner.head"].r) == ({"default": 3}, {"default": 4})


@pytest.mark.parametrize("key", ["target_parameters", "ensure_weight_tying"])
def test_what_is_more_than_layers_of_its_own_is_refused(tmp_path: Path, key: str) -> None:
    a, b = made(tmp_path, "a", 1), made(tmp_path, "b", 2)
    write_json(b / CONFIG, {**read_json(b / CONFIG), key: ["layers"]})
    parts = [part(a, 1), replace(part(a, 1), name="b", config=read_json(b / CONFIG))]
    with pytest.raises(UserError, match=f"b: {key}: .* cannot be a part of sum_of"):
        summed(parts, None, 0)

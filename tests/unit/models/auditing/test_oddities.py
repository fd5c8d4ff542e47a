"""What is odd in an adapter is named: nothing, next to nothing, no numbers, outliers, copies."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorascope.errors import UserError
from lorascope.models.auditing.adapters import read_adapter
from lorascope.models.auditing.audit import audit_rows
from lorascope.models.auditing.copies import same_changes
from lorascope.models.auditing.oddities import oddities

Change = Callable[[dict[str, Tensor]], object]
PREFIX = "base_model.model.model.layers"


def write(folder: Path, change: Change = len, seed: int = 0, **config) -> Path:
    """Write an adapter of six layers with two modules each, changed by a function."""
    folder.mkdir()
    torch.manual_seed(seed)
    tensors = {
        f"{PREFIX}.{layer}.{kind}.lora_{side}.weight": torch.randn(shape)
        for layer in range(6)
        for kind in ("q_proj", "v_proj")
        for side, shape in (("A", (2, 8)), ("B", (8, 2)))
    }
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")
    own = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(own | config))
    return folder


def rows(folder: Path) -> list[dict]:
    return audit_rows(read_adapter(folder), None)


def odd(folder: Path) -> str:
    return "; ".join(oddities(rows(folder)))


def scaled(pattern: str, factor: float) -> Change:
    def change(tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if pattern in name:
                tensors[name] = tensors[name] * factor

    return change


def test_an_ordinary_one_has_nothing_odd(tmp_path: Path) -> None:
    assert odd(write(tmp_path / "a")) == ""


def test_untrained_and_partly_zero(tmp_path: Path) -> None:
    assert "changes nothing: s B A is zero everywhere" in odd(
        write(tmp_path / "untrained", scaled("lora_B", 0))
    )
    found = odd(write(tmp_path / "partly", scaled("layers.3.q_proj.lora_B", 0)))
    assert "changes nothing in 1 of 12 modules (model.layers.3.q_proj)" in found
    found = odd(write(tmp_path / "faint", scaled("layers.3.q_proj.lora_B", 1e-5)))
    assert "next to nothing in 1 of 12 modules (model.layers.3.q_proj)" in found


def test_products_that_overflow(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors |= {name: 1e200 * tensor.double() for name, tensor in tensors.items()}

    assert "infinite values, in 12 of 12 modules" in odd(write(tmp_path / "a", change))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    def break_one(tensors: dict[str, Tensor]) -> None:
        tensors[f"{PREFIX}.4.v_proj.lora_A.weight"][0, :3] = value

    folder = write(tmp_path / "a", break_one)
    assert "3 NaN or infinite values, in 1 of 12 modules (model.layers.4.v_proj)" in odd(folder)
    (broken,) = [row for row in rows(folder) if row["norm"] is None]
    assert (broken["nonfinite"], broken["singular_values"], broken["is_zero"]) == (3, [], False)


def test_layers_that_stand_out(tmp_path: Path) -> None:
    found = odd(write(tmp_path / "a", scaled("layers.2.v_proj.lora_B", 100)))
    assert "layers that stand out: norm of model.layers.2.v_proj, up to" in found
    assert "q_proj" not in found


def test_copies_are_named_by_content(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other", seed=1)
    rounded = write(tmp_path / "rounded")
    half = {k: v.bfloat16() for k, v in load_file(one / "adapter_model.safetensors").items()}
    save_file(half, rounded / "adapter_model.safetensors")

    def split_otherwise(tensors: dict[str, Tensor]) -> None:
        scaled("lora_A", 2.0)(tensors)
        scaled("lora_B", 0.5)(tensors)

    copy = write(tmp_path / "copy", split_otherwise)
    louder = write(tmp_path / "louder", lora_alpha=12)
    negated = write(tmp_path / "negated", scaled("lora_B", -1.0))
    broken = write(tmp_path / "broken", scaled("layers.0.q_proj.lora_A", float("nan")))
    zero = write(tmp_path / "zero", scaled("lora_B", 0))
    folders = [one, other, copy, rounded, louder, negated, broken, zero]
    said = [*same_changes({folder.name: rows(folder) for folder in folders})]
    assert not any("other do" in line or "broken" in line or "zero" in line for line in said)
    assert said[0] == "adapters one and copy do the same to the weights"
    assert said[1].startswith("adapters one and rounded do the same to the weights (up to 0.00")
    assert "what adapter one does to the weights is 0.3333 times what louder does" in said[2]
    assert "what adapter one does to the weights is -1 times what negated does" in said[3]
    assert len(said) == 10  # each pair of the five


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (lambda t: t.pop(f"{PREFIX}.1.q_proj.lora_B.weight"), {}, "lacks A or B of model.layers.1"),
        (len, {"r": 4}, "A has rank 2, B 2, and adapter_config.json says 4"),
        (lambda t: t.update({f"{PREFIX}.1.q_proj.lora_B.weight": torch.ones(8)}), {}, "no matrix"),
        (lambda t: t.update({k: v.to(torch.int8) for k, v in t.items()}), {}, "I8 of shape"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, change, config, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows(write(tmp_path / "a", change, **config))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_eight_bits_are_read_as_torch_reads_them(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = write(tmp_path / "a")
    every = torch.arange(256, dtype=torch.uint8).view(dtype).reshape(2, 128)
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors["x.lora_A.weight"], tensors["x.lora_B.weight"] = every, torch.ones(1, 2)
    save_file(tensors, folder / "adapter_model.safetensors")
    (part,) = (one for one in read_adapter(folder).parts if one.module == "x")
    expected = every.double().numpy()
    assert ((part.down.read() == expected) | (expected != expected)).all()
    save_file({}, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match="holds no tensors of a LoRA"):
        read_adapter(folder)


def test_a_pickle_says_the_same_as_safetensors(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    before = rows(folder)
    weights = folder / "adapter_model.safetensors"
    torch.save(load_file(weights), folder / "adapter_model.bin")
    weights.unlink()
    assert rows(folder) == before

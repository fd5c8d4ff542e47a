"""The numbers of an audit are those of the dense products, for every way to say s."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lorascope.models.auditing.adapters import read_adapter
from lorascope.models.auditing.audit import Intruders, audit_rows, summary_of
from lorascope.models.auditing.copies import likeness
from lorascope.models.auditing.tensors import read_model, read_safetensors
from tests.support.small_lora import WAYS, adapted, dense, with_experts


def intruders(change: np.ndarray, weight: np.ndarray, top: int, cosine: float) -> int:
    """Algorithm 1 of the paper, as it stands there."""
    before, after = (np.linalg.svd(m)[0] for m in (weight, weight + change))
    before, top = before[:, : min(weight.shape)], min(top, *weight.shape)
    return sum(
        all(abs(before[:, i] @ after[:, j]) < cosine for i in range(before.shape[1]))
        for j in range(top)
    )


@pytest.mark.parametrize("way", WAYS)
def test_they_are_those_of_the_products(tmp_path: Path, way: str) -> None:
    wrapped = adapted(tmp_path, **WAYS[way])
    tensors = read_model(tmp_path)
    rows = audit_rows(read_adapter(tmp_path / "adapter"), tensors, Intruders(5, 0.6))
    assert len(rows) == 5
    for row in rows:
        change, weight = dense(wrapped, row["module"])
        own = change if row["kind"] != "embed" else change.T
        values = np.linalg.svd(own, compute_uv=False)[: row["rank"]]
        norm = np.linalg.norm(change)
        assert row["norm"] == pytest.approx(norm, rel=1e-5)
        assert row["weight_norm"] == pytest.approx(np.linalg.norm(weight), rel=1e-5)
        assert row["share"] == pytest.approx(norm / np.linalg.norm(weight), rel=1e-5)
        assert row["stable_rank"] == pytest.approx((norm / values[0]) ** 2, rel=1e-5)
        assert row["singular_values"] == pytest.approx(values, rel=1e-5)
        layer = wrapped.base_model.model.get_submodule(row["module"])
        assert row["scaling"] == pytest.approx(layer.scaling["default"])
        assert row["rank"] == row["used_rank"] == layer.r["default"]
        transposed = row["kind"] == "embed"
        sides = (change.T, weight.T) if transposed else (change, weight)
        assert row["intruders"] == intruders(*sides, 5, 0.6)
    whole = summary_of(rows)
    every = [dense(wrapped, row["module"]) for row in rows]
    norms = [math.hypot(*(np.linalg.norm(pair[i]) for pair in every)) for i in (0, 1)]
    assert whole["norm"] == pytest.approx(norms[0], rel=1e-5)
    assert whole["share"] == pytest.approx(norms[0] / norms[1], rel=1e-5)
    assert whole["parameters"] == sum(
        p.numel() for n, p in wrapped.named_parameters() if "lora_" in n
    )


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16"])
def test_every_precision_is_read_as_torch_reads_it(tmp_path: Path, kind: str) -> None:
    tensor = torch.randn(70, 30).to(getattr(torch, kind))
    save_file({"before": torch.ones(3), "t": tensor}, tmp_path / "x.safetensors")
    found = read_safetensors(tmp_path / "x.safetensors")["t"]
    assert found.shape == (70, 30)
    assert (found.read() == tensor.double().numpy()).all()


def test_a_tensor_larger_than_a_block_has_the_norm_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorascope.models.auditing.tensors.BLOCK", 16)
    adapted(tmp_path)
    (row, *_) = audit_rows(read_adapter(tmp_path / "adapter"), read_model(tmp_path))
    weight = read_model(tmp_path)["layers.0.q_proj.weight"].read()
    assert row["weight_norm"] == pytest.approx(np.linalg.norm(weight), rel=1e-12)


def test_experts_of_one_parameter_act_apart(tmp_path: Path) -> None:
    """As peft's own product of a parameter with three experts."""
    change = with_experts(tmp_path)
    (row,) = audit_rows(read_adapter(tmp_path), None)
    values = sorted(np.linalg.svd(change, compute_uv=False)[:, :2].ravel(), reverse=True)
    assert (row["experts"], row["norm"]) == (3, pytest.approx(np.linalg.norm(change), rel=1e-5))
    assert row["singular_values"] == pytest.approx(values, rel=1e-5)
    assert row["weight_norm"] is None


def test_probes_tell_how_far_two_adapters_are_apart(tmp_path: Path) -> None:
    def probes(seed: int, **own: Any) -> list[list[float]]:
        adapted(tmp_path, seed, **own)
        return [row["probes"] for row in audit_rows(read_adapter(tmp_path / "adapter"), None)]

    one = probes(0)
    for alpha, factor in ((6, 1.0), (12, 0.5)):
        same = likeness(one, probes(0, lora_alpha=alpha))
        assert same is not None
        assert (same.factor, same.difference) == (pytest.approx(factor), pytest.approx(0, abs=1e-7))
    other = likeness(one, probes(1))
    assert other is not None
    assert other.difference > 0.5
    # The mean square of a module's probes is the square of its norm.
    rows = audit_rows(read_adapter(tmp_path / "adapter"), None)
    squares = [np.mean(np.square(row["probes"])) / row["norm"] ** 2 for row in rows]
    assert 0.4 < np.mean(squares) < 1.6

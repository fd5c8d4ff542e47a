"""What two plain forwards of a row, without an adapter and with it, make of its tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import kl_div
from transformers import AutoModelForCausalLM

from lorascope.benchmarks.likelihoods import Drift, Likelihoods

CLOSE = 1e-5
"""How far a token's numbers may be apart in float32, and by which part of them beyond 1."""
NUMBERS = ("base", "adapted", "kl", "reverse_kl")


def two_models(base: Path, adapter: Path, scaling: float | None) -> tuple[Any, Any]:
    """Return a model, and the same with an adapter by peft alone, at an absolute scaling."""
    plain, whole = (
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval() for _ in range(2)
    )
    adapted = PeftModel.from_pretrained(whole, str(adapter)).eval()
    for module in adapted.modules():
        if scaling is not None and isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] = scaling
    return plain, adapted


@torch.inference_mode()
def plain_drift(
    models: tuple[Any, Any], row: Tensor, places: Sequence[tuple[int, int]]
) -> dict[str, list[float]]:
    """Return the numbers of a row of ids or embeddings, read whole, at (position, token)."""
    key = "inputs_embeds" if row.is_floating_point() else "input_ids"
    before, after = (m(**{key: row[None]}).logits[0].double().log_softmax(-1) for m in models)
    at = torch.tensor([position - 1 for position, _ in places])
    ids = torch.tensor([token for _, token in places])
    kl = kl_div(after, before, reduction="none", log_target=True).sum(-1)
    reverse = kl_div(before, after, reduction="none", log_target=True).sum(-1)
    found = (before[at, ids], after[at, ids], kl[at], reverse[at])
    numbers = {name: value.tolist() for name, value in zip(NUMBERS, found, strict=True)}
    return numbers | {"changed": (before.argmax(-1) != after.argmax(-1))[at].tolist()}


def largest_gap(drift: Drift, expected: dict[str, list[float]]) -> float:
    """Return how far a drift's numbers are at most from those expected, which are as many."""
    pairs = [
        pair for name in NUMBERS for pair in zip(getattr(drift, name), expected[name], strict=True)
    ]
    return max(abs(one - other) / max(1.0, abs(other)) for one, other in pairs)


def drift_of(found: Likelihoods) -> Drift:
    """Return the drift of a reply, whose likelihood is that of its tokens with the adapter."""
    assert found.drift is not None
    assert (found.sums, found.tokens) == ((sum(found.drift.adapted),), (len(found.drift.ids),))
    assert len({len(getattr(found.drift, name)) for name in ("ids", "words", *NUMBERS)}) == 1
    return found.drift

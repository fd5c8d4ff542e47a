"""Every kind of change at every strength: against peft and transformers, and merged by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from lorascope.models.hf_text.answerer import load
from tests.support.settings import defaults
from tests.support.tiny_text_files import write_model
from tests.support.weight_changes import (
    by_peft,
    logits,
    merged_by_hand,
    write_change,
    write_checkpoint,
)

PEFT: dict[str, tuple[str, dict[str, Any]]] = {
    "dora": ("llama", {"use_dora": True}),
    "dora_rslora_ranks": (
        "llama",
        {"use_dora": True, "use_rslora": True, "rank_pattern": {"v_proj": 2}},
    ),
    "dora_and_head": ("llama", {"use_dora": True, "modules_to_save": ["lm_head"]}),
    "dora_of_embeddings": ("llama", {"use_dora": True, "target_modules": ["embed_tokens"]}),
    "norms": ("qwen2", {"modules_to_save": ["norm", "input_layernorm"]}),
    "all_biases": ("qwen2", {"bias": "all"}),
    "own_biases": ("qwen2", {"bias": "lora_only"}),
    "biases_and_dora": ("gpt2", {"bias": "all", "use_dora": True, "fan_in_fan_out": True}),
    "tokens": ("llama", {"trainable_token_indices": [5, 9]}),
    "tied_tokens": ("gpt2", {"trainable_token_indices": [5, 9], "fan_in_fan_out": True}),
    "tied_head": ("gpt2", {"modules_to_save": ["lm_head"], "fan_in_fan_out": True}),
    "tied_embeddings": ("gpt2", {"modules_to_save": ["wte"], "fan_in_fan_out": True}),
    "tied_both": ("gpt2", {"modules_to_save": ["wte", "lm_head"], "fan_in_fan_out": True}),
    "tied_dora": ("gpt2", {"use_dora": True, "target_modules": ["lm_head"]}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changes")


@pytest.fixture(scope="module")
def base(folder: Path) -> Callable[[str], Path]:
    made: dict[str, Path] = {}
    return lambda kind: made.get(kind) or made.setdefault(kind, write_model(folder / kind, kind))


@pytest.fixture(scope="module", params=PEFT)
def change(request: Any, folder: Path, base: Callable[[str], Path]) -> tuple[Path, Path]:
    kind, config = PEFT[request.param]
    return base(kind), write_change(folder / request.param, base(kind), kind, **config)


def answerer(model: Path, adapter: Path | None, strength: float | None, dtype: str = "float32"):
    settings = defaults("hf_text") | {"model": str(model)}
    given = None if adapter is None else str(adapter)
    return load(settings, "cpu", dtype, None, given, strength)


def weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.state_dict().items()


def assert_same(one: nn.Module, other: nn.Module) -> None:
    theirs = dict(weights(other))
    assert dict(weights(one)).keys() == theirs.keys()
    for name, weight in weights(one):
        assert weight.dtype == theirs[name].dtype and torch.equal(weight, theirs[name]), name


def test_peft_and_the_base_at_the_ends(change: tuple[Path, Path]) -> None:
    model, adapter = change
    expected = logits(by_peft(model, adapter))
    plain = AutoModelForCausalLM.from_pretrained(model)
    assert (expected - logits(plain)).abs().max() > 1e-3
    found = answerer(model, adapter, None)
    torch.testing.assert_close(logits(found.llm), expected, atol=1e-5, rtol=0)
    assert found.strength == 1 and found.parameters_adapted > 0
    found.adapt(str(adapter), None, 0.0)
    assert torch.equal(logits(found.llm), logits(plain))
    found.adapt(None, None)
    assert_same(found.llm, plain)
    assert (found.lora_scaling, found.strength, found.parameters_adapted) == (0.0, None, 0)


@pytest.mark.parametrize("strength", [0.5, -1.5])
def test_weights_merged_by_hand_between_and_beyond(
    change: tuple[Path, Path], strength: float
) -> None:
    model, adapter = change
    expected = AutoModelForCausalLM.from_pretrained(model)
    tuned = merged_by_hand(model, adapter)
    for name in tuned:  # parted, where peft parts what is tied
        if (name == "lm_head.weight" and expected.config.tie_word_embeddings) or (
            name == "transformer.wte.weight" and adapter.name == "tied_embeddings"
        ):
            expected.lm_head.weight = nn.Parameter(expected.lm_head.weight.detach().clone())
    for name, weight in tuned.items():
        own = expected.get_parameter(name)
        own.data.copy_(own.double() + strength * (weight - own.double()))
    found = answerer(model, adapter, strength)
    for name, weight in weights(found.llm):
        torch.testing.assert_close(weight, expected.state_dict()[name], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(logits(found.llm), logits(expected), atol=1e-5, rtol=1e-5)


def test_half_precision_is_one_rounding_away(folder: Path, base: Callable[[str], Path]) -> None:
    model = base("llama")
    adapter = write_change(
        folder / "half", model, use_dora=True, modules_to_save=["lm_head", "norm"]
    )
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    found = answerer(model, adapter, 0.3, "bfloat16")
    tuned = merged_by_hand(model, adapter)
    exact = AutoModelForCausalLM.from_pretrained(model).state_dict()
    for name, weight in weights(found.llm):
        between = exact[name].double() + 0.3 * (tuned.get(name, exact[name]) - exact[name].double())
        assert torch.equal(weight, between.float().to(torch.bfloat16)), name
    found.adapt(str(adapter), None, 1.0)
    expected = logits(by_peft(model, adapter, "bfloat16"))
    spread = (expected - logits(by_peft(model, adapter))).abs().max()
    assert (logits(found.llm) - expected).abs().max() < 3 * spread
    found.adapt(str(adapter), None, 0.0)
    assert_same(found.llm, plain)


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32")],
)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_fine_tuned_checkpoint_to_the_bit(
    tmp_path: Path, base: Callable[[str], Path], kind: str, stored: str, dtype: str
) -> None:
    model = base(kind)
    tuned = write_checkpoint(tmp_path / "tuned", model, stored)
    ends = [
        AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, dtype))
        for where in (model, tuned)
    ]
    found = answerer(model, tuned, None, dtype)
    assert_same(found.llm, ends[1])
    assert torch.equal(logits(found.llm), logits(ends[1]))
    for strength in (0.5, 0.25):
        found.adapt(str(tuned), None, strength)
        before, after = (
            AutoModelForCausalLM.from_pretrained(where, dtype=torch.float64).state_dict()
            for where in (model, tuned)
        )
        for name, weight in weights(found.llm):
            between = before[name] + strength * (after[name] - before[name])
            error = (weight.double() - between).abs() / between.abs().clamp(min=1e-3)
            assert error.max() < (1e-6 if dtype == "float32" else 2**-8), name
    found.adapt(str(tuned), None, 0.0)
    assert_same(found.llm, ends[0])
    found.adapt(str(tuned), None, 1.0)
    assert_same(found.llm, ends[1])


def test_a_checkpoint_that_parts_what_the_model_has_tied(
    tmp_path: Path, base: Callable[[str], Path]
) -> None:
    model = base("gpt2")
    own = AutoModelForCausalLM.from_pretrained(model)
    own.lm_head.weight = nn.Parameter(own.lm_head.weight.detach() + 0.1)
    own.config.tie_word_embeddings = False
    own.save_pretrained(tmp_path / "parted")
    found = answerer(model, tmp_path / "parted", None)
    parted = AutoModelForCausalLM.from_pretrained(tmp_path / "parted")
    assert torch.equal(logits(found.llm), logits(parted))
    found.adapt(str(tmp_path / "parted"), None, 0.5)
    middle = (parted.lm_head.weight + parted.transformer.wte.weight) / 2
    torch.testing.assert_close(found.llm.lm_head.weight, middle, atol=1e-6, rtol=0)
    found.adapt(None, None)
    assert found.llm.lm_head.weight is found.llm.transformer.wte.weight
    assert torch.equal(logits(found.llm), logits(AutoModelForCausalLM.from_pretrained(model)))

"""Random models with a LoRA, and how many positions they are given to read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from lorascope.running import counters
from tests.support.random_weights import GROUPED, VOCABULARY, randomise


def _sliding(window: int) -> Any:
    layers = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**GROUPED, head_dim=8, sliding_window=window, layer_types=layers)
    )


MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED)),
    "sliding": lambda: _sliding(12),
    "wide": lambda: _sliding(500),
    "recurrent": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2)
    ),
}


def random_model(kind: str, dtype: torch.dtype = torch.float32, lora: Sequence[str] = ()) -> Any:
    """Return a random model of a kind, with a LoRA on the modules named."""
    torch.manual_seed(0)
    model = MODELS[kind]()
    if lora:
        config = LoraConfig(r=2, lora_alpha=2, target_modules=list(lora), inference_mode=True)
        inject_adapter_in_model(config, model)
    return randomise(model).to(dtype).eval()


def ids(count: int, seed: int) -> list[int]:
    """Return random token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (count,), generator=generator).tolist()


def options(rows: int) -> list[list[list[int]]]:
    """Return 2 or 3 continuations of 1 to 5 tokens for each row."""
    return [[ids(1 + (2 * i + j) % 5, 90 * i + j) for j in range(2 + i % 2)] for i in range(rows)]


def given(*rows: list[int]) -> list[Tensor]:
    """Return rows of ids as tensors."""
    return [torch.tensor(row) for row in rows]


@contextmanager
def positions_of(model: Any) -> Iterator[list[int]]:
    """Yield a list that gets the number of positions of each pass, padding counted."""
    seen: list[int] = []

    def look(module: Any, arguments: Any, named: dict[str, Any]) -> None:
        inputs = named.get("input_ids")
        rows = named["inputs_embeds"] if inputs is None else inputs
        seen.append(rows.shape[0] * rows.shape[1])

    with model.register_forward_pre_hook(look, with_kwargs=True):
        yield seen


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Yield a dictionary that holds, afterwards, what was counted in between."""
    before, found = dict(counters.counted()), {}
    yield found
    after = counters.counted()
    found |= {name: after[name] - before.get(name, 0) for name in after}

"""Small random language models of many architectures, and lanes of prompts for them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lorascope.models.decoding import Completion, generate
from lorascope.models.engine.engine import Engine
from lorascope.models.engine.lanes import Prompt
from lorascope.models.protocol import Room
from lorascope.models.stop_strings import StopStrings
from tests.support.basics import GREEDY
from tests.support.random_weights import GROUPED, VOCABULARY, WIDTHS, randomise

EOS = [*range(2, 12)]
EDGES = {"bos_token_id": 0, "eos_token_id": 2}
SIZES = GROUPED | EDGES | {"head_dim": 8}
SLIDING = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
ARCHITECTURES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **SLIDING)),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**WIDTHS, **EDGES)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, **EDGES)
    ),
    "bloom": lambda: BloomForCausalLM(
        BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)
    ),
    "mamba": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2)
    ),
}
LONG = GREEDY | {"max_new_tokens": 20}
SAMPLED = LONG | {"do_sample": True, "temperature": 1.2, "top_k": 20, "top_p": 0.95}


@cache
def model_of(architecture: str) -> PreTrainedModel:
    """Return a random model, the same at every call."""
    torch.manual_seed(0)
    model = randomise(ARCHITECTURES[architecture]()).eval()
    assert isinstance(model, PreTrainedModel)
    return model


def ids(count: int, seed: int) -> list[int]:
    """Return random token ids, none of which ends an answer."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(12, VOCABULARY, (count,), generator=generator).tolist()


def ragged(rows: int = 16, shared: int = 0) -> list[list[int]]:
    """Return prompts of 2 to 14 tokens, two in three of them after ``shared`` that are the same."""
    start = ids(shared, 99)
    return [(start if i % 3 else []) + ids(2 + 5 * i % 13, i) for i in range(rows)]


def inputs_of(model: PreTrainedModel, prompts: Sequence[Sequence[int]], given: str) -> list[Tensor]:
    """Return prompts as ids, or as the embeddings of them."""
    rows = [torch.tensor(prompt) for prompt in prompts]
    if given == "ids":
        return rows
    return [model.get_input_embeddings()(row).detach() for row in rows]


def lane(
    inputs: Sequence[Tensor],
    keys: Sequence[Sequence[Any]] | None = None,
    scalings: Sequence[float | None] | None = None,
) -> list[Prompt]:
    """Return prompts of a lane, each with its number as its seed."""
    return [
        Prompt(
            len(row),
            lambda row=row: row,
            keys[i] if keys else (),
            i,
            scalings[i] if scalings else None,
        )
        for i, row in enumerate(inputs)
    ]


def decoded(
    engine: Engine,
    prompts: Sequence[Prompt],
    settings: Mapping[str, Any],
    room: Room,
    stops: StopStrings | None = None,
) -> list[Completion]:
    """Return the completions of a lane, each of which came once."""
    pairs = [p for ended in engine.decode(prompts, settings, EOS, room, stops) for p in ended]
    assert sorted(i for i, _ in pairs) == list(range(len(prompts)))
    found = dict(pairs)
    return [found[i] for i in range(len(prompts))]


def expected_of(
    model: PreTrainedModel,
    inputs: Sequence[Tensor],
    settings: Mapping[str, Any],
    stops: StopStrings | None = None,
) -> list[Completion]:
    """Return what transformers' generate makes of prompts, in one batch that waits for all."""
    return generate(model, inputs, settings, EOS, range(len(inputs)), stops)


class Letters:
    """A tokenizer whose tokens are letters, as far as stop strings ask."""

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        return "".join(chr(59 + token) for token in tokens)


def passes(model: PreTrainedModel, run: Callable[[], object]) -> list[int]:
    """Return the rows of each pass of the model while something runs."""
    rows: list[int] = []
    with model.register_forward_hook(lambda m, a, output: rows.append(len(output.logits))):
        run()
    return rows

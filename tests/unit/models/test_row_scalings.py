"""Rows of one lane at scalings of their own answer as at one scaling at a time."""

from collections import Counter

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import MixtralConfig, MixtralForCausalLM

from lorascope.models import lora
from lorascope.models.engine.engine import Engine
from lorascope.models.hf_text import answerer as hf_text
from lorascope.models.protocol import Asked, Room
from lorascope.models.row_scalings import row_scalings
from lorascope.models.salmonn import answerer as salmonn
from tests.support.basics import GREEDY
from tests.support.lanes import LONG, SIZES, decoded, inputs_of, lane, model_of, ragged
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import BATCH, write_both

SCALINGS = [0.0, 1.0, 2.5, 6.0]
ROOMS = [Room(), Room(rows=5), Room(tokens=700)]


def answers_of(model, asked, room=None, generation=GREEDY) -> list:
    found = dict(p for pairs in model.decode(asked, generation, room or Room()) for p in pairs)
    return [found[i] for i in range(len(asked))]


def compare(model, llm, asked: list[Asked], generation=GREEDY) -> None:
    """Ask at one scaling after the other, then at all of them in lanes."""
    assert model.scales_rows
    expected = []
    for scaling in SCALINGS:
        lora.set_scaling(llm, scaling)
        expected += answers_of(model, asked, generation=generation)
    assert len({tuple(answer.tokens) for answer in expected}) > len(asked) + 4
    lora.set_scaling(llm, SCALINGS[1])
    lane = [
        Asked(row.question, row.features, row.clip, row.seed, None if s == SCALINGS[1] else s)
        for s in SCALINGS
        for row in asked
    ]
    for room in ROOMS:
        assert answers_of(model, lane, room, generation) == expected
    assert {layer.scaling["default"] for layer in lora.lora_layers(llm).values()} == {1.0}


@pytest.mark.parametrize(("kind", "beams"), [("llama", 1), ("llama", 4), ("gpt2", 1)])
def test_a_text_model(kind, beams, tmp_path):
    folder, adapter = write_both(tmp_path, kind)
    settings = defaults("hf_text") | {"model": str(folder)}
    model = hf_text.load(settings, "cpu", "float32", 1.0, str(adapter))
    asked = [Asked(question, seed=i) for i, question in enumerate(BATCH[:8])]
    compare(model, model.llm, asked, GREEDY | {"num_beams": beams})


def test_a_salmonn(tmp_path):
    write_salmonn(tmp_path)
    settings = defaults("salmonn") | {
        key: str(tmp_path / name) for key, name in (("llm", "llm"), ("checkpoint", "salmonn.pth"))
    }
    model = salmonn.load(settings, "cpu", "float32", 1.0)
    features = [torch.randn(6, 24, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    asked = [Asked(BATCH[i], features[i // 2], f"{i // 2}.wav", i) for i in range(6)]
    compare(model, model.llm, asked)


def adapted(model, **targets):
    """Return a model with a random LoRA, whose own scaling differs by layer where a rank does."""
    inject_adapter_in_model(LoraConfig(lora_alpha=8, inference_mode=True, **targets), model)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            generator = torch.Generator().manual_seed(len(name))
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def test_sliding_windows_grouped_heads_and_an_own_scaling_that_differs_by_layer():
    model_of.cache_clear()
    model = adapted(
        model_of("gemma3"),
        r=4,
        target_modules=["q_proj", "v_proj", "down_proj"],
        rank_pattern={"v_proj": 2},
    )
    model_of.cache_clear()  # nobody else's
    layers = lora.lora_layers(model).values()
    own = Counter(layer.scaling["default"] for layer in layers)
    assert own == {2.0: 4, 4.0: 2}
    prompts = ragged(8, shared=70)
    inputs = inputs_of(model, prompts, "embeddings")
    expected = decoded(Engine(model), lane(inputs), LONG, Room())
    for scaling in (0.0, 3.0):
        with row_scalings(model, [scaling]):
            expected += decoded(Engine(model), lane(inputs), LONG, Room())
    scalings = [scaling for scaling in (None, 0.0, 3.0) for _ in inputs]
    engine = Engine(model)
    for room in ROOMS:
        assert decoded(engine, lane(inputs * 3, prompts * 3, scalings), LONG, room) == expected
    beams = LONG | {"num_beams": 2, "max_new_tokens": 4}
    assert len(decoded(engine, lane(inputs * 3, None, scalings), beams, Room(rows=4))) == 24
    assert Counter(layer.scaling["default"] for layer in layers) == own


def test_where_rows_cannot_have_scalings_of_their_own():
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "num_hidden_layers": 1}
    kinds = {
        "embedding": adapted(model_of.__wrapped__("llama"), r=2, target_modules=["embed_tokens"]),
        "half": adapted(model_of.__wrapped__("llama"), r=2, target_modules=["q_proj"]).bfloat16(),
        "router": adapted(
            MixtralForCausalLM(MixtralConfig(**SIZES | experts)), r=2, target_modules=["lm_head"]
        ),
        "none": model_of("llama"),
    }
    assert {kind: Engine(model).scales_rows for kind, model in kinds.items()} == {
        "embedding": False,
        "half": False,
        "router": True,
        "none": False,
    }
    inputs = inputs_of(kinds["none"], ragged(2), "ids")
    with pytest.raises(ValueError, match="one for all"):
        decoded(Engine(kinds["none"]), lane(inputs, None, [1.0, None]), LONG, Room())


def test_flattened_rows_are_seen(monkeypatch):
    """A layer that is given [rows x positions, inputs] cannot tell rows apart."""
    model = adapted(model_of.__wrapped__("llama"), r=2, target_modules=["q_proj", "down_proj"])
    assert Engine(model).scales_rows
    mlp = model.model.layers[1].mlp
    forward = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda x: forward(x.flatten(0, 1)).view_as(x))
    assert not Engine(model).scales_rows

"""Models under profiles compute as with each part's s B A merged into its weights."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, OPTConfig, OPTForCausalLM

from lorascope.models import lora
from lorascope.models.hf_speech.answerer import load as load_speech
from lorascope.models.hf_text import answerer as hf_text
from lorascope.models.likelihood import Reader
from lorascope.models.places import place_of
from lorascope.models.profiles import Profile, Scaling, as_scaling
from lorascope.models.protocol import Asked, Room
from lorascope.models.salmonn import answerer as salmonn
from lorascope.study.profiles import canonical
from tests.support import tiny_audio_models, tiny_speech_models
from tests.support.basics import GREEDY
from tests.support.random_weights import randomise
from tests.support.settings import defaults
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import BATCH, POSITIONS, VOCABULARY, write_adapter, write_model

IDS = torch.arange(2, 40)[None]
EVERY = {
    "llama": ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj", "embed_tokens", "lm_head"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "opt": ["q_proj", "v_proj", "fc1", "fc2"],
}


def profile(**keys: float | None) -> Profile:
    found = as_scaling(canonical({k.replace("__", "."): v for k, v in keys.items()}))
    assert isinstance(found, Profile)
    return found


def of(keys: Mapping[str, float | None]) -> Profile:
    return profile(**{k.replace(".", "__"): v for k, v in keys.items()})


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits


def write(folder: Path, kind: str, **config: Any) -> tuple[Any, Path]:
    """Return a model of a kind and the folder of an adapter for it, with modules of every part."""
    if kind == "opt":
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2}
        more = {"num_attention_heads": 4, "word_embed_proj_dim": 32}
        shape = {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS}
        randomise(OPTForCausalLM(OPTConfig(**sizes, **more, **shape))).save_pretrained(folder / "m")
    else:
        write_model(folder / "m", kind)
    adapter = write_adapter(folder / "a", folder / "m", "llama", **config)
    return AutoModelForCausalLM.from_pretrained(folder / "m").eval(), adapter


def merged(model: nn.Module, scalings: Mapping[str, float]) -> nn.Module:
    """Return the model without LoRA, with s B A in the weights; ``model`` has it attached."""
    whole = copy.deepcopy(model)
    deltas = {}
    for name, layer in lora.lora_layers(whole).items():
        assert layer.scaling["default"]
        unit = layer.get_delta_weight("default") / layer.scaling["default"]
        deltas[name] = scalings[name] * unit
    lora.detach(whole)
    for name, delta in deltas.items():
        whole.get_submodule(name).weight.data += delta
    return whole


CASES = [
    ("llama", {"target_modules": EVERY["llama"]}),
    ("llama", {"target_modules": EVERY["llama"], "use_rslora": True}),
    (
        "llama",
        {
            "target_modules": EVERY["llama"],
            "rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 8},
            "alpha_pattern": {"v_proj": 3},
        },
    ),
    ("gpt2", {"target_modules": EVERY["gpt2"]}),
    ("opt", {"target_modules": EVERY["opt"]}),
]


@pytest.mark.parametrize(("kind", "config"), CASES)
def test_logits_are_those_of_weights_merged_so(kind: str, config: dict, tmp_path: Path) -> None:
    model, adapter = write(tmp_path, kind, **config)
    lora.adapt(model, adapter, None)
    own = {name: layer.scaling["default"] for name, layer in lora.lora_layers(model).items()}
    own_logits, layers = logits(model), len(own)

    def expected(value: Any) -> torch.Tensor:
        for name, layer in lora.lora_layers(model).items():
            layer.scaling["default"] = own[name]
        return logits(merged(model, {name: value(name) for name in own}))

    def is_attention(name: str) -> bool:
        return "attn" in name

    cases = [
        # What no key means has its own scaling, by module.
        ({"layers.0": 0.5}, lambda n: 0.5 if place_of(n)[1] == 0 else own[n]),
        ({"default": 0, "attention": None}, lambda n: own[n] if is_attention(n) else 0),
        (
            {"default": 1.5, "layers.1": 0, "attention": 3, "layers.1 attention": -1},
            lambda n: (
                (-1 if place_of(n)[1] == 1 else 3)
                if is_attention(n)
                else (0 if place_of(n)[1] == 1 else 1.5)
            ),
        ),
    ]
    for keys, value in cases:
        scaling, count = lora.adapt(model, adapter, of(keys))
        assert scaling != scaling
        assert count == layers
        found, wanted = logits(model), expected(value)
        assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
        assert (found - own_logits).abs().max() > 1e-2 * wanted.abs().max()
    lora.adapt(model, adapter, None)
    assert torch.equal(logits(model), own_logits)


class Toy(nn.Module):
    """Layers whose outputs are summed: the effect of a LoRA is linear in every scaling."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"self_attn": nn.Linear(8, 8), "mlp": nn.Linear(8, 8)}) for _ in range(6)
        )
        self.head = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(part(x) for layer in self.layers for part in layer.values()) + self.head(x)


def test_effects_add_up_in_a_linear_model() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    toy, x = Toy(), torch.randn(5, 8)
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["self_attn", "mlp", "head"])
    inject_adapter_in_model(config, toy)
    randomise(toy)

    def effect(scaling: Scaling) -> torch.Tensor:
        lora.set_scaling(toy, 0.0)
        base = toy(x)
        lora.set_scaling(toy, scaling)
        return toy(x) - base

    full, outside = effect(2.0), effect(profile(default=0, head=2))
    for parts in (["layers.1/3", "layers.2/3", "layers.3/3"], ["attention", "mlp"]):
        alone = [effect(of({"default": 0, part: 2})) for part in parts]
        off = [effect(of({"default": 2, part: 0})) for part in parts]
        assert all(one.abs().max() > 0.1 for one in alone)
        torch.testing.assert_close(sum(alone) + outside, full)
        for one, other in zip(alone, off, strict=True):
            torch.testing.assert_close(one + other, full)


def answers(model: Any, asked: list[Asked], room: Room = Room()) -> list:  # noqa: B008 - frozen
    found = dict(p for pairs in model.decode(asked, GREEDY, room) for p in pairs)
    return [found[i] for i in range(len(asked))]


SCALINGS: list[Scaling | None] = [
    *(0.0, 2.0, None),
    of({"layers.0": 0}),
    of({"default": 0, "layers.2/2": 3}),
    of({"default": 1, "layers.0": 2, "q_proj": 4, "layers.1 q_proj": -3}),
    of({"default": 0, "v_proj": 6}),
]


def one_at_a_time(
    model: Any, llm: nn.Module, asked: list[Asked], adapter: str | None, room: Room
) -> None:
    """Ask at one scaling after the other, then at all of them in lanes."""
    assert model.scales_rows
    expected = []
    for scaling in SCALINGS:
        model.adapt(adapter, scaling)
        expected += answers(model, asked)
    assert len({tuple(answer.tokens) for answer in expected}) > 2 * len(asked)
    model.adapt(adapter, None)
    lane = [
        Asked(row.question, row.features, row.clip, row.seed, scaling)
        for scaling in SCALINGS
        for row in asked
    ]
    assert len(lane) == 84
    found = answers(model, lane, room)
    assert sum(one == other for one, other in zip(found, expected, strict=True)) == 84
    assert {type(layer.scaling["default"]) for layer in lora.lora_layers(llm).values()} == {float}


def test_profiles_share_a_batch_with_plain_scalings(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    targets = {"target_modules": ["q_proj", "v_proj", "down_proj"], "rank_pattern": {"v_proj": 2}}
    adapter = str(write_adapter(tmp_path / "adapter", model, **targets))
    settings = defaults("hf_text") | {"model": str(model)}
    answerer = hf_text.load(settings, "cpu", "float32", SCALINGS[3], adapter)
    assert answerer.lora_scaling != answerer.lora_scaling
    asked = [Asked(question, seed=i) for i, question in enumerate(BATCH[:12])]
    one_at_a_time(answerer, answerer.llm, asked, adapter, Room())
    # Likelihoods of options and of texts, too.
    answerer.adapt(adapter, 1.0)
    rows = [torch.arange(5, 9) for _ in SCALINGS]
    options = [[[10, 11], [12, 13, 14]]] * len(rows)
    found = Reader(answerer.llm).read(rows, options, scalings=SCALINGS)
    for scaling, one in zip(SCALINGS, found, strict=True):
        answerer.adapt(adapter, 1.0 if scaling is None else scaling)
        [alone] = Reader(answerer.llm).read(rows[:1], options[:1])
        assert one.sums == pytest.approx(alone.sums, abs=1e-4)


def test_a_salmonn_under_its_own_adapter(tmp_path: Path) -> None:
    settings = defaults("salmonn") | write_salmonn(tmp_path)
    model = salmonn.load(settings, "cpu", "float32", SCALINGS[3])
    features = [torch.randn(6, 24, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    asked = [Asked(BATCH[i], features[i // 4], f"{i // 4}.wav", i) for i in range(12)]
    one_at_a_time(model, model.llm, asked, None, Room(rows=20))
    model.adapt(None, None)
    own = {name: layer.scaling["default"] for name, layer in lora.lora_layers(model.llm).items()}
    assert len({*own.values()}) == 1
    kept = [name for name in own if place_of(name)[1] == 0]
    expected = logits(merged(model.llm, {name: 2.0 if name in kept else 0.0 for name in own}))
    model.adapt(None, of({"default": 0, "layers.first-half": 2}))
    torch.testing.assert_close(logits(model.llm), expected, atol=1e-5, rtol=1e-5)


def test_a_recognisers_two_stacks(tmp_path: Path) -> None:
    path = tiny_speech_models.build("english", tmp_path / "model")
    settings = defaults("hf_speech") | {"model": str(path), "encode_once": False}
    model = load_speech(settings, "cpu", "float32", None, None)
    adapter = str(tiny_audio_models.write_adapter(model.model, tmp_path / "a", ["q_proj", "fc1"]))
    model.adapt(adapter, of({"default": 1, "encoder": 0, "decoder layers.0 attention": 5}))
    found = {n: layer.scaling["default"] for n, layer in lora.lora_layers(model.model).items()}
    assert found == {
        name: 0
        if "encoder.layers" in name
        else 5
        if "decoder.layers.0" in name and "q_" in name
        else 1
        for name in found
    }
    assert {*found.values()} == {0.0, 1.0, 5.0}

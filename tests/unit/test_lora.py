import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from lorascope.errors import UserError
from lorascope.lora import attach, set_scaling

WIDTH, RANK, LAYERS = 16, 4, 2
IDS = torch.arange(1, 9)[None]


@pytest.fixture
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
    )
    return LlamaForCausalLM(config).eval()


def adapter() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer in range(LAYERS):
        for projection in ("q_proj", "v_proj"):
            module = f"model.layers.{layer}.self_attn.{projection}"
            for side, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK))):
                tensors[f"{module}.lora_{side}.default.weight"] = torch.randn(
                    shape, generator=generator
                )
    return tensors


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits


def merged(model: LlamaForCausalLM, tensors: dict[str, torch.Tensor], scaling: float) -> None:
    for name, a in tensors.items():
        if ".lora_A." in name:
            b = tensors[name.replace(".lora_A.", ".lora_B.")]
            weight = model.get_parameter(name.replace(".lora_A.default", ""))
            weight.data += scaling * b @ a


@pytest.mark.parametrize("scaling", [0.0, 0.5, 3.0, -1.0])
def test_scaling_is_absolute(llama, scaling):
    tensors = adapter()
    expected = LlamaForCausalLM(llama.config).eval()
    expected.load_state_dict(llama.state_dict())
    merged(expected, tensors, scaling)
    assert attach(llama, tensors, alpha=32, source="adapter") == 8
    assert set_scaling(llama, scaling) == 4
    torch.testing.assert_close(logits(llama), logits(expected), atol=1e-5, rtol=0)


def test_scaling_zero_is_the_base_model_exactly(llama):
    base = logits(llama)
    attach(llama, adapter(), alpha=32, source="adapter")
    assert not torch.equal(logits(llama), base)
    set_scaling(llama, 0)
    assert torch.equal(logits(llama), base)


def test_scaling_is_absolute_under_rslora(llama):
    config = LoraConfig(r=RANK, lora_alpha=8, target_modules=["q_proj"], use_rslora=True)
    model = get_peft_model(llama, config)
    assert set_scaling(model, 2.5) == LAYERS
    layer = model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    assert layer.scaling == {"default": 2.5}


@pytest.mark.parametrize("scaling", [math.nan, math.inf, -math.inf])
def test_scaling_must_be_finite(llama, scaling):
    attach(llama, adapter(), alpha=32, source="adapter")
    with pytest.raises(UserError, match="finite"):
        set_scaling(llama, scaling)


def test_scaling_that_touches_no_layer_is_an_error(llama):
    with pytest.raises(UserError, match="touches no layer"):
        set_scaling(llama, 2)


def test_scaling_of_a_merged_or_disabled_adapter_is_an_error(llama):
    model = get_peft_model(llama, LoraConfig(r=RANK, target_modules=["q_proj"]))
    model.merge_adapter()
    with pytest.raises(UserError, match="no effect"):
        set_scaling(model, 2)
    model.unmerge_adapter()
    with model.disable_adapter(), pytest.raises(UserError, match="no effect"):
        set_scaling(model, 2)


def test_attached_adapter_has_the_models_dtype_and_is_frozen(llama):
    attach(llama.to(torch.bfloat16), adapter(), alpha=32, source="adapter")
    parameters = [p for name, p in llama.named_parameters() if ".lora_" in name]
    assert len(parameters) == 8
    assert all(p.dtype == torch.bfloat16 and not p.requires_grad for p in parameters)


def without(name: str) -> dict[str, torch.Tensor]:
    tensors = adapter()
    return {key: tensor for key, tensor in tensors.items() if name not in key}


Q1 = "model.layers.1.self_attn.q_proj"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "no LoRA tensors"),
        (without(f"{Q1}.lora_A"), f"missing key {Q1}.lora_A.default.weight"),
        (without(Q1), f"lacks LoRA tensors for layers of the language model: {Q1}"),
        (adapter() | {f"{Q1}.lora_A.default.weight": torch.ones(2, WIDTH)}, "several ranks"),
        (
            adapter()
            | {
                "model.layers.2.self_attn.q_proj.lora_A.default.weight": torch.ones(RANK, WIDTH),
                "model.layers.2.self_attn.q_proj.lora_B.default.weight": torch.ones(WIDTH, RANK),
            },
            "adapts layers the language model lacks: model.layers.2.self_attn.q_proj",
        ),
        (
            adapter() | {f"{Q1}.lora_A.default.weight": torch.ones(RANK, 2 * WIDTH)},
            "32 inputs and 16 outputs, but the layer has 16 and 16",
        ),
        (adapter() | {f"{Q1}.lora_magnitude": torch.ones(2)}, "not the name of a LoRA tensor"),
    ],
)
def test_adapter_that_does_not_fit_is_refused(llama, tensors, message):
    with pytest.raises(UserError, match="adapter: .*" + message.replace(".", r"\.")):
        attach(llama, tensors, alpha=32, source="adapter")

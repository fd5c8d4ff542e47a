import json
import logging
import math
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import dispatch_model
from peft import LoraConfig, PeftModel, VeraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from lorascope.errors import UserError
from lorascope.models.lora import adapt, attach, load_adapter, lora_layers, set_scaling
from tests.support.tiny_text_files import MODELS, edit_json, randomise, write_adapter

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


def test_an_attached_adapter_is_frozen_and_in_float32(llama):
    attach(llama.to(torch.bfloat16), adapter(), alpha=32, source="adapter")
    parameters = [p for name, p in llama.named_parameters() if ".lora_" in name]
    assert len(parameters) == 8
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in parameters)


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


# ------------------------------------------------------------------- adapters in peft's files


def tiny(kind: str = "llama") -> PreTrainedModel:
    torch.manual_seed(0)
    return randomise(MODELS[kind]()).eval()


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory) -> tuple[str, Path]:
    """Adapter folders of a kind of model: plain and rslora, both with dropout."""
    base = tmp_path_factory.mktemp(request.param)
    tiny(request.param).save_pretrained(base / "model")
    for name, rslora in (("plain", False), ("rslora", True)):
        write_adapter(
            base / name, base / "model", request.param, use_rslora=rslora, lora_dropout=0.5
        )
    return request.param, base


@pytest.fixture
def saved(tmp_path) -> Path:
    tiny().save_pretrained(tmp_path / "model")
    return write_adapter(tmp_path / "adapter", tmp_path / "model")


def merge_by_hand(model: PreTrainedModel, folder: Path, scaling: float) -> PreTrainedModel:
    """Add s B A to the weights; GPT-2 keeps them transposed."""
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, a in tensors.items():
        if name.endswith(".lora_A.weight"):
            delta = scaling * tensors[name.replace(".lora_A.", ".lora_B.")] @ a
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            layer = model.get_submodule(module)
            layer.weight.data += delta if isinstance(layer, nn.Linear) else delta.T
    return model


@pytest.mark.parametrize(("name", "own"), [("plain", 2.0), ("rslora", 4.0)])
@pytest.mark.parametrize("scaling", [None, 0.5, 3.0, -1.0])
def test_a_scaled_adapter_is_the_model_with_merged_weights(folder, name, own, scaling):
    kind, base = folder
    model = tiny(kind)
    in_force = own if scaling is None else scaling
    assert adapt(model, base / name, scaling) == (in_force, 4)
    expected = logits(merge_by_hand(tiny(kind), base / name, in_force))
    assert (expected - logits(tiny(kind))).abs().max() > 0.1
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-5)
    parameters = dict(model.named_parameters())
    assert not any(p.requires_grad for n, p in parameters.items() if ".lora_" in n)


def test_an_adapter_scaled_to_zero_is_the_model_exactly(folder):
    kind, base = folder
    model = tiny(kind)
    adapt(model, base / "plain", 0)
    assert torch.equal(logits(model), logits(tiny(kind)))


def test_a_loaded_adapter_answers_as_in_peft(folder):
    kind, base = folder
    model = tiny(kind)
    load_adapter(model, str(base / "plain"))
    expected = PeftModel.from_pretrained(tiny(kind), base / "plain").eval()
    assert torch.equal(logits(model), logits(expected))


def test_an_adapter_fits_a_model_that_is_spread_over_devices(saved):
    """accelerate hooks every part that it places; here all the places are the CPU."""
    model = tiny()
    parts = ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"]
    parts += [f"model.layers.{i}" for i in range(model.config.num_hidden_layers)]
    dispatch_model(model, dict.fromkeys(parts, "cpu"), force_hooks=True)
    assert hasattr(model.model.layers[0].self_attn.q_proj, "_hf_hook")
    load_adapter(model, saved)
    expected = tiny()
    load_adapter(expected, saved)
    assert torch.equal(logits(model), logits(expected))


def test_a_model_without_an_adapter_has_no_scaling():
    assert adapt(tiny(), None, None) == (0.0, 0)
    assert adapt(tiny(), None, 0) == (0.0, 0)
    with pytest.raises(UserError, match=r"lora_scaling 2 touches no layer.*under adapter"):
        adapt(tiny(), None, 2)


def test_a_scaling_that_differs_by_layer_is_reported_and_kept(tmp_path, caplog):
    tiny().save_pretrained(tmp_path / "model")
    folder = write_adapter(
        tmp_path / "adapter",
        tmp_path / "model",
        rank_pattern={"layers.0.self_attn.q_proj": 2},
        alpha_pattern={"layers.0.self_attn.q_proj": 12},
    )
    model = tiny()
    with caplog.at_level(logging.INFO, "lorascope"):
        assert adapt(model, folder, None) == (2.0, 4)
    assert "its own scaling differs by layer: 2 on most, 6 on 1" in caplog.text
    expected = PeftModel.from_pretrained(tiny(), folder).eval()
    assert torch.equal(logits(model), logits(expected))
    set_scaling(model, 3)
    merged_by_hand = merge_by_hand(tiny(), folder, 3)
    torch.testing.assert_close(logits(model), logits(merged_by_hand), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("saved_as", [torch.float32, torch.bfloat16])
def test_an_adapter_answers_as_in_peft_in_every_dtype(folder, dtype, saved_as, tmp_path):
    """peft holds an adapter in float32, whatever the model has; so logits are equal bit by bit."""
    kind, base = folder
    copied = shutil.copytree(base / "plain", tmp_path / "adapter")
    path = copied / "adapter_model.safetensors"
    save_file({name: t.to(saved_as) for name, t in load_file(path).items()}, path)
    model = tiny(kind).to(dtype)
    load_adapter(model, copied)
    expected = PeftModel.from_pretrained(tiny(kind).to(dtype), copied).eval()
    assert torch.equal(logits(model), logits(expected))
    lora = [(n, p.dtype) for n, p in model.named_parameters() if ".lora_" in n]
    assert {kept for _, kept in lora} == {torch.float32}
    assert {p.dtype for n, p in model.named_parameters() if ".lora_" not in n} == {dtype}
    for scaled in (model, expected):
        set_scaling(scaled, 3)
    assert torch.equal(logits(model), logits(expected))


def test_all_linear_leaves_out_what_is_excluded_as_in_peft(tmp_path):
    """peft saves the names of all linear layers, those among them that it excluded."""
    tiny().save_pretrained(tmp_path / "model")
    given = {"target_modules": "all-linear", "exclude_modules": ["v_proj", "down_proj"]}
    folder = write_adapter(tmp_path / "adapter", tmp_path / "model", **given)
    targets = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert any(name.endswith("v_proj") for name in targets)
    model, expected = tiny(), PeftModel.from_pretrained(tiny(), folder).eval()
    assert adapt(model, folder, None) == (2.0, 10)
    names = {name.removeprefix("base_model.model.") for name in lora_layers(expected)}
    assert {*lora_layers(model)} == names
    assert torch.equal(logits(model), logits(expected))
    # As a file by hand has it, for peft to expand; and with an expression.
    for edited in (given, {"target_modules": "all-linear", "exclude_modules": r".*(v|down)_proj"}):
        edit_json(folder / "adapter_config.json", **edited)
        again = tiny()
        assert adapt(again, folder, None) == (2.0, 10)
        assert torch.equal(logits(again), logits(expected))


def test_files_of_torch_save_are_read_without_running_code(saved):
    safe = saved / "adapter_model.safetensors"
    tensors = load_file(safe)
    expected = logits(merge_by_hand(tiny(), saved, 2.0))
    safe.unlink()
    torch.save(tensors, saved / "adapter_model.bin")
    model = tiny()
    assert load_adapter(model, saved) == 2.0
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-5)
    torch.save({"code": Path.cwd}, saved / "adapter_model.bin")
    with pytest.raises(UserError, match=r"adapter_model\.bin is not a readable PyTorch file"):
        load_adapter(tiny(), saved)


def test_an_adapter_of_other_names_for_the_same_model_is_no_error(saved):
    edit_json(
        saved / "adapter_config.json", base_model_name_or_path="elsewhere", task_type="CAUSAL_LM"
    )
    assert load_adapter(tiny(), saved) == 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type is LOHA"),
        ({"peft_type": None}, "peft_type is None"),
        ({"use_dora": True}, r"use_dora \(DoRA rescales"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save \(it replaces modules"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"bias": "all"}, r"bias: all \(it replaces biases"),
        ({"init_lora_weights": "pissa_niter_4"}, r"init_lora_weights: pissa_niter_4 .*convert"),
        ({"target_modules": ["q_proj", "w_pack"]}, "target_modules names .* lacks: w_pack"),
        ({"target_modules": ["w_pack"]}, "does not fit the model: Target modules .*w_pack"),
        ({"target_modules": "w_pack"}, "does not fit the model"),
        ({"r": 0}, "r: 0 is not valid here; it has to be at least 1"),
        ({"lora_flux": {"a": 1}}, "does not know lora_flux: .'a': 1.*Upgrade.*merge the adapter"),
        ({"kasa_config": {}}, "KaSA does not compute W x"),
    ],
)
def test_a_configuration_that_is_no_plain_lora_of_the_model_is_refused(saved, changes, message):
    edit_json(saved / "adapter_config.json", **changes)
    with pytest.raises(UserError, match=rf"adapter_config\.json: .*{message}"):
        load_adapter(tiny(), saved)


LAST = "base_model.model.model.layers.1.self_attn.q_proj"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"{LAST}.lora_A.weight": None}, "lacks tensors of adapted layers: .*layers.1.*lora_A"),
        (
            {f"{LAST}.lora_A.weight".replace("layers.1", "layers.2"): torch.ones(4, 32)},
            "tensors for layers that the model lacks: .*layers.2",
        ),
        ({f"{LAST}.lora_A.weight": torch.ones(4, 48)}, r"size mismatch for .*layers.1.*\[4, 48\]"),
        ({f"{LAST}.lora_A.weight": torch.full((4, 32), math.inf)}, "NaN or infinite .*layers.1"),
        (
            {"base_model.model.lm_head.weight": torch.ones(300, 32)},
            "changes weights of the model itself",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_model_are_refused(saved, changes, message):
    path = saved / "adapter_model.safetensors"
    tensors = load_file(path) | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    with pytest.raises(UserError, match=rf"adapter_model\.safetensors: .*{message}"):
        load_adapter(tiny(), saved)


def test_an_adapter_of_another_model_is_refused(saved):
    torch.manual_seed(0)
    config = tiny().config
    config.num_hidden_layers = 3
    with pytest.raises(UserError, match=r"lacks tensors of adapted layers: .*layers\.2"):
        load_adapter(LlamaForCausalLM(config), saved)
    with pytest.raises(UserError, match=r"adapter_config\.json: does not fit the model"):
        load_adapter(tiny("gpt2"), saved)


def test_an_adapter_of_another_method_is_refused(tmp_path):
    vera = get_peft_model(tiny(), VeraConfig(target_modules=["q_proj"], save_projection=True))
    vera.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="peft_type is VERA; only LORA"):
        load_adapter(tiny(), tmp_path)


def test_broken_adapter_files_are_named(saved):
    weights, config = saved / "adapter_model.safetensors", saved / "adapter_config.json"
    whole = weights.read_bytes()
    for broken in (whole[:-10], whole[:4], b""):
        weights.write_bytes(broken)
        with pytest.raises(UserError, match=r"adapter_model\.safetensors is not a readable"):
            load_adapter(tiny(), saved)
    weights.unlink()
    with pytest.raises(UserError, match=r"neither adapter_model\.safetensors nor"):
        load_adapter(tiny(), saved)
    text = config.read_text()
    config.write_text(text[:20])
    with pytest.raises(UserError, match=r"adapter_config\.json is not readable JSON"):
        load_adapter(tiny(), saved)
    config.unlink()
    with pytest.raises(UserError, match=r"adapter_config\.json does not exist"):
        load_adapter(tiny(), saved)


def test_copies_of_the_models_own_embeddings_are_left_out(tmp_path):
    tiny().save_pretrained(tmp_path / "model")
    folder = write_adapter(
        tmp_path / "adapter", tmp_path / "model", target_modules=["q_proj", "embed_tokens"]
    )
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    name = "base_model.model.model.embed_tokens.base_layer.weight"
    model = tiny()
    assert name in tensors
    assert adapt(model, folder, None) == (2.0, 3)
    expected = PeftModel.from_pretrained(tiny(), folder).eval()
    assert torch.equal(logits(model), logits(expected))
    set_scaling(model, 0)
    assert torch.equal(logits(model), logits(tiny()))
    save_file(tensors | {name: tensors[name] + 1e-4}, path)
    with pytest.raises(UserError, match=rf"changes weights of the model itself: {name}"):
        load_adapter(tiny(), folder)


def test_a_lora_with_a_bias_of_its_own_scales_with_it(tmp_path):
    tiny("qwen2").save_pretrained(tmp_path / "model")
    folder = write_adapter(
        tmp_path / "adapter", tmp_path / "model", target_modules=["q_proj"], lora_bias=True
    )
    model = tiny("qwen2")
    assert adapt(model, folder, 0) == (0.0, 2)
    assert torch.equal(logits(model), logits(tiny("qwen2")))
    assert load_adapter(tiny("qwen2"), folder) == 2.0

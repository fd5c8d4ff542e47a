import json
import re

import pytest
import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from lorascope.errors import UserError
from lorascope.models.finetuning.groups import optimizer_groups, parameter_groups, renamed
from lorascope.models.finetuning.names import MINDPET_MODULES, to_mindpet, to_peft
from lorascope.models.finetuning.trainee import Sizes, adapt, measure, measure_folder
from tests.support.basics import shared_path
from tests.support.trainings import LLAMA_3_8B, TRAIN

EXPECTED = [
    f"model.layers.{layer}.attention.{module}.mindpet_delta_lora_{side}"
    for layer in range(32)
    for module in ("wq", "wv")
    for side in ("a", "b")
]


@pytest.fixture(scope="module")
def llama_3_8b():
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA_3_8B))
        return adapt(model, TRAIN | {"rank": 8})


def test_llama_3_8b_has_the_published_parameter_groups(llama_3_8b) -> None:
    groups = parameter_groups(llama_3_8b.named_parameters(), 0.0, 1e-4, None)
    assert renamed(groups, "mindpet") == {"decay": {"weight_decay": 0.0, "params": EXPECTED}}
    assert len(EXPECTED) == 128
    assert measure(llama_3_8b) == Sizes(trainable=3_407_872, base=8_030_261_248)


def test_the_names_are_those_of_the_mindformers_run() -> None:
    text = shared_path("reference/llama3_squad_lora.md").read_text()
    groups = json.loads(re.search(r"Param_groups = (\{.*?\n\})", text, re.DOTALL)[1])
    assert groups == {"decay": {"weight_decay": 0.0, "params": EXPECTED}}


def test_a_folder_is_measured_without_weights(tmp_path, llama_3_8b) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_8B | {"model_type": "llama"}))
    assert measure_folder(tmp_path, TRAIN | {"rank": 8}, False) == measure(llama_3_8b)


def test_every_name_comes_back(llama_3_8b) -> None:
    for layer in (0, 31):
        for module in MINDPET_MODULES:
            for side in "AB":
                inner = f"model.layers.{layer}.{module}.lora_{side}.default.weight"
                name = f"base_model.model.{inner}"
                assert to_peft(to_mindpet(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.transformer.h.0.attn.c_attn.lora_A.default.weight",
        "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.default.weight",
        "bridge.ln_speech.weight",
    ],
)
def test_mindpet_has_no_name_for_other_layers(name: str) -> None:
    with pytest.raises(UserError, match="parameter_names: peft"):
        to_mindpet(name)
    with pytest.raises(UserError):
        to_peft(name)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.ModuleDict(
            {
                "lora_A": nn.ModuleDict({"default": nn.Linear(3, 2, bias=False)}),
                "lora_B": nn.ModuleDict({"default": nn.Linear(2, 3, bias=True)}),
            }
        )
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


A, B = "proj.lora_A.default.weight", "proj.lora_B.default.weight"
BIAS = "proj.lora_B.default.bias"


def test_vectors_do_not_decay_and_the_frozen_are_left_out() -> None:
    groups = parameter_groups(Small().named_parameters(), 0.1, 1e-3, None)
    assert groups == {
        "decay": {"weight_decay": 0.1, "params": [A, B]},
        "no_decay": {"weight_decay": 0.0, "params": [BIAS]},
    }


def test_lora_plus_lets_b_learn_faster() -> None:
    model = Small()
    groups = parameter_groups(model.named_parameters(), 0.1, 1e-3, 16.0)
    assert groups == {
        "decay": {"weight_decay": 0.1, "params": [A], "lr": 1e-3},
        "decay_lora_b": {"weight_decay": 0.1, "params": [B], "lr": 1.6e-2},
        "no_decay": {"weight_decay": 0.0, "params": [BIAS], "lr": 1e-3},
    }
    optimizer = torch.optim.AdamW(optimizer_groups(model, groups), lr=1e-3)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[id(model.get_parameter(B))] == 1.6e-2
    assert rates[id(model.get_parameter(A))] == rates[id(model.get_parameter(BIAS))] == 1e-3


def test_a_target_that_no_layer_has_is_named_with_those_there_are(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_8B | {"model_type": "llama"}))
    with pytest.raises(UserError) as error:
        measure_folder(tmp_path, TRAIN | {"target_modules": ["q_proj", "query"]}, False)
    assert "train.target_modules" in str(error.value)
    assert "query" in str(error.value).partition(";")[0]
    assert "gate_proj" in str(error.value).partition(";")[2]

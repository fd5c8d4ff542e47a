"""What adapter_config.json may say, told without torch and without the model."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import save_file

from lorascope.errors import UserError
from lorascope.models.adapter_config import (
    MORE,
    NOT_LORA,
    WITHOUT_EFFECT,
    LoraKeys,
    check_folder,
    read_config,
)

LORA = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}


def write(folder: Path, **changes) -> Path:
    """Write an adapter of one layer, with changes of its configuration."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(LORA | changes))
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    save_file({name: torch.ones(4, 8)}, folder / "adapter_model.safetensors")
    return folder


def test_every_key_of_peft_is_judged() -> None:
    # DoRA's is used, too, by what takes more than a LoRA.
    known = [*LoraKeys.model_fields, *WITHOUT_EFFECT, *NOT_LORA, *(MORE.keys() - {"use_dora"})]
    assert len(known) == len({*known})
    assert {*known} == {field.name for field in dataclasses.fields(LoraConfig)}


def test_defaults_are_those_of_peft() -> None:
    config = LoraConfig()
    for key, field in LoraKeys.model_fields.items():
        assert field.get_default(call_default_factory=True) == getattr(config, key), key


def test_what_peft_itself_writes_is_read(tmp_path: Path) -> None:
    """With every key at its default, in the words of this peft and of a newer one."""
    LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"]).save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    newer = {"use_flux": False, "flux_config": None, "flux_layers": [], "flux_pattern": {}}
    path.write_text(json.dumps(json.loads(path.read_text()) | newer))
    found = LoraConfig(**read_config(tmp_path))
    for key in LoraKeys.model_fields:
        given = {"q_proj"} if key == "target_modules" else {"r": 4, "lora_alpha": 8}.get(key)
        assert getattr(found, key) == (given or getattr(LoraConfig(), key)), key


@pytest.mark.parametrize(
    "harmless",
    [
        {"rank_pattern": None, "use_rslora": None, "bias": None, "modules_to_save": []},
        {"qalora_group_size": 16, "megatron_core": "megatron.core", "loftq_config": {}},
        {"runtime_config": {"ephemeral_gpu_offload": False}, "task_type": "A_NEW_TASK"},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}, "lora_dropout": 0.1},
        {"lora_alpha": 16.0, "r": 4.0, "layers_to_transform": [0, 1]},
    ],
)
def test_what_changes_no_answer_is_accepted(tmp_path: Path, harmless) -> None:
    check_folder(write(tmp_path, **harmless))
    LoraConfig(**read_config(tmp_path))


@pytest.mark.parametrize("key", [*NOT_LORA])
def test_each_key_of_another_method_is_refused_with_its_remedy(tmp_path: Path, key: str) -> None:
    check_folder(write(tmp_path, **{key: None}))
    check_folder(write(tmp_path, **{key: False}))
    value = {} if key.endswith("_config") else ["lm_head"]
    with pytest.raises(UserError, match=rf"adapter_config\.json: .*{key} \(.*merge the adapter"):
        check_folder(write(tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is IA3; only LORA"),
        ({"r": -1}, "r: -1 is not valid"),
        ({"r": 10**9}, "r: 1000000000 is not valid"),
        ({"r": "eight"}, "r: 'eight' is not valid"),
        ({"lora_alpha": float("nan")}, "lora_alpha: nan is not a finite number"),
        ({"rank_pattern": [4]}, "rank_pattern"),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern.q_proj: 0 is not valid"),
        ({"rank_pattern": {"q_(proj": 2}}, "rank_pattern: .* is no regular expression"),
        ({"alpha_pattern": {"(?i)q_proj": 2}}, "alpha_pattern: .* is no regular expression"),
        ({"target_modules": "q_(proj"}, "target_modules: .* is no regular expression"),
        ({"exclude_modules": "*"}, "exclude_modules: .* is no regular expression"),
        ({"target_modules": {"q_proj": 1}}, "target_modules"),
        ({"shiny_new_rank": 4}, "does not know shiny_new_rank: 4.*Upgrade lorascope, or merge"),
        ({"bias": "lora_only"}, "bias: lora_only"),
        ({"init_lora_weights": "PiSSA_niter_4"}, "init_lora_weights: PiSSA_niter_4.*convert"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes, message: str) -> None:
    with pytest.raises(UserError, match=rf"adapter_config\.json: .*{message}"):
        check_folder(write(tmp_path, **changes))


def test_incomplete_folders_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "adapter")
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    for damage in (weights.read_bytes()[:-1], b""):
        weights.write_bytes(damage)
        with pytest.raises(UserError, match=r"adapter_model\.safetensors is not a readable"):
            check_folder(folder)
    save_file({"lm_head.weight": torch.ones(2)}, weights)
    with pytest.raises(UserError, match="holds no tensors of a LoRA"):
        check_folder(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"neither adapter_model\.safetensors nor"):
        check_folder(folder)
    for text, message in (("[" * 9999, "not readable JSON"), ("[1]", "no.* JSON object")):
        config.write_text(text)
        with pytest.raises(UserError, match=rf"adapter_config\.json .*{message}"):
            check_folder(folder)
    config.unlink()
    with pytest.raises(UserError, match=r"adapter_config\.json does not exist"):
        check_folder(folder)
    with pytest.raises(UserError, match="is no folder"):
        check_folder(tmp_path / "nothing")


def test_it_needs_no_torch(tmp_path: Path) -> None:
    write(tmp_path)
    code = (
        "import sys; from pathlib import Path; from lorascope.models import adapter_config;"
        f"adapter_config.check_folder(Path({str(tmp_path)!r}));"
        "assert not {'torch', 'peft', 'transformers'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Adapters that cannot be used are refused while a study is planned, those of the hub too."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from lorascope.errors import UserError
from lorascope.planning.absent import absent_sources
from lorascope.planning.plan import load_plan

LORA = {"peft_type": "LORA", "target_modules": ["q_proj"]}


def study(source: Any) -> dict[str, Any]:
    return {
        "study": "ready",
        "models": {"llama": {"family": "hf_text", "model": "llama"}},
        "adapters": {"ready": {"model": "llama", "source": source}},
        "datasets": {"squad": {"benchmark": "squad", "source": "x.json", "prompt": "{question}"}},
        "experiments": [
            {"id": "BASE", "model": "llama", "dataset": "squad"},
            {"id": "TUNED", "model": "llama", "dataset": "squad", "adapter": "ready"},
        ],
        "baseline": "BASE",
    }


def write(folder: Path, **changes: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(LORA | changes))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_a_folder_that_is_not_here_yet_is_planned_as_absent() -> None:
    plan = load_plan(study("adapter"), "study.yaml")
    assert "adapter" in absent_sources(plan.context)


def test_an_unusable_folder_is_refused_with_the_key_of_the_study() -> None:
    write(Path("adapter"), use_qalora=True)
    with pytest.raises(
        UserError, match=r"^study\.yaml: adapters\.ready\.source: adapter/.*use_qalora.*merge"
    ):
        load_plan(study("adapter"), "study.yaml")
    write(Path("adapter"))
    with pytest.raises(UserError, match=r"neither adapter_model\.safetensors"):
        load_plan(study("adapter"), "study.yaml")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    save_file({name: torch.ones(4, 8)}, "adapter/adapter_model.safetensors")
    assert load_plan(study("adapter"), "study.yaml").left()


def test_a_downloaded_one_too_and_its_weights_may_still_come() -> None:
    source = {"hub": "lab/adapter", "revision": "main"}
    assert load_plan(study(source), "study.yaml").left()
    repository = Path("hub/models--lab--adapter")
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    write(repository / "snapshots" / ("0" * 40))
    assert load_plan(study(source), "study.yaml").left()
    write(repository / "snapshots" / ("0" * 40), shiny_new_rank=3)
    with pytest.raises(UserError, match=r"adapters\.ready\.source: .*shiny_new_rank: 3"):
        load_plan(study(source), "study.yaml")

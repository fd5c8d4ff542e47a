"""Audits of a study's adapters: when they are planned, and which adapters are refused at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from lorascope.errors import UserError
from lorascope.planning.audit import plan_audits
from lorascope.planning.plan import Plan, load_plan

MODEL = {"model.layers.0.self_attn.q_proj.weight": torch.ones(8, 8)}
NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    write_model("llama")
    write_adapter("adapter")
    return tmp_path


def write_model(name: str, factor: float = 1.0) -> None:
    folder = Path(name)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({k: factor * v for k, v in MODEL.items()}, folder / "model.safetensors")


def write_adapter(name: str, width: int = 8, **config: Any) -> None:
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    own = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(own | config))
    tensors = {f"{NAME}A.weight": torch.ones(2, width), f"{NAME}B.weight": torch.ones(8, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")


def plan(source: Any = "adapter", model: Any = "llama", audit: Any = None, **adapter: Any) -> Plan:
    study = {
        "study": "ready",
        "models": {"llama": {"family": "hf_text", "model": model}},
        "adapters": {"ready": {"model": "llama", "source": source, **adapter}},
        "datasets": {"squad": {"benchmark": "squad", "source": "x.json", "prompt": "{question}"}},
        "experiments": [
            {"id": "BASE", "model": "llama", "dataset": "squad"},
            {"id": "TUNED", "model": "llama", "dataset": "squad", "adapter": "ready"},
        ],
        "baseline": "BASE",
    }
    return load_plan(study | ({"audit": audit} if audit else {}), "study.yaml")


def digest(**changes: Any) -> str:
    (audit,) = plan_audits(plan(**changes).context)
    return audit.digest


def finish(planned: Plan) -> None:
    for path in planned.jobs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_another_base_is_refused_and_what_may_be_the_same_is_not() -> None:
    write_adapter("adapter", base_model_name_or_path="models/anything-at-all")
    assert plan().left()
    hub = {"hub": "meta-llama/Meta-Llama-3-8B"}
    write_adapter("adapter", base_model_name_or_path="meta-llama/Meta-Llama-3-8B-Instruct")
    message = (
        r"^study\.yaml: adapters\.ready\.source: adapter: names "
        r"'meta-llama/Meta-Llama-3-8B-Instruct' as its base model and is run on "
        r"meta-llama/Meta-Llama-3-8B: .*set base_model: anything"
    )
    with pytest.raises(UserError, match=message):
        plan(model=hub)
    for said in ("anything", "meta-llama/Meta-Llama-3-8B-Instruct"):
        assert plan(model=hub, base_model=said).left()
    assert plan(model={"hub": "meta-llama/Meta-Llama-3-8B-Instruct"}).left()


def test_a_folder_that_is_not_here_is_no_repository() -> None:
    write_adapter("adapter", base_model_name_or_path="meta-llama/Meta-Llama-3-8B-Instruct")
    assert plan(model="models/Meta-Llama-3-8B").left()


def test_a_base_that_is_here_is_compared_by_its_weights() -> None:
    write_model("elsewhere/moved")
    write_adapter("adapter", base_model_name_or_path="elsewhere/moved")
    assert plan().left()
    write_model("elsewhere/tuned", 1.5)
    write_adapter("adapter", base_model_name_or_path="elsewhere/tuned")
    with pytest.raises(UserError, match="has other values; take the model"):
        plan()


def test_sizes_that_do_not_fit_are_refused_whatever_the_study_says() -> None:
    write_adapter("adapter", width=6)
    with pytest.raises(UserError, match=r"changes 8 x 6 of .*q_proj, which is 8 x 8; take the"):
        plan(base_model="anything")


def test_a_trained_adapter_has_no_other_base() -> None:
    train = {"data": {"format": "squad", "source": "x.json", "prompt": "{question}"}}
    with pytest.raises(UserError, match=r"adapters\.ready\.base_model: .*leave base_model out"):
        plan(source=None, train=train, base_model="anything")


def test_what_decides_an_audit_makes_it_anew() -> None:
    first = digest()
    assert digest(base_model="anything") != first
    assert digest(audit={"intruders": 5}) != first
    assert digest(audit={"intruder_cosine": 0.9}) == first
    assert digest(audit={"intruders": 5, "intruder_cosine": 0.9}) != digest(audit={"intruders": 5})
    write_adapter("adapter", lora_alpha=3)
    assert digest() != first
    write_adapter("adapter")
    assert digest() == first
    shutil.rmtree("llama")
    write_model("llama", 2.0)
    assert digest() != first


def test_one_of_a_renamed_or_doubled_adapter_is_not_new() -> None:
    study = plan()
    finish(study)
    shutil.copytree("adapter", "copy")
    (audit,) = plan_audits(plan("copy").context)
    assert (audit.home, audit.is_done) == ("ready", True)
    assert plan("copy").left() == []


def test_finished_answers_are_reported_without_the_weights() -> None:
    """An audit that is there stays; one that is not does without what is not here."""
    whole = digest()
    study = plan()
    finish(study)
    shutil.rmtree("llama")
    assert digest() == whole
    assert plan().left() == []
    for path in plan_audits(plan().context)[0].files.values():
        path.unlink()
    (alone,) = plan_audits(plan().context)
    assert (alone.digest != whole, [*alone.sources]) == (True, ["adapter"])
    assert [job.stage.name for job in plan().left()] == ["page", "report", "audit"]
    shutil.rmtree("adapter")
    assert plan_audits(plan().context) == []
    assert {job.stage.name for job in plan().left()} == {"page", "report"}

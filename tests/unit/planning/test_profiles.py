"""Profiles that fit no adapter are refused while a study is planned, as far as its files tell."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lorascope.errors import UserError
from lorascope.planning.plan import load_plan
from lorascope.planning.reasons import differences
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import write_adapter, write_model

TRAIN = {
    "data": {"format": "squad", "source": "train.json", "prompt": "{question}"},
    "target_modules": ["q_proj", "v_proj"],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiles")
    write_model(folder / "llama")
    write_adapter(folder / "ready", folder / "llama", target_modules=["q_proj", "down_proj"])
    return folder


@pytest.fixture(autouse=True)
def here(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


def planned(profile: dict[str, Any], adapter: dict[str, Any] | None = None) -> Any:
    own = {"model": "llama", **(adapter or {"source": "ready"})}
    study = {
        "study": "parts",
        "models": {"llama": {"family": "hf_text", "model": "llama"}},
        "adapters": {"mine": own},
        "profiles": {"some": profile},
        "datasets": {"squad": {"benchmark": "squad", "source": "x.json", "prompt": "{question}"}},
        "experiments": [
            {"id": "BASE", "model": "llama", "dataset": "squad"},
            {"id": "SOME", "model": "llama", "dataset": "squad", "adapter": "mine"}
            | {"lora_scaling": "some"},
        ],
        "baseline": "BASE",
    }
    return load_plan(study, "study.yaml")


THERE = r"there are layers 0-1 of model\.layers, in which mlp\.down_proj, self_attn\.q_proj$"


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"layers.2-": 0}, rf"'layers\.2-' touches no adapted layer; {THERE}"),
        ({"v_proj": 0}, rf"'v_proj' touches no adapted layer; {THERE}"),
        ({"layers.0-1,7": 0}, rf"'layers\.7' touches no adapted layer; {THERE}"),
        ({"layers.1/3": 0}, rf"'layers\.1/3' touches no adapted layer; {THERE}"),
        (
            {"mlp,q_proj layers.0": 2, "mlp layers.0-": 3},
            r"'layers\.0- mlp' both mean model\.layers\.0\.mlp\.down_proj, say as much and",
        ),
        ({"lm_head": 0}, "'lm_head' touches no"),
    ],
)
def test_a_ready_made_adapter(profile: dict[str, Any], message: str) -> None:
    where = r"^study\.yaml: experiment SOME: lora_scaling some: "
    with pytest.raises(UserError, match=f"{where}.*{message}"):
        planned(profile)


def test_what_fits_is_planned_and_says_what_it_is() -> None:
    plan = planned({"default": 1, "layers.first-half": 0, "mlp": None, "model": 2})
    found = plan.experiments["SOME"].fingerprint["lora_scaling"]
    assert found == {"default": 1, "layers.1/2": 0, "mlp": None, "model": 2}


@pytest.mark.parametrize("key", ["k_proj", "mlp", "layers.4", "lm_head", "q_porj"])
def test_one_that_is_trained_by_its_targets_and_the_models_files(key: str) -> None:
    assert planned({"default": 0, "layers.1 self_attn.q_proj": 1, "model": 2}, {"train": TRAIN})
    with pytest.raises(UserError, match=rf"'{key}' touches no adapted layer; there are layers 0-1"):
        planned({key: 0}, {"train": TRAIN})


def test_names_that_a_models_file_may_lack_are_left_to_the_job(tmp_path: Path) -> None:
    """Older files begin at h.0, and the modules that they fill at transformer.h.0."""
    folder = tmp_path / "old"
    write_model(folder, "gpt2")
    save_file(
        {"h.0.attn.c_attn.weight": torch.ones(8, 24), "wte.weight": torch.ones(4, 8)},
        folder / "model.safetensors",
    )
    train = TRAIN | {"target_modules": ["c_attn"]}
    study = {"default": 0, "transformer": 1, "c_attn layers.0": 2}
    Path("llama").rename("kept")
    folder.rename("llama")
    try:
        assert planned(study, {"train": train})
        with pytest.raises(UserError, match=r"there are layers 0 of h, in which attn\.c_attn"):
            planned({"layers.1": 0}, {"train": train})
    finally:
        Path("llama").rename(tmp_path / "old")
        Path("kept").rename("llama")


@pytest.mark.parametrize("source", ["absent", {"hub": "lab/adapter"}])
def test_an_adapter_that_is_not_here_yet_by_what_its_model_has(source: Any) -> None:
    assert planned({"layers.1 k_proj": 0}, {"source": source})
    with pytest.raises(UserError, match=r"'layers\.2' touches no adapted layer"):
        planned({"layers.2": 0}, {"source": source})
    Path("llama").rename("elsewhere")
    try:
        assert planned({"layers.2": 0}, {"source": source})
    finally:
        Path("elsewhere").rename("llama")


def test_a_salmonns_own_adapter_by_its_language_model(tmp_path: Path) -> None:
    files = write_salmonn(tmp_path)
    study: dict[str, Any] = {
        "study": "parts",
        "models": {"salmonn": {"family": "salmonn", **files}},
        "datasets": {"zoo": {"benchmark": "sakura", "source": "data"}},
        "experiments": [
            {"id": "S-{lora_scaling}", "model": "salmonn", "dataset": "zoo"}
            | {"grid": {"lora_scaling": [0, "ready"]}}
        ],
        "profiles": {"ready": {"blocks": 2, "kinds": ["q_proj"]}},
        "baseline": "S-0",
    }
    assert len(load_plan(study, "study.yaml").experiments) == 7
    study["profiles"]["ready"]["kinds"] = ["c_attn"]
    with pytest.raises(UserError, match=r"experiment S-c_attn-off: .*'c_attn' touches no adapted"):
        load_plan(study, "study.yaml")


def test_why_an_experiment_is_made_again() -> None:
    one, other = {"lora_scaling": {"default": 1, "mlp": 0}}, {"lora_scaling": {"mlp": 2}}
    assert differences(one, other) == ["lora_scaling.default 1 -> none", "lora_scaling.mlp 0 -> 2"]
    assert differences({"lora_scaling": 2}, other) == [
        "lora_scaling 2 -> none",
        "lora_scaling.mlp none -> 2",
    ]

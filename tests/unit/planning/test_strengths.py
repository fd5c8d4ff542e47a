"""A strength is given to what has one, and told so while a study is planned."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import UserError
from lorascope.planning.asked import keys
from lorascope.planning.plan import Plan, load_plan
from tests.support.tiny_text_files import edit_json, write_adapter, write_model
from tests.support.weight_changes import write_change, write_checkpoint

STUDY: dict[str, Any] = {
    "study": "strengths",
    "models": {"llama": {"family": "hf_text", "model": "llama"}},
    "adapters": {
        name: {"model": "llama", "source": name} for name in ("plain", "dora", "tuned", "absent")
    },
    "datasets": {"squad": {"benchmark": "squad", "source": "x.json", "prompt": "{question}"}},
    "experiments": [{"id": "BASE", "model": "llama", "dataset": "squad"}],
    "baseline": "BASE",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strengths")
    model = write_model(folder / "llama")
    write_adapter(folder / "plain", model)
    write_change(folder / "dora", model, use_dora=True)
    write_checkpoint(folder / "tuned", model)
    return folder


@pytest.fixture
def planned(files: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Return a function to the plan of a study with one more experiment."""
    monkeypatch.chdir(files)

    def plan(adapter: str | None = "dora", baseline: Any = "BASE", **keys: Any) -> Plan:
        study = deepcopy(STUDY) | {"baseline": baseline}
        own = {"id": "X", "model": "llama", "dataset": "squad", "adapter": adapter} | keys
        study["experiments"].append(own)
        return load_plan(study, "study.yaml")

    return plan


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"adapter": "dora", "lora_scaling": 2}, "experiment X: dora: lora_scaling 2 .*strength"),
        ({"adapter": "tuned", "lora_scaling": 0}, "experiment X: tuned: lora_scaling 0 .*strength"),
        ({"adapter": "plain", "strength": 0.5}, "experiment X: plain: strength .*lora_scaling"),
        ({"adapter": "plain", "strength": 1}, "experiment X: plain: strength 1 .*lora_scaling"),
        ({"adapter": None, "strength": 0}, "strength 0 changes nothing without an adapter"),
        ({"strength": 1, "lora_scaling": 1}, "strength 1 is given beside lora_scaling"),
        ({"strength": 1001}, "strength: 1001 is not valid here; it has to be at most 1000"),
        ({"strength": float("inf")}, "strength"),
    ],
)
def test_each_adapter_has_one_of_the_two(
    planned: Callable, experiment: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=rf"^study\.yaml: .*{message}"):
        planned(**experiment)


def test_a_trained_adapter_is_a_lora(planned: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"format": "squad", "source": "x.json", "prompt": "{question}"}
    trained = {"model": "llama", "train": {"data": data}}
    monkeypatch.setitem(STUDY["adapters"], "trained", trained)
    with pytest.raises(UserError, match=r"strength 0\.5 is not for a LoRA, as 'trained' is"):
        planned("trained", strength=0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 301}, "another model than .*vocab_size 301 instead of 300"),
        ({"rms_norm_eps": 0.5}, "rms_norm_eps 0.5 instead of 1e-06"),
        ({"quantization_config": {"bits": 4}}, "its weights are quantised"),
        ({"dtype": "float16", "use_cache": False, "_name_or_path": "b", "eos_token_id": 7}, None),
    ],
)
def test_a_checkpoint_of_another_model_is_named(
    planned: Callable, tmp_path: Path, changes: dict[str, Any], message: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = write_checkpoint(tmp_path / "other", Path("llama"))
    edit_json(other / "config.json", **changes)
    monkeypatch.setitem(STUDY["adapters"], "other", {"model": "llama", "source": str(other)})
    if message is None:
        assert planned("other", strength=0.5).left()
        return
    with pytest.raises(UserError, match=rf"^study\.yaml: adapters\.other\.source: .*{message}"):
        planned("other", strength=0.5)


def test_a_folder_of_neither_is_named(
    planned: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    monkeypatch.setitem(STUDY["adapters"], "empty", {"model": "llama", "source": str(tmp_path)})
    planned("absent", strength=0.5)
    (tmp_path / "model.safetensors").write_text("nothing")
    with pytest.raises(UserError, match=r"model\.safetensors is not a readable safetensors file"):
        planned("empty", strength=0.5)


def test_only_a_strength_that_is_given_is_in_a_fingerprint(planned: Callable) -> None:
    found = {t: planned(strength=t).experiments["X"] for t in (None, 0, 0.5, 1)}
    assert "strength" not in found[None].fingerprint
    assert found[1].digest == found[None].digest  # 1 is what it is without
    assert found[0.5].fingerprint["strength"] == 0.5 and found[0].fingerprint["strength"] == 0
    assert len({one.digest for one in found.values()}) == 3
    report = planned().report.fingerprint["experiments"]
    assert "strength" not in report["X"]["settings"]


def test_strengths_of_an_adapter_are_one_sweep(planned: Callable) -> None:
    plan = planned(id="T-{strength}", grid={"strength": [0, 0.25, 1]})
    jobs = {
        str(job.wildcards["id"]): keys(job.told(), 0)
        for job in plan.left()
        if job.stage.name == "infer"
    }
    assert set(jobs) == {"BASE", "T-0", "T-0.25", "T-1"}
    assert len({jobs[name]["sweep"] for name in ("T-0", "T-0.25", "T-1")}) == 1
    assert len({one["model"] for one in jobs.values()}) == 1
    assert jobs["BASE"]["adapter"] != jobs["T-0"]["adapter"]


def test_strength_zero_is_a_base_model(planned: Callable) -> None:
    study = deepcopy(STUDY) | {"baseline": "own"}
    study["experiments"] = [
        {
            "id": "T-{strength}",
            "model": "llama",
            "dataset": "squad",
            "adapter": "tuned",
            "grid": {"strength": [0, 0.5, 1]},
        }
    ]
    (reference,) = load_plan(study, "study.yaml").study.references
    assert reference.experiments == ("T-0",) and set(reference.of) == {"T-0", "T-0.5", "T-1"}
    study["experiments"][0]["grid"] = {"strength": [0.5, 1]}
    with pytest.raises(UserError, match=r"add one that differs in strength \(0\) alone"):
        load_plan(study, "study.yaml").study.references  # noqa: B018

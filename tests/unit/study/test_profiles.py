"""Profiles of scalings in a study: how they are written, named, made ready and told apart."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.planning.infer import plan_experiments
from lorascope.planning.plan import load_plan
from lorascope.study import checks
from lorascope.study.parsing import parse_study
from lorascope.study.profiles import canonical
from lorascope.study.registry import FAMILIES
from lorascope.study.scaling_words import in_words
from lorascope.study.study import Study

READY = {"blocks": 2, "kinds": ["attention", "q_proj"], "scaling": 2}
STUDY: dict[str, Any] = {
    "study": "parts",
    "models": {"llama": {"family": "hf_text", "model": "llama"}},
    "adapters": {"mine": {"model": "llama", "source": "adapter"}},
    "profiles": {"early-off": {"default": 1, "layers.0-7": 0, "q_proj": 2}, "ready": READY},
    "datasets": {"squad": {"benchmark": "squad", "source": "x.json", "prompt": "{question}"}},
    "experiments": [
        {"id": "BASE", "model": "llama", "dataset": "squad"},
        {
            "id": "S-{lora_scaling}",
            "model": "llama",
            "adapter": "mine",
            "dataset": "squad",
            "grid": {"lora_scaling": [0, 2, "early-off", "ready"]},
        },
    ],
    "baseline": "BASE",
}
NAMES = [
    *("block-1-off", "block-2-off", "block-1-alone", "block-2-alone"),
    *("attention-off", "q_proj-off", "attention-alone", "q_proj-alone"),
]


def parsed(scaling: Any = None, profiles: Any = None) -> Study:
    """Return the study with another scaling of its one experiment, and other profiles."""
    study = deepcopy(STUDY)
    if scaling is not None:
        study["experiments"][1] |= {"id": "ONE", "lora_scaling": scaling}
        study["experiments"][1].pop("grid")
    if profiles is not None:
        study["profiles"] = profiles
    return parse_study(study, "study.yaml")


def test_a_grid_of_names_and_numbers() -> None:
    study = parsed()
    assert [*study.experiments] == ["BASE", "S-0", "S-2", "S-early-off", *(f"S-{n}" for n in NAMES)]
    found = {name: study.scaling_of(one) for name, one in study.experiments.items()}
    assert found["BASE"] is None
    assert found["S-2"] == 2
    assert found["S-early-off"] == {"default": 1, "layers.0-7": 0, "q_proj": 2}
    assert found["S-block-2-off"] == {"default": 2, "layers.2/2": 0}
    assert found["S-block-1-alone"] == {"default": 0, "layers.1/2": 2}
    assert found["S-attention-alone"] == {"default": 0, "attention": 2}
    assert study.experiments["S-early-off"].settings.lora_scaling == "early-off"


def test_ready_made_ones_at_the_adapters_own_scaling() -> None:
    found = parsed(0, {"ready": {"blocks": 2}}).profiles
    assert found["block-1-off"] == {"layers.1/2": 0}
    assert found["block-1-alone"] == {"default": 0, "layers.1/2": None}


def test_the_resolved_study_is_the_same_study() -> None:
    study = parsed()
    again = parse_study(json.loads(json.dumps(study.resolved())), "study.yaml")
    assert again.resolved() == study.resolved()
    assert {n: again.scaling_of(e) for n, e in again.experiments.items()} == {
        n: study.scaling_of(e) for n, e in study.experiments.items()
    }
    assert "profiles" not in parsed(1, {}).resolved()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"layers.0-7": 0, "q_proj": 2}, {"q_proj": 2.0, "layers.0-7": 0}),
        ({"layers.0-3,2-7": 0}, {"layers.0-7": 0}),
        ({"layers.0,1,2-": 0}, {"layers.0-": 0}),
        ({"layers.first-half": 0}, {"layers.1/2": 0}),
        ({"q_proj layers.3": 0}, {" layers.3-3   q_proj": 0}),
        ({"v_proj,q_proj": 0}, {"q_proj,v_proj": 0}),
        ({"default": None, "mlp": 0}, {"mlp": 0}),
        ({"default": 2}, 2),
        ({"default": 2, "mlp": 2}, 2),
        ({"mlp": None}, None),
    ],
)
def test_what_is_written_otherwise_is_the_same(one: Any, other: Any) -> None:
    wanted = canonical(other) if isinstance(other, dict) else other
    assert digest({"s": canonical(one)}) == digest({"s": wanted})
    study = parsed(one)
    assert digest({"s": study.scaling_of(study.experiments["ONE"])}) == digest({"s": wanted})


def test_what_is_in_a_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number as it is, a profile in canonical form; its name and the order of keys are not."""
    monkeypatch.chdir(tmp_path)
    first = {one.id: one for one in plan_experiments(load_plan(STUDY, "study.yaml").context)}
    assert first["S-2"].fingerprint["lora_scaling"] == 2
    assert first["S-early-off"].fingerprint["lora_scaling"] == {
        **{"default": 1, "layers.0-7": 0, "q_proj": 2}
    }
    other = deepcopy(STUDY)
    other["profiles"]["renamed"] = {"q_proj": 2, "layers.0-4,5-7": 0, "default": 1}
    other["experiments"][1]["grid"]["lora_scaling"] = [2, "renamed", "block-1-off"]
    again = {one.id: one for one in plan_experiments(load_plan(other, "study.yaml").context)}
    assert again["S-renamed"].digest == first["S-early-off"].digest
    assert again["S-block-1-off"].digest == first["S-block-1-off"].digest != again["S-2"].digest


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        (
            "early-of",
            r"experiment ONE: lora_scaling: no profile 'early-of'; did you mean early-off",
        ),
        ("ready", r"ready stands for several profiles; put it into a grid"),
        (True, r"lora_scaling: True is not valid here; expected a number, the name of a profile"),
        ([1], r"lora_scaling: \[1\] is not valid here; expected a number, the name"),
        (1e39, r"has to be at most"),
        (float("inf"), "finite number"),
        ({}, r"experiments\[1\]\.lora_scaling: must not be empty"),
        ({"layers.7-0": 0}, r"lora_scaling: 'layers\.7-0' means no layers: it ends before"),
        ({"layers.0/4": 0}, r"'layers\.0/4' means no layers"),
        ({"layers.a": 0}, r"'layers\.a': 'a' means no layers; write layers\.3"),
        ({"layers.1 layers.2": 0}, r"has to name something, and layers once at most"),
        ({"q_proj,": 0}, r"'q_proj,': '' is no name of a module"),
        ({"q_proj default": 0}, r"default stands by itself"),
        ({"q proj ": 0, "proj  q": 1}, r"'proj  q' stands there twice, at two scalings"),
        ({"q_proj": "much"}, r"lora_scaling\.q_proj: 'much' is not valid here; expected number"),
    ],
)
def test_odd_scalings(scaling: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"^study\.yaml: .*{message}"):
        parsed(scaling)


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ({"2": {"mlp": 0}}, r"profiles\.2: would be read as a number"),
        ({"a": {"layers.x": 0}}, r"profiles\.a: 'layers\.x': 'x' means no layers"),
        ({"a": 3}, r"profiles\.a: 3 is not valid here; expected keys"),
        ({"ready": {}}, r"profiles\.ready: makes no profile; give blocks: 4, or kinds"),
        ({"ready": {"blocks": 1}}, r"profiles\.ready\.blocks: 1 is not valid here; .* at least 2"),
        ({"ready": {"block": 4}}, r"profiles\.ready: unknown key 'block'; did you mean blocks"),
        ({"ready": {"kinds": ["a b"]}}, r"profiles\.ready\.kinds\[0\]: 'a b' has a form"),
        (
            {"ready": {"blocks": 2}, "block-1-off": {"mlp": 0}},
            r"block-1-off: .*ready-made one, too",
        ),
    ],
)
def test_odd_profiles(profiles: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"^study\.yaml: .*{message}"):
        parsed(1, profiles)


def test_a_nameless_profile_needs_an_id_of_its_own() -> None:
    study = deepcopy(STUDY)
    study["experiments"][1]["grid"] = {"lora_scaling": [1, {"mlp": 0}]}
    with pytest.raises(UserError, match="give the profile a name under profiles"):
        parse_study(study, "study.yaml")


def test_a_profile_of_no_adapter_or_of_a_family_with_one_scaling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = deepcopy(STUDY)
    study["experiments"][1].pop("adapter")
    study["experiments"][1]["grid"] = {"lora_scaling": ["early-off"]}
    with pytest.raises(UserError, match="lora_scaling early-off touches no layer; name an adapter"):
        parse_study(study, "study.yaml")
    whole = {"hf_text": replace(FAMILIES["hf_text"], scales_parts=False)}
    monkeypatch.setattr(checks, "FAMILIES", whole)
    assert parsed(2)
    with pytest.raises(UserError, match="family hf_text have one scaling for all layers, and no"):
        parsed("early-off")


def test_in_words() -> None:
    words = in_words({"mlp": None, "layers.0-7": 0, "default": 1.5})
    assert words == "default 1.5, layers.0-7 0, mlp own"
    assert [in_words(one) for one in (2.0, "early-off", None)] == ["2", "early-off", "own"]

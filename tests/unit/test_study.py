import copy
import subprocess
import sys

import pytest
import yaml

from lorascope.errors import UserError
from lorascope.study import parse_study

STUDY = yaml.safe_load("""
study: example
models:
  tiny: {family: salmonn, llm: llm, whisper: whisper, beats: {hub: o/n, file: b.pt}, checkpoint: c}
datasets:
  sakura: {benchmark: sakura, source: data}
experiments:
  - id: SF-{lora_scaling}-K{num_beams}
    model: tiny
    dataset: sakura
    grid: {lora_scaling: [0, 1.0, 1e-4], generation.num_beams: [1, 4]}
baseline: SF-0-K1
""")


def study(**changes):
    config = copy.deepcopy(STUDY)
    for key, value in changes.items():
        *parents, last = key.split("__")
        target = config
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[int(last) if last.isdigit() else last] = value
    return parse_study(config, "studies/x.yaml")


def test_a_grid_expands_into_ids_with_defaults_filled_in():
    parsed = study()
    assert list(parsed.experiments) == [
        "SF-0-K1", "SF-0-K4", "SF-1-K1", "SF-1-K4", "SF-0.0001-K1", "SF-0.0001-K4",
    ]  # fmt: skip
    settings = parsed.experiments["SF-0.0001-K4"].settings
    assert settings["lora_scaling"] == 0.0001
    assert settings["generation"]["num_beams"] == 4
    assert settings["generation"]["max_new_tokens"] == 200
    assert parsed.datasets["sakura"]["audio"]["target_len"] == 30
    assert parsed.models["tiny"]["beats"]["revision"] == "main"
    assert parsed.shards == 1


def test_repeated_runs_get_a_suffix_and_another_seed():
    parsed = study(experiments__0__runs=3, experiments__0__seed=10)
    runs = [e for e in parsed.experiments.values() if e.base == "SF-0-K1"]
    assert [(e.id, e.run, e.settings["seed"]) for e in runs] == [
        ("SF-0-K1", 0, 10),
        ("SF-0-K1-1", 1, 11),
        ("SF-0-K1-2", 2, 12),
    ]


def test_a_number_that_yaml_reads_as_text_is_a_number():
    assert yaml.safe_load("1e-4") == "1e-4"
    parsed = study(experiments__0={**_plain(), "lora_scaling": "1e-4"}, baseline="A")
    assert parsed.experiments["A"].settings["lora_scaling"] == 0.0001
    tracks = ("animal", "emotion", "gender", "language")
    published = {f"{track}-{hop}": "3.5e1" for track in tracks for hop in ("single", "multi")}
    assert set(study(baseline=published).baseline.values()) == {35}


def _plain(**more):
    return {"id": "A", "model": "tiny", "dataset": "sakura", **more}


BAD = [
    ({"shardss": 2}, "the study: unknown key 'shardss'; did you mean shards?"),
    ({"experiments__0__lora_scalling": 1}, r"experiments\[0\]: unknown key 'lora_scalling'; did"),
    ({"models__tiny__lm": "x"}, "models.tiny: unknown key 'lm'; did you mean llm?"),
    ({"experiments__0__batch_size": "five"}, r"experiments\[0\].batch_size: 'five' .* integer"),
    ({"shards": 0}, "shards: 0 is not valid"),
    ({"experiments__0__id": "SF"}, "the ID 'SF' stands for two experiments"),
    ({"experiments__0__id": "SF/{lora_scaling}"}, "'SF/0' cannot be an experiment ID"),
    ({"experiments__0__id": "SF-{scale}"}, "'SF-{scale}' does not expand"),
    ({"experiments__0__grid": {}}, r"experiments\[0\].grid: must not be empty"),
    ({"experiments__0__grid": {"lora_scaling": []}}, "grid.lora_scaling: must not be empty"),
    ({"experiments__0__grid__lora_scaling": ["x"]}, "lora_scaling: 'x' is not valid here"),
    ({"experiments__0__grid__lora": [1]}, "unknown key 'lora'"),
    ({"experiments__0__seed": 1, "experiments__0__grid__seed": [1]}, "by the experiment itself"),
    ({"experiments__0__model": "big"}, "model 'big' is not defined; known: tiny"),
    ({"experiments__0__dataset": "x"}, "dataset 'x' is not defined; known: sakura"),
    ({"baseline": "SF-0-K2"}, "no experiment has the ID 'SF-0-K2'; did you mean SF-0-K"),
    ({"baseline": {"animal-multi": 101}}, "baseline"),
    ({"baseline": {"animal-multi": 50}}, "baseline: has nothing for animal-single, emotion-multi"),
    ({"experiments__0__lora_scaling": float("inf")}, r"experiments\[0\].lora_scaling: inf is not"),
    ({"datasets__sakura__audio": {"type": "noised"}}, "audio.position: 'original' does not go"),
    ({"datasets__sakura__tracks": ["dogs"]}, "'dogs' is not one of animal"),
    ({"study": "a/b"}, "study: 'a/b' has a form that is not allowed"),
    ({"experiments": []}, "experiments: must not be empty"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_a_bad_study_ends_in_a_message_that_names_file_and_key(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        study(**changes)
    assert str(caught.value).startswith("studies/x.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named():
    config = {key: value for key, value in STUDY.items() if key != "baseline"}
    with pytest.raises(UserError, match="key 'baseline' is missing"):
        parse_study(config, "x.yaml")


def test_every_key_of_the_schema_is_described():
    from lorascope.study import schema

    def undescribed(part, where):
        for name, inner in part.get("properties", {}).items():
            if "description" not in inner:
                yield f"{where}.{name}"
            yield from undescribed(inner, f"{where}.{name}")

    parts = {"": schema(), **schema()["$defs"]}
    assert [key for where, part in parts.items() for key in undescribed(part, where)] == []


def test_planning_imports_no_torch():
    code = (
        "import sys; import lorascope.plan;"
        "heavy = {'torch', 'transformers', 'peft', 'pandas', 'numpy', 'scipy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from lorascope.errors import UserError
from lorascope.models.adapter_config import LoraKeys
from lorascope.study.adapters import TrainSettings
from lorascope.study.baseline import PublishedCounts
from lorascope.study.parsing import parse_study
from lorascope.study.reference import study_schema
from lorascope.study.registry import BENCHMARKS, FAMILIES, SCORERS, data_formats
from lorascope.study.settings import Settings
from tests.support.basics import printed

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
TRACKS = ("animal", "emotion", "gender", "language")
CATEGORIES = [f"{track}-{hop}" for track in TRACKS for hop in ("single", "multi")]


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
    assert settings.lora_scaling == 0.0001
    assert settings.generation.num_beams == 4
    assert settings.generation.max_new_tokens == 200
    assert parsed.datasets["sakura"].audio.target_len == 30
    assert parsed.models["tiny"].beats.revision == "main"
    assert parsed.shards == 1


def test_large_numbers_in_an_id_are_written_out():
    grid = {"lora_scaling": [1000000, 1234567.0, 2.5]}
    parsed = study(experiments__0={**_plain(id="S{lora_scaling}"), "grid": grid}, baseline="S2.5")
    assert list(parsed.experiments) == ["S1000000", "S1234567", "S2.5"]


def test_repeated_runs_get_a_suffix_and_another_seed():
    more = {"runs": 3, "seed": 10, "generation": {"do_sample": True}}
    parsed = study(**{f"experiments__0__{key}": value for key, value in more.items()})
    runs = [e for e in parsed.experiments.values() if e.base == "SF-0-K1"]
    assert [(e.id, e.run, e.settings.seed) for e in runs] == [
        ("SF-0-K1", 0, 10),
        ("SF-0-K1-1", 1, 11),
        ("SF-0-K1-2", 2, 12),
    ]


def test_a_published_baseline_may_give_counts_beside_percents():
    counts = {"correct": "342", "total": 500}
    parsed = study(baseline={**dict.fromkeys(CATEGORIES, 35), "animal-multi": counts})
    assert parsed.baseline["animal-multi"] == PublishedCounts(correct=342, total=500)
    assert parsed.baseline["animal-single"] == 35
    assert parse_study(parsed.resolved(), "x.yaml").baseline == parsed.baseline


def test_a_number_that_yaml_reads_as_text_is_a_number():
    assert yaml.safe_load("1e-4") == "1e-4"
    parsed = study(experiments__0={**_plain(), "lora_scaling": "1e-4"}, baseline="A")
    assert parsed.experiments["A"].settings.lora_scaling == 0.0001
    published = dict.fromkeys(CATEGORIES, "3.5e1")
    assert set(study(baseline=published).baseline.values()) == {35}


def _plain(**more):
    return {"id": "A", "model": "tiny", "dataset": "sakura", **more}


BAD = [
    ({"shardss": 2}, "the study: unknown key 'shardss'; did you mean shards?"),
    ({"experiments__0__lora_scalling": 1}, r"experiments\[0\]: unknown key 'lora_scalling'; did"),
    ({"models__tiny__lm": "x"}, "models.tiny: unknown key 'lm'; did you mean llm?"),
    ({"experiments__0__batch_size": "five"}, r"experiments\[0\].batch_size: 'five' .* integer"),
    ({"shards": 0}, "shards: 0 is not valid here; it has to be at least 1"),
    ({"experiments__0__id": "SF"}, "the ID 'SF' stands for two experiments"),
    ({"experiments__0__id": "SF/{lora_scaling}"}, "'SF/0' cannot be an experiment ID"),
    ({"experiments__0__id": "SF-{scale}"}, "'SF-{scale}' does not expand"),
    ({"experiments__0__grid": {}}, r"experiments\[0\].grid: must not be empty"),
    ({"experiments__0__grid": {"lora_scaling": []}}, "grid.lora_scaling: must not be empty"),
    ({"experiments__0__grid__lora_scaling": ["x"]}, "'x' is no number, and the study has"),
    ({"experiments__0__grid__lora": [1]}, "unknown key 'lora'"),
    ({"experiments__0__seed": 1, "experiments__0__grid__seed": [1]}, "by the experiment itself"),
    ({"experiments__0__model": "big"}, "model 'big' is not defined; known: tiny"),
    ({"experiments__0__dataset": "x"}, "dataset 'x' is not defined; known: sakura"),
    ({"baseline": "SF-0-K2"}, "no experiment has the ID 'SF-0-K2'; did you mean SF-0-K"),
    ({"baseline": {"animal-multi": 101}}, "baseline"),
    ({"baseline": {"animal-multi": {"correct": 5, "total": 4}}},
     "baseline.animal-multi: 5 correct of 4; correct is at most total"),
    ({"baseline": {"animal-multi": {"accuracy": 50, "of": 4}}},
     "baseline.animal-multi: unknown key 'accuracy'; known keys: correct, total"),
    ({"baseline": {"animal-multi": {"correct": 5}}},
     "baseline.animal-multi: key 'total' is missing"),
    ({"baseline": {"animal-multi": [1]}}, r"baseline.animal-multi\[0\]: .* expected text"),
    ({"baseline": {"animal-multi": 50}}, "baseline: has nothing for animal-single, emotion-multi"),
    ({"experiments__0": _plain(lora_scaling=float("inf"))},
     r"experiments\[0\].lora_scaling: inf is not a finite number"),
    ({"datasets__sakura__audio": {"type": "noised"}}, "audio.position: 'original' does not go"),
    ({"datasets__sakura__tracks": ["dogs"]}, "'dogs' is not one of animal"),
    ({"study": "a/b"}, "study: 'a/b' has a form that is not allowed"),
    ({"experiments": []}, "experiments: must not be empty"),
]  # fmt: skip


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


# ---------------------------------------------------------------------------------- bounds


def trained(**train):
    """Return the study with an adapter for a text model, trained as ``train`` says."""
    data = train.pop("data", {"format": "jsonl", "source": "rows.jsonl"})
    return study(
        models__text={"family": "hf_text", "model": "llama"},
        adapters={"tuned": {"model": "text", "train": {"data": data, **train}}},
    )


def refused(make, **changes) -> str:
    """Return the message, without the study's file, with which a study is refused."""
    with pytest.raises(UserError) as caught:
        make(**changes)
    file, _, message = str(caught.value).partition(": ")
    assert file == "studies/x.yaml"
    return message


def test_one_problem_is_counted_once():
    assert refused(study, datasets__sakura__audio={"type": "loud", "position": "early"}) == (
        "datasets.sakura.audio.type: 'loud' is not one of source, zero-padded, noised"
    )


def test_a_published_value_beyond_100_is_of_a_measure_that_is_no_share(monkeypatch):
    """As a word error rate may be, or a perplexity; a scorer declares it."""
    table = {"animal-multi": 250.5, "animal-single": 10}
    words = "baseline.animal-multi: 250.5 is not valid here; it has to be at most 100"
    assert refused(study, baseline=table) == words
    below = refused(study, baseline={"accuracies": {**table, "animal-multi": -1}})
    assert (
        below == "baseline.accuracies.animal-multi: -1 is not valid here; it has to be at least 0"
    )
    free = replace(SCORERS["choice"], shares=False)
    monkeypatch.setattr("lorascope.study.checks.SCORERS", {"choice": free})
    assert "is not valid here" not in refused(study, baseline=table)


def test_a_bound_that_is_broken_is_named():
    gate = {"of": "SF-0-K1", "metric": "animal-single"}
    assert refused(study, limit=-3) == ("limit: -3 is not valid here; it has to be at least 1")
    assert refused(study, models__tiny__lora_alpha=0) == (
        "models.tiny.lora_alpha: 0 is not valid here; it has to be greater than 0"
    )
    assert refused(study, retain=[{**gate, "confidence": 0.5}]) == (
        "retain[0].confidence: 0.5 is not valid here; it has to be greater than 0.5"
    )
    assert refused(study, baseline={"animal-multi": 101}) == (
        "baseline.animal-multi: 101 is not valid here; it has to be at most 100"
    )
    assert refused(study, baseline={"animal-multi": {"correct": -1, "total": 4}}) == (
        "baseline.animal-multi.correct: -1 is not valid here; it has to be at least 0"
    )
    assert refused(study, experiments__0__generation={"top_p": 1.5}) == (
        "experiments[0].generation.top_p: 1.5 is not valid here; it has to be at most 1"
    )
    assert refused(trained, dropout=1) == (
        "adapters.tuned.train.dropout: 1 is not valid here; it has to be less than 1"
    )
    assert refused(trained, sequence_length=1) == (
        "adapters.tuned.train.sequence_length: 1 is not valid here; it has to be at least 2"
    )


def test_what_lies_on_a_bound_is_accepted_where_the_bound_is_part_of_the_range():
    assert trained(dropout=0, sequence_length=2, gpus=0).adapters["tuned"].train.dropout == 0
    assert study(baseline=dict.fromkeys(CATEGORIES, 100)).baseline["animal-multi"] == 100
    assert study(experiments__0__generation={"top_p": 1}).experiments


# --------------------------------------------------------------------- keys of another family


def test_a_key_of_an_experiment_that_only_another_family_has_is_refused():
    messages = [
        refused(
            study,
            models={"x": {"family": family, "model": "folder"}},
            experiments=[{"id": "A", "model": "x", "dataset": "sakura", "second_per_window": 1}],
            baseline="A",
        )
        for family in ("hf_text", "hf_audio")
    ]
    assert messages == [
        "experiments[0].second_per_window: has no meaning for the model 'x' of family hf_text; "
        "leave it out",
        "experiments[0].second_per_window: has no meaning for the model 'x' of family hf_audio; "
        "leave it out",
    ]
    assert study(experiments__0__second_per_window=1).experiments["SF-0-K1"].settings


def test_a_key_of_a_training_that_only_another_family_has_is_refused():
    assert refused(trained, bridge=True) == (
        "adapters.tuned.train.bridge: has no meaning for a model of family hf_text; leave it out"
    )
    data = {"format": "sakura", "source": "clips"}
    train = {"data": data, "bridge": True}
    parsed = study(adapters={"tuned": {"model": "tiny", "train": train}})
    assert parsed.adapters["tuned"].train.bridge


def test_a_key_that_no_family_has_is_unknown_and_one_like_it_is_named():
    assert refused(study, experiments__0__second_per_windw=1) == (
        "experiments[0]: unknown key 'second_per_windw'; did you mean second_per_window?"
    )
    assert refused(trained, brdge=True) == (
        "adapters.tuned.train: unknown key 'brdge'; known keys: "
        + ", ".join(["data", *TrainSettings.model_fields])
    )


def test_a_key_that_is_misspelt_is_named_rather_than_the_one_that_is_missing():
    def without(key, entry, **more):
        return {k: v for k, v in entry.items() if k != key} | more

    misspelt = without("model", _plain(), modell="tiny")
    assert refused(study, experiments__0=misspelt).startswith(
        "experiments[0]: unknown key 'modell'; did you mean model?"
    )
    misspelt = without("family", STUDY["models"]["tiny"], famly="salmonn")
    assert refused(study, models__tiny=misspelt) == "models.tiny: key 'family' is missing"
    train = {"dat": {"format": "jsonl", "source": "x"}}
    assert refused(study, adapters={"a": {"model": "tiny", "train": train}}) == (
        "adapters.a.train: unknown key 'dat'; did you mean data?"
    )


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"5": 1}, "the study"),
        ({"models__5": {}}, "models"),
        ({"models__tiny__5": 1}, "models.tiny"),
        ({"datasets__sakura__5": 1}, "datasets.sakura"),
        ({"datasets__sakura__audio": {5: 1}}, "datasets.sakura.audio"),
        ({"experiments__0__5": 1}, "experiments[0]"),
        ({"experiments__0__generation": {5: 1}}, "experiments[0].generation"),
        ({"baseline": {5: 1}}, "baseline"),
    ],
)
def test_a_key_that_is_no_text_is_named(changes, place):
    message = refused(study, **changes)
    assert message.startswith(f"{place}: the key 5 is not text; correct it, or put it in quotes")


# ---------------------------------------------------------------------------- lists of values


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (study, {"datasets__sakura__tracks": ["animal", "gender", "animal"]},
         "datasets.sakura.tracks: 'animal' comes twice; remove one"),
        (study, {"datasets__sakura__hops": ["single", "single"]},
         "datasets.sakura.hops: 'single' comes twice; remove one"),
        (study, {"baseline": ["SF-0-K1", "SF-0-K1"]},
         "baseline: 'SF-0-K1' comes twice; remove one"),
        (trained, {"target_modules": ["q_proj", "v_proj", "q_proj"]},
         "adapters.tuned.train.target_modules: 'q_proj' comes twice; remove one"),
    ],
)  # fmt: skip
def test_a_value_that_comes_twice_is_refused(make, changes, message):
    assert refused(make, **changes) == message


# ------------------------------------------------------------------------------- descriptions


def test_every_key_of_the_schema_is_described():
    parts = study_schema()["$defs"]

    def undescribed(part, where):
        for name, inner in part.get("properties", {}).items():
            # What is one with the description of the part it refers to is said there alone.
            referred = parts[inner["$ref"].rpartition("/")[2]] if "$ref" in inner else {}
            if "description" not in referred | inner:
                yield f"{where}.{name}"
            yield from undescribed(inner, f"{where}.{name}")

    everything = {"": study_schema(), **parts}
    assert [key for where, part in everything.items() for key in undescribed(part, where)] == []


def models_of_settings(model: type[Settings] = Settings) -> Iterator[type[Settings]]:
    """Yield every model of settings that is imported."""
    for inner in model.__subclasses__():
        yield inner
        yield from models_of_settings(inner)


def test_every_key_of_every_model_of_settings_is_described():
    assert [FAMILIES[name] for name in FAMILIES] and [BENCHMARKS[name] for name in BENCHMARKS]
    assert data_formats()
    models = {*models_of_settings()}
    assert len(models) > 20
    # The keys of peft's own file are described by peft.
    for model in models - {LoraKeys}:
        assert model.__doc__
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key}"


# ------------------------------------------------------------------------------------ imports


def test_planning_imports_no_torch():
    code = (
        "import sys; import lorascope.planning.plan;"
        "heavy = {'torch', 'transformers', 'peft', 'pandas', 'numpy', 'scipy'};"
        "print(heavy & set(sys.modules))"
    )
    assert printed(code) == "set()\n"

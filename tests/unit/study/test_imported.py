"""Experiments whose predictions were made elsewhere, as a study may have them."""

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lorascope.errors import UserError
from lorascope.study.baseline import references
from lorascope.study.parsing import parse_study
from lorascope.study.reference import study_reference, study_schema

PREDICTIONS = {"source": "there", "format": "sakura"}
STUDY: dict[str, Any] = {
    "study": "elsewhere",
    "datasets": {
        "sakura": {"benchmark": "sakura", "source": "data"},
        "squad": {"benchmark": "squad", "source": "s"},
    },
    "experiments": [{"id": "E", "dataset": "sakura", "predictions": PREDICTIONS}],
    "baseline": "E",
}
LLAMA = {"llama": {"family": "hf_text", "model": "m"}}


def changed(change: Any = (), **more: Any) -> dict[str, Any]:
    config = copy.deepcopy(STUDY) | more
    config["experiments"][0] |= dict(change)
    return config


def parsed(change: Any = (), **more: Any):
    return parse_study(changed(change, **more), "s.yaml")


def refused(change: Any = (), **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        parsed(change, **more)
    return str(caught.value)


def test_labels_scaling_and_defaults():
    (plain,) = parsed().experiments.values()
    assert plain.is_imported
    assert (plain.model, plain.adapter, plain.mode, plain.scorer) == (
        "E",
        None,
        "generate",
        "choice",
    )
    assert plain.settings.lora_scaling is None
    assert plain.predictions == PREDICTIONS | {"missing": "refuse", "others": "refuse"}
    labels = {"model": "SALMONN 7B", "adapter": "published", "lora_scaling": 4}
    (told,) = parsed(labels).experiments.values()
    assert (told.model, told.adapter, told.settings.lora_scaling) == ("SALMONN 7B", "published", 4)


def test_a_study_is_printed_as_a_file_could_hold_it_and_fits_the_schema():
    study = parsed({"model": "m", "scorer": "choice"})
    again = parse_study(study.resolved(), "s.yaml")
    assert again.experiments == study.experiments
    check = Draft202012Validator(study_schema())
    assert [*check.iter_errors(changed())] == []
    assert [*check.iter_errors(changed({"predictions": {"source": "x", "format": "y"}}))]
    assert "## experiments, predictions of format jsonl" in study_reference()


def test_a_grid_fills_in_id_and_path():
    source = {"source": "runs/s={lora_scaling}/{model}.jsonl", "format": "jsonl"}
    entry = {"id": "E-{lora_scaling}", "model": "m", "predictions": source}
    study = parsed(entry | {"grid": {"lora_scaling": [0, 0.5]}}, baseline="E-0")
    sources = {e.id: e.predictions["source"] for e in study.experiments.values()}
    assert sources == {"E-0": "runs/s=0/m.jsonl", "E-0.5": "runs/s=0.5/m.jsonl"}
    own = {"source": "a{b}", "format": "sakura"}
    said = refused({"predictions": own})
    assert said.startswith("s.yaml: experiments[0].predictions.source: 'a{b}' does not expand")
    (one,) = parsed({"predictions": own | {"source": "a{{b}}"}}).experiments.values()
    assert one.predictions["source"] == "a{b}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 4}, "batch_size: has no meaning for predictions that were made elsewhere"),
        ({"generation": {}}, "experiments[0].generation: has no meaning for predictions"),
        ({"seed": 1}, "experiments[0].seed: has no meaning"),
        ({"runs": 2}, "experiments[0].runs: has no meaning"),
        ({"adaptor": "x"}, "experiments[0]: unknown key 'adaptor'; did you mean adapter?"),
        ({"model": ""}, "experiments[0].model"),
        ({"dataset": "zoo"}, "experiment E: dataset 'zoo' is not defined; known: sakura, squad"),
        ({"mode": "loss"}, "mode: loss does not go with the items of 'sakura'; use generate or"),
        ({"scorer": "f1"}, "scorer 'f1' does not judge what mode generate makes of 'sakura'"),
        ({"lora_scaling": "x"}, "experiments[0].lora_scaling"),
        ({"predictions": "there"}, "experiments[0].predictions: 'there' is not valid here"),
        ({"predictions": None}, "experiments[0].predictions: None is not valid here"),
        ({"predictions": {"format": "sakura"}}, "predictions: key 'source' is missing"),
        ({"predictions": {"source": "x"}}, "predictions: key 'format' is missing"),
        ({"predictions": {**PREDICTIONS, "format": "jsonI"}}, "did you mean jsonl?"),
        ({"predictions": {**PREDICTIONS, "missing": "drop"}}, "experiments[0].predictions.missing"),
        ({"predictions": {**PREDICTIONS, "item": "id"}}, "predictions: unknown key 'item'"),
    ],
)
def test_what_makes_no_sense_is_refused(change, words):
    said = refused(change)
    assert said.startswith("s.yaml: ")
    assert words in said


def test_models_may_be_left_out_only_where_none_answers():
    own = {"id": "A", "model": "llama", "dataset": "squad"}
    assert refused(experiments=[*STUDY["experiments"], own]) == (
        "s.yaml: the study: key 'models' is missing"
    )


def baselines(study) -> dict[str, list[str]]:
    return {run: [*group.experiments] for group in references(study) for run in group.of}


def test_a_label_may_be_that_of_a_model_of_the_study_or_its_own():
    squad = {"dataset": "squad", "predictions": {"source": "x", "format": "jsonl"}}
    entries = [
        {"id": "A", "model": "llama", "dataset": "squad"},
        {"id": "B", "model": "llama", **squad},
        {"id": "C", "model": "GPT", **squad},
        {"id": "D", **squad},
    ]
    by_model = {"llama": "A", "GPT": "C", "D": "D"}
    study = parsed(experiments=entries, models=LLAMA, baseline=by_model)
    assert baselines(study) == {"A": ["A"], "B": ["A"], "C": ["C"], "D": ["D"]}
    said = refused(experiments=entries, models=LLAMA, baseline=by_model | {"GTP": "C"})
    assert "no model is called 'GTP'; did you mean GPT?" in said


def test_own_compares_what_was_made_elsewhere_with_its_own_scaling_0():
    entries = [
        {"id": f"E-{s}", "model": "m", "adapter": "a", "lora_scaling": s, "dataset": "sakura"}
        | {"predictions": {"source": f"s{s}", "format": "sakura"}}
        for s in (0, 4)
    ]
    assert baselines(parsed(experiments=entries, baseline="own")) == {
        "E-0": ["E-0"],
        "E-4": ["E-0"],
    }
    said = refused(experiments=entries[1:], baseline="own")
    assert "no experiment is E-4 without its adapter" in said

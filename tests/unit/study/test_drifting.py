"""The mode drift, and the key that reads every adapted model of a study, as a study says them."""

import pytest
import yaml

from lorascope.errors import UserError
from lorascope.planning.infer import _way
from lorascope.study.parsing import parse_study

STUDY = """
study: example
models:
  text: {family: hf_text, model: weights}
  ears: {family: salmonn, llm: l, whisper: w, beats: b, checkpoint: c}
adapters:
  mine: {model: text, source: adapter}
datasets:
  squad: {benchmark: squad, source: dev.json}
  prose: {benchmark: table, source: prose.txt, text: text, category: prose}
  sakura: {benchmark: sakura, source: data}
experiments:
  - &base {id: BASE, model: text, dataset: squad}
  - {<<: *base, id: "A-{lora_scaling}", adapter: mine, grid: {lora_scaling: [1, 2]}}
  - {<<: *base, id: AGAIN, adapter: mine, lora_scaling: 2, batch_size: 3, table: false}
  - {<<: *base, id: OWN, adapter: mine, generation: {max_new_tokens: 9}, batch_size: 4}
  - {id: HEARD, model: ears, dataset: sakura, lora_scaling: 2, second_per_window: 0.5, table: false}
baseline: BASE
"""


def study(**keys):
    return parse_study(yaml.safe_load(STUDY) | keys, "x.yaml")


def added(**keys):
    plain, found = study(), study(**keys)
    return [e for name, e in found.experiments.items() if name not in plain.experiments]


def refused(**keys) -> str:
    with pytest.raises(UserError) as error:
        study(**keys)
    return str(error.value)


def one(**keys):
    content = yaml.safe_load(STUDY)
    content["experiments"].append(
        {"id": "D", "model": "text", "mode": "drift", "table": False} | keys
    )
    return parse_study(content, "x.yaml").experiments["D"]


def test_every_adapted_model_is_read_once():
    found = {e.id: e for e in added(drift={"dataset": "prose"})}
    assert [*found] == ["BASE-drift", "A-1-drift", "A-2-drift", "OWN-drift"]
    keys = [(e.adapter, e.settings.lora_scaling) for e in found.values()]
    assert keys == [(None, None), ("mine", 1), ("mine", 2), ("mine", None)]
    for e in found.values():
        assert (e.mode, e.dataset, e.scorer, e.settings.table) == (
            "drift",
            "prose",
            "divergence",
            False,
        )
        assert e.asked.batch_size is None
        assert e.asked.generation.max_new_tokens == 200
    assert found["OWN-drift"].asked.drift.over == "both"


def test_several_data_are_in_the_names_and_clips_are_for_models_that_hear():
    found = added(drift={"dataset": ["prose", "sakura"], "over": "answer"})
    assert [e.id for e in found[-2:]] == ["OWN-drift-prose", "HEARD-drift-sakura"]
    assert found[-1].settings.second_per_window == 0.5
    assert {e.asked.drift.over for e in found} == {"answer"}


def test_a_study_as_it_is_printed_means_the_same():
    whole = study(drift={"dataset": "prose"})
    again = parse_study(whole.resolved(), "x.yaml")
    assert again.resolved() == whole.resolved()


def test_what_cannot_be_read_is_refused():
    assert "drift.dataset: dataset 'novel' is not defined; known: prose" in refused(
        drift={"dataset": "novel"}
    )
    without = [e for e in yaml.safe_load(STUDY)["experiments"] if e["model"] == "text"]
    told = refused(drift={"dataset": "sakura"}, experiments=without)
    assert "drift.dataset: no model of the study can be read on 'sakura'" in told
    taken = [{**without[0], "id": "BASE"}, {**without[0], "id": "BASE-drift", "generation": {}}]
    told = refused(drift={"dataset": "prose"}, experiments=taken)
    assert "BASE-drift is the ID of an experiment, too" in told


def test_the_mode_goes_with_questions_options_and_texts():
    assert one(dataset="squad").scorer == one(dataset="prose").scorer == "divergence"
    assert one(dataset="squad", drift={"over": "prompt"}).asked.drift.over == "prompt"
    with pytest.raises(UserError, match="mode is drift"):
        one(dataset="prose", runs=2, generation={"do_sample": True})
    with pytest.raises(UserError, match="'perplexity' does not judge what mode drift makes"):
        one(dataset="prose", scorer="perplexity")
    with pytest.raises(UserError, match=r"drift\.over"):
        one(dataset="squad", drift={"over": "half"})


def test_predictions_from_elsewhere_have_no_base():
    keys = {"predictions": {"format": "jsonl", "source": "p.jsonl"}, "dataset": "prose"}
    with pytest.raises(UserError, match="mode: drift is of two models that are run here"):
        one(model="gpt", **keys)


def test_its_settings_stand_in_its_fingerprint_alone():
    found = study(drift={"dataset": "prose"}).experiments
    way = _way(found["A-1-drift"].asked)
    loss = {"window": None, "context": 1}
    assert way == {"mode": "drift", "loss": loss, "drift": {"over": "both"}}
    assert _way(found["A-1"].asked).keys() == {"mode", "generation", "seed"}

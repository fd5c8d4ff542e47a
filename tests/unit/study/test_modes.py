"""How an experiment is answered and scored, as a study may say it."""

import pytest
import yaml

from lorascope.errors import UserError
from lorascope.study.parsing import parse_study

STUDY = """
study: example
models:
  text: {family: hf_text, model: weights}
datasets:
  squad: {benchmark: squad, source: dev.json}
experiments:
  - {id: A, model: text, dataset: squad, lora_scaling: 0}
baseline: A
"""
AUDIO = """
study: example
models:
  audio: {family: salmonn, llm: l, whisper: w, beats: b, checkpoint: c}
datasets:
  sakura: {benchmark: sakura, source: data}
experiments:
  - {id: A, model: audio, dataset: sakura}
baseline: A
"""


def experiment(study=STUDY, **keys):
    """Return the one experiment of a study with further keys."""
    content = yaml.safe_load(study)
    content["experiments"][0] |= keys
    (found,) = parse_study(content, "x.yaml").experiments.values()
    return found


def refused(study=STUDY, **keys) -> str:
    with pytest.raises(UserError) as error:
        experiment(study, **keys)
    return str(error.value)


def test_an_experiment_is_answered_and_scored_as_its_dataset_asks():
    assert (experiment().mode, experiment().scorer) == ("generate", "official")
    assert (experiment(AUDIO).mode, experiment(AUDIO).scorer) == ("generate", "choice")


def test_another_mode_has_another_scorer():
    assert (experiment(mode="loss").scorer, experiment(AUDIO, mode="choose").scorer) == (
        "perplexity",
        "likelihood",
    )


def test_a_mode_that_the_items_do_not_have_is_refused():
    assert "mode: choose does not go with the items of 'squad'" in refused(mode="choose")
    assert "use generate or loss" in refused(mode="choose")
    assert "mode: loss does not go with the items of 'sakura'" in refused(AUDIO, mode="loss")


def test_a_scorer_of_another_mode_is_refused():
    told = refused(mode="loss", scorer="official")
    assert "'official'" in told
    assert "perplexity" in told


def test_runs_that_would_read_the_same_likelihoods_are_refused():
    told = refused(mode="loss", runs=2, generation={"do_sample": True})
    assert "as mode is loss" in told


def test_a_scorer_has_keys_of_its_own():
    found = experiment(scorer={"name": "number", "tolerance": 0.5})
    assert (found.scorer, found.scoring["tolerance"]) == ("number", 0.5)
    assert experiment(scorer="number").scoring["tolerance"] == 0
    assert "did you mean tolerance?" in refused(scorer={"name": "number", "tolerence": 1})
    assert "did you mean official?" in refused(scorer="oficial")


def test_a_context_leaves_room_in_its_window():
    assert experiment(mode="loss", loss={"window": 8, "context": 7}).settings.loss.context == 7
    assert "leaves no room" in refused(mode="loss", loss={"window": 8, "context": 8})


def test_stop_strings_are_texts_each_of_them_once():
    assert experiment(generation={"stop": ["\n", "Q:"]}).settings.generation.stop == ["\n", "Q:"]
    assert "comes twice" in refused(generation={"stop": ["a", "a"]})
    assert "must not be empty" in refused(generation={"stop": [""]})

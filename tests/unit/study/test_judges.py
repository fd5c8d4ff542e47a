"""Judges in a study: what may be written, and the message for what may not."""

import pytest

from lorascope.errors import UserError
from lorascope.study.judge_checks import rival, used_judges
from lorascope.study.parsing import parse_study
from tests.support.judged import study

SERVER = {"base_url": "http://localhost:8000/v1", "model": "m"}
THEN = {"name": "rules_then_judge", "judge": "big"}
PREFERS = {"name": "preference", "judge": "big"}


def parsed(made):
    return parse_study(made, "s.yaml")


def refused(made):
    with pytest.raises(UserError) as caught:
        parsed(made)
    return str(caught.value)


def judge(**keys):
    return {"judges": {"big": keys}}


def test_a_judge_has_its_defaults_and_scorers_name_it():
    found = parsed(study())
    big = found.judges["big"]
    assert (big.attempts, big.prompt, big.temperature, big.server.concurrency) == (3, None, 0, 8)
    assert used_judges(found) == ["big"]
    assert found.experiments["A"].settings.scorer == {
        "name": "judge",
        "judge": "big",
        "second": None,
    }


def test_rules_are_the_first_that_decide_with_their_defaults():
    assert parsed(study(THEN)).experiments["A"].rules[0] == "exact"
    named = parsed(study(THEN | {"rules": {"name": "number", "tolerance": 1}})).experiments["A"]
    assert named.rules[0] == "number" and named.rules[1]["tolerance"] == 1
    assert "extract" in named.rules[1]


def test_a_preference_is_against_the_baseline_or_who_is_named():
    found = parsed(study(PREFERS))
    assert rival(found, found.experiments["B"]) == "A"
    found = parsed(study(PREFERS | {"against": "B"}))
    assert rival(found, found.experiments["A"]) == "B"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (study(**judge()), "judges.big: give either server or model"),
        (study(**judge(server=SERVER, model="llama")), "judges.big: give either server or model"),
        (study(**judge(server=SERVER, adapter="x")), "adapter: belongs to a model of the study"),
        (study(**judge(model="other")), "judges.big.model: 'other' is not defined; known: llama"),
        (study(**judge(model="llama", lora_scaling=2)), "touches no layer; name an adapter"),
        (study(**judge(model="llama", adapter="x")), "judges.big.adapter: 'x' is not defined"),
        (study(**judge(server=SERVER, prompt="fair")), "judges.big.prompt: 'fair' is not one of"),
        (study(**judge(server=SERVER, prompt=3)), "judges.big.prompt: 3 is not valid here"),
        (study({"judge": "gib"}), "scorer.judge: judge 'gib' is not defined; known: big"),
        (study({"judge": "big", "second": "big"}), "scorer.second: 'big' is the first judge, too"),
        (study(judge={"prompt": "preference"}), "judges.big.prompt is preference"),
        (study(PREFERS, {"prompt": "sakura"}), "judges.big.prompt is sakura"),
        (study(THEN | {"rules": "official"}), "scorer.rules: official has no verdict of right or"),
        (study(THEN | {"rules": "judge"}), "judge needs keys of its own"),
        (study(THEN | {"rules": {"judge": "big"}}), "scorer.rules: judge has no verdict of right"),
        (study(PREFERS | {"against": "C"}), "scorer.against: no experiment has the ID 'C'"),
        (study(PREFERS, baseline={"zoo-win": 50}), "no experiment is the baseline of A"),
    ],
)
def test_what_no_judge_can_do_is_refused(made, message):
    said = refused(made)
    assert said.startswith("s.yaml: ") and message in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "server",
    [
        {"api_key": "sk-secret-123456"},
        {"api_key_env": "sk-secret-123456"},
        {"base_url": "http://me:sk-secret-123456@host/v1"},
        {"extra": {"api_key": "sk-secret-123456"}},
        {"extra": {"Authorization": "Bearer sk-secret-123456"}},
    ],
)
def test_a_key_in_a_study_is_refused_and_shown_nowhere(server):
    said = refused(study(**judge(server=SERVER | server)))
    assert "judges.big.server" in said and "secret" not in said


def test_an_audio_model_is_no_judge():
    made = study(**judge(model="tiny"))
    files = {"llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}
    made["models"] = made["models"] | {"tiny": {"family": "salmonn", **files}}
    assert "answers no questions of text" in refused(made)


def test_keys_that_change_no_score_may_differ_between_rows_of_one_category():
    made = study(THEN)
    made["experiments"][1]["scorer"] = THEN | {"agreement": 50}
    assert parsed(made)
    made["experiments"][1]["scorer"] = THEN | {"rules": "number"}
    assert "give the dataset of one a category of its own" in refused(made)

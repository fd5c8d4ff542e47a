"""Searches of a study: how many parts before each decision, who always goes on, what is refused."""

import pytest

from lorascope.errors import UserError
from lorascope.study.parsing import parse_study, read_study
from lorascope.study.searches import entrants
from tests.support.basics import ROOT

TEXT = "studies/tiny-llama-forgetting.yaml"
NEW = "LORA-{lora_scaling}-NEW"


def parsed(search, file="config.yaml", **more):
    return parse_study({**read_study(ROOT / file), "search": search, **more}, "study.yaml")


@pytest.mark.parametrize(
    ("keys", "parts", "rungs"),
    [
        ({}, 8, [1, 2, 4]),
        ({"reduce": 4}, 16, [1, 4]),
        ({}, 6, [1, 2, 3]),
        ({}, 64, [8, 16, 32]),
        ({"among": ["SKR-LoRA-SF-3-B64", "SKR-LoRA-SF-4-B64"]}, 8, [4]),
    ],
)
def test_the_parts_before_each_decision_grow_until_all_but_one_could_be_dropped(keys, parts, rungs):
    (one,) = entrants(parsed({"among": "SKR-*", **keys}))
    assert one.rungs(parts) == rungs


def test_what_others_are_compared_with_always_goes_on():
    (one,) = entrants(parsed({"among": "SKR-LoRA-SF-{lora_scaling}-B64"}))
    assert one.always == {"lora_scaling 4"}
    assert len(one.candidates) == 6
    search = {"among": "LORA-{lora_scaling}-*", "by": "new-em"}
    keep = {"of": "LORA-1-ORIGINAL", "metric": "original-em"}
    choose = {"among": "LORA-{lora_scaling}-*", "by": "new-em", "keep": keep}
    (one,) = entrants(parsed(search, TEXT, choose=choose))
    assert one.always == {"lora_scaling 1"}


def _imported(study):
    experiment = {
        "id": "SKR-X",
        "dataset": "mini-sakura",
        "predictions": {"format": "jsonl", "source": "x.jsonl"},
    }
    return {"experiments": [*study["experiments"], experiment]}


def _half(study):
    model = {**study["models"]["tiny-salmonn"], "dtype": "bfloat16"}
    other = {**study["experiments"][1], "batch_size": 8}
    return {
        "models": {"tiny-salmonn": model},
        "experiments": [study["experiments"][0], other],
    }


@pytest.mark.parametrize(
    ("search", "changed", "said"),
    [
        ({"among": "X-*"}, None, "search[0].among: no experiment is meant by 'X-*'"),
        ({"among": "SKR-LoRA-SF-3-B64"}, None, "search[0].among: means SKR-LoRA-SF-3-B64 alone"),
        ({"among": "SKR-*", "by": "x"}, None, "search[0].by: SKR-LoRA-SF-0-B64"),
        ({"among": "SKR-*", "parts": 1}, None, "search[0].parts: 1 is not valid here"),
        ([{"among": "SKR-*"}] * 2, None, "is a candidate of search[0], too"),
        ({"among": "SKR-*"}, _imported, "SKR-X: its predictions were made elsewhere"),
        ({"among": "SKR-*"}, _half, "differ in batch_size, so that their parts would have other"),
    ],
)
def test_what_cannot_be_searched_is_refused_while_planning(search, changed, said):
    more = changed(read_study(ROOT / "config.yaml")) if changed else {}
    with pytest.raises(UserError) as error:
        parsed(search, **more)
    assert said in str(error.value)
    assert str(error.value).startswith("study.yaml: search[")

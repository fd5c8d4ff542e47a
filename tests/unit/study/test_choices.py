"""Choices of a study: which experiments are candidates, and what is refused while planning."""

import pytest

from lorascope.errors import UserError
from lorascope.study.choices import candidates
from lorascope.study.parsing import parse_study, read_study
from tests.support.basics import ROOT

ALL = "LORA-{lora_scaling}-*"
KEPT = {"of": "BASE-ORIGINAL", "metric": "original-em"}


def parsed(choose):
    study = read_study(ROOT / "studies/tiny-llama-forgetting.yaml")
    return parse_study({**study, "choose": choose}, "study.yaml")


def named(choose):
    study = parsed(choose)
    among = study.choose[0].among
    found = candidates(among, study.experiments.values(), "study.yaml: choose[0].among")
    return {one.name: set(one.experiments) for one in found}


def test_experiments_of_one_scaling_are_one_candidate():
    both = [f"LORA-{{lora_scaling}}-{name}" for name in ("NEW", "ORIGINAL")]
    for among in (ALL, both):
        found = named({"among": among, "by": "new-em", "keep": KEPT})
        assert list(found) == [f"lora_scaling {s}" for s in ("0", "0.5", "1", "1.5", "2", "4")]
        assert found["lora_scaling 1.5"] == {"LORA-1.5-NEW", "LORA-1.5-ORIGINAL"}


def test_ids_and_patterns_are_candidates_by_themselves():
    found = named({"among": ["BASE-NEW", "LORA-?-NEW"], "by": "new-f1"})
    assert found == {i: {i} for i in ("BASE-NEW", "LORA-0-NEW", "LORA-1-NEW", "LORA-2-NEW",
                                      "LORA-4-NEW")}  # fmt: skip


def test_a_choice_can_be_written_alone_and_has_defaults():
    (choice,) = parsed({"among": ALL, "by": "new-em"}).choose
    assert (choice.parts, choice.keep) == (5, [])
    assert parsed([{"among": ALL, "by": "new-em"}] * 2).resolved()["choose"][1]["by"] == "new-em"


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        ({"among": "LORA-{scaling}-NEW"}, "choose[0].among: no experiment is meant by"),
        ({"among": "LORA-{0}-NEW"}, "choose[0].among: no experiment is meant by"),
        ({"among": "LORA-{seed.real}-NEW"}, "choose[0].among: no experiment is meant by"),
        ({"among": "LORA-1-NEW"}, "choose[0].among: means LORA-1-NEW alone"),
        ({"among": ["LORA-{lora_scaling}-NEW", "LORA-{lora_scaling}-{dataset}"]}, "the same keys"),
        ({"among": ALL}, "by: new-em, new-f1, original-em, original-f1 are several metrics of the"),
        ({"among": "LORA-{lora_scaling}-NEW", "by": "x"}, "has no category 'x', but new-em"),
        ({"among": ["LORA-{lora_scaling}-NEW"], "by": "new-em", "keep": KEPT},
         "choose[0].keep[0].metric: lora_scaling 0 (LORA-0-NEW) has no category 'original-em'"),
        ({"among": ALL, "by": "new-em", "keep": {**KEPT, "of": "B"}}, "keep[0].of: no experiment"),
        ({"among": ALL, "by": "new-em", "keep": {**KEPT, "metric": "f"}}, "BASE-ORIGINAL has no"),
        ({"among": ALL, "by": "new-em", "parts": 1}, "choose[0].parts: 1 is not valid here"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_while_planning(choose, said):
    with pytest.raises(UserError) as error:
        parsed(choose)
    assert said in str(error.value)
    assert str(error.value).startswith("study.yaml: choose[0]")

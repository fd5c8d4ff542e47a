"""Adapters made of others, as a study has them: what they expand to, and what is refused."""

from typing import Any

import pytest

from lorascope.errors import UserError
from lorascope.study.adapters import Derivation
from lorascope.study.parsing import parse_study
from lorascope.study.study import Study

SALMONN = {"family": "salmonn", "llm": "m", "whisper": "m", "beats": "m.pt", "checkpoint": "c.pth"}


def study(adapters: dict[str, Any], *experiments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {"model": "llama", "dataset": "squad"}
    return {
        "study": "nulls",
        "models": {
            "llama": {"family": "hf_text", "model": "m"},
            "other": {"family": "hf_text", "model": "n"},
            "tiny": SALMONN,
        },
        "adapters": {
            "mine": {"model": "llama", "source": "a"},
            "theirs": {"model": "other", "source": "b"},
            **adapters,
        },
        "datasets": {"squad": {"benchmark": "squad", "source": "x", "prompt": "{question}"}},
        "experiments": [{"id": "BASE", **base}, *({**base, **one} for one in experiments)],
        "baseline": "BASE",
        **changes,
    }


def parsed(*given: Any, **changes: Any) -> Study:
    return parse_study(study(*given, **changes), "study.yaml")


def test_draws_are_adapters_and_experiments_of_their_own() -> None:
    found = parsed(
        {"chance": {"null_of": "mine", "draws": 3, "seed": 5}},
        {
            "id": "{adapter}-{lora_scaling}",
            "grid": {"adapter": ["mine", "chance"], "lora_scaling": [1, 2]},
        },
    )
    derived = {n: a.derived for n, a in found.adapters.items() if a.derived}
    assert derived == {
        f"chance-{n}": Derivation("random", {"mine": 1.0}, 5 + n, n) for n in range(3)
    }
    assert {found.adapters[name].model for name in derived} == {"llama"}
    ids = ["mine-1", "mine-2", *(f"chance-{n}-{s}" for s in (1, 2) for n in range(3))]
    assert [*found.experiments] == ["BASE", *ids]
    shown = [name for name, one in found.experiments.items() if one.settings.table]
    assert shown == ["BASE", "mine-1", "mine-2"]


def test_a_study_with_all_defaults_is_the_same_study() -> None:
    found = parsed(
        {
            "chance": {"null_of": "mine", "draws": 2},
            "moved": {"null_of": "mine", "kind": "shuffled", "seed": 4},
            "turned": {"null_of": "mine", "kind": "sign"},
            "both": {"sum_of": {"mine": 1, "moved": -0.5}},
        },
        {"id": "{adapter}", "adapter": "chance", "table": True},
    )
    whole = found.resolved()
    again = parse_study(whole, "study.yaml")
    assert again.resolved() == whole
    assert again.adapters["moved"] == found.adapters["moved"]
    assert whole["adapters"]["chance-1"] == {"null_of": "mine", "kind": "random", "seed": 1}
    assert whole["adapters"]["both"] == {"sum_of": {"mine": 1, "moved": -0.5}}
    assert found.experiments["chance-0"].settings.table


def test_a_models_name_stands_for_the_adapter_that_it_brings_along() -> None:
    found = parsed({"null": {"null_of": "tiny", "kind": "sign"}})
    assert found.adapters["null"].model == "tiny"
    # An adapter of that name comes first.
    found = parsed({"tiny": {"null_of": "mine"}, "null": {"null_of": "tiny", "kind": "sign"}})
    assert found.adapters["null"].model == "llama"


NULL = {"null_of": "mine"}


@pytest.mark.parametrize(
    ("adapters", "message"),
    [
        ({"n": {"null_of": "llama"}},
         r"n: adapter 'llama' is not defined; known: mine, n, theirs, tiny$"),
        ({"n": {"null_of": "n"}}, r"n: made of itself: n -> n; let one of them be made of others$"),
        ({"a": {"sum_of": {"mine": 1, "b": 1}}, "b": {"null_of": "c"}, "c": {"sum_of": {"b": 1}}},
         r"b: made of itself: b -> c -> b;"),
        ({"n": {"sum_of": {"mine": 1, "theirs": 2}}},
         r"n\.sum_of: adapters for several models: mine for llama, theirs for other$"),
        ({"n": {**NULL, "draws": 2}, "m": {"sum_of": {"n": 1}}},
         r"m: 'n' stands for several draws; name one of them, such as n-0$"),
        ({"n": {**NULL, "draws": 2}, "n-1": {"model": "llama", "source": "a"}},
         r"n-1: the name of a draw of n; choose another$"),
        ({"n": {**NULL, "kind": "sign", "draws": 2}},
         r"n\.draws: there is one adapter of the other sign; leave draws out$"),
        ({"n": {**NULL, "source": "a"}},
         r"n\.source: it is made of others \(null_of\); leave source"),
        ({"n": {**NULL, "sum_of": {"mine": 1}}}, r"n: give either null_of or sum_of$"),
        ({"n": {"sum_of": {"mine": 1}, "seed": 1}}, r"n\.seed: only a null has it; add null_of"),
        ({"n": {"model": "llama", "source": "a", "draws": 1}}, r"n\.draws: only a null has it"),
        ({"n": {**NULL, "model": "other"}},
         r"n\.model: 'other', but it is made of adapters for the model 'llama'; leave model out$"),
        ({"n": {"source": "a"}}, r"n: key 'model' is missing$"),
        ({"n": {"model": "llama"}}, r"n: give either source or train, or null_of or sum_of$"),
        ({"n": {**NULL, "kind": "zero"}}, r"n\.kind: 'zero' is not one of random, shuffled, sign$"),
        ({"n": {**NULL, "draws": 0}}, r"n\.draws: 0 is not valid here; it has to be at least 1$"),
        ({"n": {"sum_of": {}}}, r"n\.sum_of: must not be empty$"),
    ],
)  # fmt: skip
def test_what_no_adapter_can_be_made_of(adapters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=r"^study\.yaml: adapters\." + message):
        parsed(adapters)


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"id": "X", "adapter": "n"}, r"the ID 'X' stands for two .*\{adapter\} where that stands"),
        (
            {"id": "X", "adapter": "m"},
            r"adapter 'm' is not defined; known: alien, mine, n-0, n-1,",
        ),
        ({"id": "X", "adapter": "alien"}, r"adapter 'alien' is for the model 'other', not 'llama'"),
    ],
)
def test_experiments_that_name_nulls(experiment: dict[str, Any], message: str) -> None:
    adapters = {"n": {**NULL, "draws": 2}, "alien": {"null_of": "theirs"}}
    with pytest.raises(UserError, match=message):
        parsed(adapters, experiment)

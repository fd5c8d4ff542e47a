"""Sums of adapters under weights of experiments: IDs, what they come to, and what is refused."""

from typing import Any

import pytest

from lorascope.errors import UserError
from lorascope.study.parsing import parse_study
from lorascope.study.study import Study

ADAPTERS: dict[str, Any] = {
    "a": {"model": "m", "source": "a"},
    "b": {"model": "m", "source": "b"},
    "mix": {"sum_of": {"a": 1, "b": 0.5}},
}
GRID = {"weights.a": [0, 0.5, 1], "weights.b": [0, -0.5, 1]}
OWN = {"family": "salmonn", "llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}


def study(*experiments: dict[str, Any], adapters: Any = ADAPTERS, **keys: Any) -> Study:
    """Return a study of one model and these experiments."""
    common = {"model": "m", "dataset": "d"}
    squad = {"benchmark": "squad", "source": "x.json"}
    config = {
        "study": "example",
        "models": {"m": {"family": "hf_text", "model": "somewhere"}},
        "adapters": adapters,
        "datasets": {"d": squad},
        "experiments": [{**common, "id": "BASE"}, *({**common, **one} for one in experiments)],
        "baseline": "BASE",
        **keys,
    }
    return parse_study(config, "study.yaml")


def of_salmonn(*experiments: dict[str, Any]) -> Study:
    adapters = {"a": {"model": "m", "source": "a"}, "mix": {"sum_of": {"m": 1, "a": 0.5}}}
    data = {"benchmark": "sakura", "source": "x"}
    return study(*experiments, adapters=adapters, models={"m": OWN}, datasets={"d": data})


def used(parsed: Study) -> dict[str, tuple[str | None, Any]]:
    """Return ID -> adapter and scaling that an experiment is answered with."""
    found = parsed.experiments.items()
    return {name: (one.adapter, one.lora_scaling) for name, one in found if name != "BASE"}


def test_a_grid_over_weights_names_its_experiments_by_them() -> None:
    parsed = study({"id": "MIX-{weights.a}-{weights.b:0>4}", "adapter": "mix", "grid": GRID})
    assert list(parsed.experiments)[1:4] == ["MIX-0-0000", "MIX-0--0.5", "MIX-0-0001"]
    assert parsed.experiments["MIX-0.5--0.5"].asked.weights == {"a": 0.5, "b": -0.5}


def test_what_the_weights_come_to() -> None:
    found = used(
        study({"id": "{weights.a}:{weights.b}".replace(":", "_"), "adapter": "mix", "grid": GRID})
    )
    assert found == {
        "0_0": (None, None),  # the base model
        "0_-0.5": ("mix-b-0.5", None),
        "0_1": ("b", None),  # the adapter itself, at its own scaling
        "0.5_0": ("mix-a0.5", None),
        "0.5_-0.5": ("mix-a0.5-b-0.5", None),
        "0.5_1": ("mix-a0.5-b1", None),
        "1_0": ("a", None),
        "1_-0.5": ("mix-a1-b-0.5", None),
        "1_1": ("mix-a1-b1", None),
    }


def test_the_sums_are_adapters_of_their_own() -> None:
    parsed = study({"id": "X-{weights.a}", "adapter": "mix", "grid": {"weights.a": [0.25, 1, 2]}})
    assert parsed.experiments["X-1"].adapter == "mix"  # as it stands in the study
    derived = {name: one.derived for name, one in parsed.adapters.items() if one.derived}
    assert derived["mix"] and not derived["mix"].of
    assert {name: (one.of, one.parts) for name, one in derived.items() if one and one.of} == {
        "mix-a0.25-b0.5": ("mix", {"a": 0.25, "b": 0.5}),
        "mix-a2-b0.5": ("mix", {"a": 2, "b": 0.5}),
    }
    # A file that holds the study says them by the weights alone.
    assert list(parsed.resolved()["adapters"]) == ["a", "b", "mix"]
    assert parsed.resolved()["experiments"][1]["weights"] == {"a": 0.25, "b": 0.5}


def test_a_scaling_is_that_of_the_whole_sum() -> None:
    weights = {"grid": {"weights": [{"a": 1, "b": 0}, {"a": 2, "b": 0}, {"a": 0, "b": 0}]}}
    found = used(study({"id": "{weights.a}", "adapter": "mix", "lora_scaling": 3, **weights}))
    # 3 x (1 x s A), not s = 3: the sum's own scaling is 1. The base has none.
    assert found == {"1": ("mix-a1", 3), "2": ("mix-a2", 3), "0": (None, None)}


def test_whole_mappings_make_a_simplex() -> None:
    three = {**ADAPTERS, "c": {"model": "m", "source": "c"}}
    three["mix"] = {"sum_of": {"a": 1, "b": 1, "c": 1}}
    grid = {"weights": [{"a": 1, "b": 0, "c": 0}, {"a": 0.5, "b": 0.25, "c": 0.25}]}
    parsed = study(
        {"id": "{weights.a}-{weights.b}-{weights.c}", "adapter": "mix", "grid": grid},
        adapters=three,
    )
    assert used(parsed) == {
        "1-0-0": ("a", None),
        "0.5-0.25-0.25": ("mix-a0.5-b0.25-c0.25", None),
    }


def test_a_model_s_own_adapter_is_a_part() -> None:
    grid = {"weights.m": [0, 1], "weights.a": [0, 1]}
    found = used(of_salmonn({"id": "{weights.m}-{weights.a}", "adapter": "mix", "grid": grid}))
    assert found == {
        "0-0": (None, 0.0),  # not the checkpoint's own at its own scaling
        "0-1": ("a", None),
        "1-0": (None, None),
        "1-1": ("mix-m1-a1", None),
    }


def test_a_sum_of_a_sum() -> None:
    adapters = {**ADAPTERS, "more": {"sum_of": {"mix": 1, "a": -1}}}
    grid = {"weights.a": [0, 2]}
    found = used(study({"id": "X-{weights.a}", "adapter": "more", "grid": grid}, adapters=adapters))
    assert found == {"X-0": ("mix", None), "X-2": ("more-mix1-a2", None)}


@pytest.mark.parametrize("weight", [1e-7, 0.1234567, 9e8])
def test_names_tell_weights_apart_and_are_names(weight: float) -> None:
    more = {"weights": {"a": weight}}
    parsed = study(
        {"id": "X", "adapter": "mix", **more},
        {"id": "Y", "adapter": "mix", "weights": {"a": weight * (1 + 1e-8)}},
    )
    one, other = (parsed.experiments[name].adapter for name in "XY")
    assert one != other
    for name in (one, other):
        assert name and set(name) <= {*"abcdefghijklmnopqrstuvwxyz0123456789.-"}


def test_a_name_that_the_study_has_is_not_taken() -> None:
    adapters = {**ADAPTERS, "mix-a2-b0.5": {"model": "m", "source": "a"}}
    parsed = study({"id": "X", "adapter": "mix", "weights": {"a": 2}}, adapters=adapters)
    assert parsed.adapters["mix-a2-b0.5"].source == "a"
    name = parsed.experiments["X"].adapter
    assert name and parsed.adapters[name].derived


def test_nothing_of_a_sum_is_a_base_where_there_is_no_other() -> None:
    grid = {"weights.a": [0, 1], "weights.b": [0, 1]}
    mix = {"id": "{weights.a}-{weights.b}", "adapter": "mix", "grid": grid}
    parsed = study(mix, baseline="own")
    assert [one.experiments for one in parsed.references] == [("BASE",)]
    alone = study(
        {**mix, "model": "n"},
        models={n: {"family": "hf_text", "model": n} for n in "mn"},
        adapters={k: {**v, "model": "n"} if "source" in v else v for k, v in ADAPTERS.items()},
        baseline="own",
    )
    assert [one.experiments for one in alone.references] == [("BASE",), ("0-0",)]


def test_settings_without_weights_look_as_ever() -> None:
    parsed = study({"id": "X", "adapter": "a"})
    assert "weights" not in parsed.experiments["X"].settings.model_dump()


@pytest.mark.parametrize(
    "own, said",
    [
        ({"adapter": "a", "weights": {"a": 1}},
         "experiments[1].weights: adapter 'a' is no sum of others; name one with sum_of"),
        ({"weights": {"a": 1}},
         "experiments[1].weights: there is no adapter; name one with sum_of, or leave"),
        ({"adapter": "mix", "weights": {"c": 1}},
         "experiments[1].weights: 'mix' has no part 'c'; its parts: a, b"),
        ({"adapter": "mix", "grid": {"weights.c": [1]}},
         "experiments[1].weights: 'mix' has no part 'c'; its parts: a, b"),
        ({"adapter": "mix", "weights": {"a": 1e10}},
         "experiments[1].weights.a: 10000000000 is not valid here; it has to be at most"),
        ({"adapter": "mix", "weights": {"a": 1}, "grid": {"weights.a": [1]}},
         "experiments[1].grid: 'weights.a': given by the experiment itself, too; remove one"),
        ({"id": "X-{weights.c}", "adapter": "mix"}, "'weights.c' is no name"),
        ({"adapter": "mixed", "weights": {"a": 1}},
         "weights: adapter 'mixed' is not defined; known: a, b, mix"),
    ],
)  # fmt: skip
def test_weights_of_nothing_are_refused(own: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        study({"id": "X", **own})
    assert said in str(refused.value)


def test_whether_a_part_has_a_bridge_has_to_be_seen() -> None:
    adapters = {
        "far": {"model": "m", "source": {"hub": "o/n"}},
        "mix": {"sum_of": {"m": 1, "far": 1}},
    }
    data = {"d": {"benchmark": "sakura", "source": "x"}}
    with pytest.raises(
        UserError, match=r"adapters\.far\.source: whether the adapter brings bridge"
    ):
        study({"id": "X", "adapter": "mix"}, adapters=adapters, models={"m": OWN}, datasets=data)
    assert (
        study(
            {"id": "X", "adapter": "mix", "weights": {"far": 0}},
            adapters=adapters,
            models={"m": OWN},
            datasets=data,
        )
        .experiments["X"]
        .adapter
        is None
    )

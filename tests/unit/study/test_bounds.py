"""Every number has a bound, every name a length, and a message names the one that is broken."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lorascope.errors import UserError, shown
from lorascope.planning.plan import load_plan
from lorascope.study.reference import study_schema
from tests.unit.study.test_parsing import _plain, refused, study, trained

BOUND = "is not valid here; it has to be"
SAMPLED = {"generation": {"do_sample": True}}


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (study, {"shards": 5_000_000}, f"shards: 5000000 {BOUND} at most 10000"),
        (study, {"limit": 10**9}, f"limit: 1000000000 {BOUND} at most 10000000"),
        (study, {"experiments__0__runs": 10**6},
         f"experiments[0].runs: 1000000 {BOUND} at most 1000"),
        (study, {"datasets__sakura__encode_jobs": 10**6},
         f"datasets.sakura.encode_jobs: 1000000 {BOUND} at most 10000"),
        (study, {"datasets__sakura__audio": {"target_len": 1e308}},
         f"datasets.sakura.audio.target_len: 1e+308 {BOUND} at most 3600"),
        (study, {"experiments__0": _plain(lora_scaling=1e39), "baseline": "A"},
         f"experiments[0].lora_scaling: 1e+39 {BOUND} at most 1e+38"),
        (study, {"experiments__0": _plain(lora_scaling=-1e39), "baseline": "A"},
         f"experiments[0].lora_scaling: -1e+39 {BOUND} at least -1e+38"),
        (study, {"experiments__0": _plain(generation={"temperature": 1e-300})},
         f"experiments[0].generation.temperature: 1e-300 {BOUND} at least 0.001"),
        (study, {"experiments__0__seed": 2**64},
         f"experiments[0].seed: {2**64} {BOUND} at most {2**53}"),
        (study, {"experiments__0__second_stride": 1e-9},
         f"experiments[0].second_stride: 1e-09 {BOUND} at least 0.01"),
        (trained, {"seed": 2**32},
         f"adapters.tuned.train.seed: {2**32} {BOUND} at most {2**32 - 1}"),
        (trained, {"learning_rate": 1e300},
         f"adapters.tuned.train.learning_rate: 1e+300 {BOUND} at most 1000000000"),
    ],
)  # fmt: skip
def test_a_number_beyond_its_bound_names_the_bound(make, changes, message):
    assert refused(make, **changes) == message


@pytest.mark.parametrize(
    "value",
    [True, False, "nan", "inf", 10**400, 16**5000, [1], "1" * 50_000 + "x"],
    ids=["true", "false", "nan", "inf", "large", "larger", "list", "long"],
)
def test_what_is_no_number_is_said_on_a_readable_line(value):
    for changes in ({"shards": value}, {"experiments__0": _plain(lora_scaling=value)}):
        message = refused(study, **changes)
        assert "is not valid here; " in message
        assert len(message) < 250


def unbounded(part: Any, where: str = "") -> Iterator[str]:
    """Yield the places of a schema where a number has no bound on one of its sides."""
    if isinstance(part, dict):
        sides = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
        is_number = part.get("type") in ("integer", "number")
        if is_number and not all(any(name in part for name in side) for side in sides):
            yield where
        for key, inner in part.items():
            yield from unbounded(inner, f"{where}.{key}")
    elif isinstance(part, list):
        for inner in part:
            yield from unbounded(inner, where)


def test_the_schema_shows_two_bounds_of_every_number():
    assert [where for where in unbounded(study_schema()) if "parrot" not in where.lower()] == []


# -------------------------------------------------------------------------------- how many


def grid(**lists) -> dict:
    return {"id": "{seed}-{batch_size}", "model": "tiny", "dataset": "sakura", "grid": lists}


def test_a_grid_of_millions_is_counted_before_it_is_expanded():
    started = time.process_time()
    many = [*range(1, 5001)]
    message = refused(study, experiments__0=grid(seed=many, batch_size=many))
    assert message == (
        "experiments[0].grid: stands for 25,000,000 experiments; at most 10,000 are allowed in a "
        "study"
    )
    assert time.process_time() - started < 5


def test_experiments_are_counted_over_all_entries_and_runs():
    entries = [{**_plain(**SAMPLED), "id": f"A{n}", "runs": 1000} for n in range(11)]
    assert refused(study, experiments=entries) == (
        "experiments: stands for 10,001 experiments; at most 10,000 are allowed in a study"
    )


def test_a_list_names_its_length():
    assert refused(study, experiments__0=grid(seed=[0] * 10_001)) == (
        "experiments[0].grid.seed: has 10,001 entries; at most 10,000 are allowed"
    )


def test_more_jobs_than_can_be_planned_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = {"m": {"family": "hf_text", "model": "m"}}
    config = {
        "study": "x",
        "models": models,
        "datasets": {"d": {"benchmark": "squad", "source": "d"}},
        "experiments": [
            {
                "id": "{batch_size}",
                "model": "m",
                "dataset": "d",
                "grid": {"batch_size": [*range(1, 21)]},
            }
        ],
        "baseline": "1",
        "shards": 10_000,
    }
    with pytest.raises(UserError, match="are 200,000 jobs to plan; at most 100,000 are allowed"):
        load_plan(config, "x.yaml")


# ----------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("S{lora_scaling:100000000}", "'100000000' is no width"),
        ("S{lora_scaling:{batch_size}}", "is no width of 1 to 99"),
        ("S{lora_scaling.__class__}", "'lora_scaling.__class__' is no name"),
        ("S{0}", "'0' is no name"),
        ("S" + "x" * 250, "has 251 characters; at most 200 are allowed"),
        ("a" * 21, "repeats 'a' 20 times or more, which Snakemake refuses"),
        ("ab-" * 25, "repeats 'ab-' 20 times or more"),
        ("A\n", "cannot be an experiment ID"),
    ],
)
def test_an_id_that_cannot_name_files_is_refused(identifier, message):
    told = refused(study, experiments__0={**_plain(), "id": identifier}, baseline="A")
    assert message in told
    assert len(told) < 450


def test_an_id_may_be_filled_up_to_a_width():
    settings = {**_plain(lora_scaling=7), "id": "S{lora_scaling:0>3}"}
    assert [*study(experiments__0=settings, baseline="S007").experiments] == ["S007"]


def test_a_run_cannot_make_an_id_periodic():
    settings = {**_plain(**SAMPLED), "id": "A" + "-1" * 19, "runs": 2}
    assert "repeats '-1' 20 times" in refused(study, experiments__0=settings, baseline="A")


def test_names_of_parts_are_names_of_files():
    model = {"family": "hf_text", "model": "m"}
    assert "at most 100 are allowed" in refused(study, study="x" * 101)
    assert "repeats 'm' 20 times" in refused(study, models={"m" * 30: model})
    for odd in ("tiny\n", "ti{n}y", "é"):
        assert "has a form that is not allowed" in refused(study, models={odd: model})
    assert refused(study, study="a/b") == (
        "study: 'a/b' has a form that is not allowed (letters, digits, '.', '_' and '-', a letter "
        "or digit first)"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"hub": "o/n{x}"}, ".hub: 'o/n{x}' has a form that is not allowed"),
        ({"hub": "o/n\n"}, ".hub: 'o/n\\n' has a form that is not allowed"),
        ({"hub": "o/n", "revision": "a{b}"}, ".revision: 'a{b}' has a form that is not allowed"),
        ({"hub": "o/n", "file": "a{b}"}, ".file: 'a{b}' has a form that is not allowed"),
        ({"hub": "o/n", "file": "x" * 300}, "have 311 bytes in all; at most 200 are allowed"),
        ({"hub": "o/" + "n" * 30}, "repeats 'n' 20 times"),
        ("models/" + "x" * 256, "has 256 bytes; a file's name has at most 255"),
        ("models/" + "é" * 128, "has 256 bytes; a file's name has at most 255"),
        ("mod\0el", "holds a NUL character"),
    ],
)
def test_a_source_that_can_be_no_file_is_refused(source, message):
    assert message in refused(study, models__tiny__beats=source)


# -------------------------------------------------------------------------------- messages


def test_a_grid_key_that_is_a_number_is_named():
    for key in (5, 1.5, None, True):
        message = refused(study, experiments__0=grid() | {"grid": {key: [1]}})
        assert f"the key {key!r} is not text" in message
    assert "'generation.x.y'" in refused(
        study, experiments__0=_plain(generation={"x": 1}) | {"grid": {"generation.x.y": [1]}}
    )


def test_a_message_stays_on_one_readable_line():
    for changes in (
        {"experiments__0__" + "k" * 5000: 1},
        {"study": "x" * 90 + "\n" * 5000},
        {"baseline": "a\nb" * 3000},
        {"models__tiny__family": ["salmonn"] * 5000},
        {"experiments__0__model": "m\n" * 5000},
        {"experiments__0": grid(**{"a\nb": [1]})},
    ):
        message = refused(study, **changes)
        assert len(message.splitlines()) == 1
        assert len(message) < 700


def test_a_value_is_shown_at_its_ends():
    assert shown("short\n") == "'short\\n'"
    assert shown([1] * 5000, 20) == "[1, 1, 1, ..., 1, 1, 1]"
    assert shown(16**5000) == "a number of thousands of digits"

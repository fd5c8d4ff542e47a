"""What the deltas of a report refer to: made-up scores of studies with several baselines."""

from typing import Any

import pytest

from lorascope.reporting import plots
from lorascope.reporting.columns import SETTINGS_COLUMNS
from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.means import MEAN_COLUMNS
from tests.support.reports import beside, counts, deltas, make_report, rows_of
from tests.support.stagehand import Bench

TRACK = {"benchmark": "sakura", "source": "nowhere", "tracks": ["animal"]}
SALMONN = {"family": "salmonn", "llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}
RIGHT = {"S-0": (6, 2), "S-4": (9, 4), "L-0": (3, 1), "L-4": (5, 1)}
SCORES = {name: counts(animal_multi=m, animal_single=s) for name, (m, s) in RIGHT.items()}
OWN = {
    **{("S-0", "animal-multi"): "0.0", ("S-0", "animal-single"): "0.0"},
    **{("S-4", "animal-multi"): "30.0", ("S-4", "animal-single"): "20.0"},
    **{("L-0", "animal-multi"): "0.0", ("L-0", "animal-single"): "0.0"},
    **{("L-4", "animal-multi"): "20.0", ("L-4", "animal-single"): "0.0"},
}


def study(baseline: Any, **more: Any) -> dict[str, Any]:
    """Return a study of two models under two scalings each."""
    experiment = {"dataset": "clips", "grid": {"lora_scaling": [0, 4]}}
    return {
        "study": "two",
        "models": {"small": SALMONN, "large": SALMONN},
        "datasets": {"clips": TRACK},
        "experiments": [
            {"id": "S-{lora_scaling}", "model": "small", **experiment},
            {"id": "L-{lora_scaling}", "model": "large", **experiment},
        ],
        "baseline": baseline,
        **more,
    }


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def made(baseline, scores=SCORES, **more):
        return make_report(Bench(study(baseline, **more), capsys), scores)

    return made


@pytest.mark.parametrize(
    "baseline", [{"small": "S-0", "large": "L-0"}, {"large": ["L-0"], "small": "S-0"}, "own"]
)
def test_each_model_has_the_deltas_that_it_really_has(report, baseline):
    files = report(baseline)
    assert deltas(files["accuracy.csv"]) == OWN
    assert deltas(files["accuracy.csv"], "baseline") == {
        (name, category): f"{name[0]}-0" for name, category in OWN
    }
    compared = deltas(files["comparison.csv"], "delta")
    assert {key: value for key, value in compared.items() if key[1] != ALL_ITEMS} == {
        key: "" if key[0].endswith("0") else delta for key, delta in OWN.items()
    }
    assert (compared["S-4", ALL_ITEMS], compared["L-4", ALL_ITEMS]) == ("25.0", "10.0")
    assert set(deltas(files["comparison.csv"], "baseline").values()) == {"S-0", "L-0"}
    assert "Across models" not in files["accuracy.md"]
    assert "baseline_model" not in files["accuracy.csv"]
    assert "against what the column baseline names" in beside(files["accuracy.md"])


def test_rows_that_are_compared_with_another_model_are_named_and_marked(report):
    files = report("S-0")
    assert deltas(files["accuracy.csv"])["L-4", "animal-multi"] == "-10.0"
    for name in ("accuracy.csv", "comparison.csv"):
        marks = deltas(files[name], "baseline_model")
        assert {key: mark for key, mark in marks.items() if mark} == {
            key: "small" for key in marks if key[0] in ("L-0", "L-4")
        }
        assert ("L-4", ALL_ITEMS) in marks or name == "accuracy.csv"
    (note,) = [line for line in files["accuracy.md"].splitlines() if "Across" in line]
    assert note.startswith(
        "**Across models.** The rows of L-0, L-4 are of the model large, but compared with S-0 of "
        "the model small:"
    )
    assert "| baseline_model" in files["accuracy.md"]


def test_one_model_and_one_baseline_are_told_as_ever(report):
    changes = {"models": {"small": SALMONN}, "experiments": study("S-0")["experiments"][:1]}
    files = report("S-0", {k: v for k, v in SCORES.items() if k[0] == "S"}, **changes)
    header = files["accuracy.csv"].splitlines()[0]
    assert header.endswith(",".join(["accuracy,accuracy_delta", *SETTINGS_COLUMNS, *MEAN_COLUMNS]))
    assert "points against S-0." in beside(files["accuracy.md"])
    assert "Scorers" not in files["accuracy.md"]


def test_models_may_have_published_tables_and_experiments(report):
    published = {"animal-multi": 50.5, "animal-single": 10}
    files = report({"small": {"accuracies": published, "scorer": "a judge"}, "large": "L-0"})
    found = deltas(files["accuracy.csv"])
    assert (found["S-4", "animal-multi"], found["S-0", "animal-single"]) == ("39.5", "10.0")
    assert found["L-4", "animal-multi"] == "20.0"
    assert deltas(files["accuracy.csv"], "baseline")["S-4", "animal-multi"] == "published"
    paired = deltas(files["comparison.csv"], "delta")
    assert (paired["S-4", "animal-multi"], paired["L-4", "animal-multi"]) == ("", "20.0")
    assert "answers of this study of the model small were scored by choice" in files["accuracy.md"]


def test_published_counts_of_a_model_are_tested_for_its_rows_alone(report):
    counts = {name: {"correct": 10, "total": 100} for name in ("animal-multi", "animal-single")}
    files = report({"small": counts, "large": {"animal-multi": 50, "animal-single": 50}})
    p_values = deltas(files["comparison.csv"], "p_value")
    tested = {key for key, p_value in p_values.items() if p_value}
    assert tested == {(name, c) for name in ("S-0", "S-4") for c in counts}
    assert float(p_values["S-4", "animal-multi"]) < 0.001 < float(p_values["S-0", "animal-single"])
    assert deltas(files["accuracy.csv"])["S-4", "animal-multi"] == "80.0"
    assert deltas(files["accuracy.csv"])["L-4", "animal-single"] == "-40.0"


def test_every_reference_has_its_level_in_the_charts(report, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        plots, "accuracy_chart", lambda _, baseline, *rest, **how: drawn.append(baseline)
    )
    report({"small": "S-0", "large": "L-0"})
    report("S-0")
    assert drawn == [
        {
            "small": {"animal-multi": 60, "animal-single": 20},
            "large": {"animal-multi": 30, "animal-single": 10},
        },
        {"": {"animal-multi": 60, "animal-single": 20}},
    ]


# ---------------------------------------------------------------------------- published tables

TABLE = {"animal-multi": 85.5, "animal-single": 40}


def test_a_published_table_says_what_scored_it_and_shows_its_offset(report):
    files = report({"accuracies": TABLE, "scorer": "an LLM as judge", "reproduction": "S-4"})
    said = beside(files["accuracy.md"])
    assert (
        "**Scorers.** The answers of this study were scored by choice, the published ones by an "
        "LLM as judge"
    ) in said
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in said.splitlines()]
    assert [row for row in cells if len(row) == 3 and not row[0].startswith(":")] == [
        ["accuracy", "animal-multi", "animal-single"],
        ["S-4", "90", "40"],
        ["published", "85.5", "40"],
        ["S-4 - published", "4.5", "0"],
    ]
    assert deltas(files["accuracy.csv"])["S-4", "animal-multi"] == "4.5"
    # What was published is of the model that reproduces it: rows of the other one are marked.
    assert deltas(files["accuracy.csv"], "baseline_model")["L-0", "animal-multi"] == "small"
    assert deltas(files["accuracy.csv"], "baseline_model")["S-0", "animal-multi"] == ""


@pytest.mark.parametrize("form", [TABLE, {"accuracies": TABLE}])
def test_a_published_table_without_scorer_or_model_is_said_to_be_one(report, form):
    said = beside(report(form)["accuracy.md"])
    assert "What scored the published ones is not stated" in said
    assert "One published table is the baseline of the models large, small" in said


def test_a_published_table_of_the_same_scorer_is_told_so(report):
    said = beside(report({"accuracies": TABLE, "scorer": "choice"})["accuracy.md"])
    assert "were scored by choice, and so were the published ones." in said


# ----------------------------------------------------------------------------- own, in all cases


def test_own_is_the_model_without_adapter_or_else_the_same_adapter_at_scaling_0(report):
    text = {"family": "hf_text", "model": "m"}
    squad = {"benchmark": "squad", "source": "s"}
    same = {"model": "text", "dataset": "squad"}
    scores = {"BASE": 5, "A-0": 5, "A-2": 7, "B-0": 4, "B-2": 6}
    several = [
        {"id": "BASE", **same},
        {"id": "A-{lora_scaling}", "adapter": "a", **same, "grid": {"lora_scaling": [0, 2]}},
        {"id": "B-{lora_scaling}", "adapter": "b", **same, "grid": {"lora_scaling": [0, 2]},
         "generation": {"num_beams": 2}},
    ]  # fmt: skip
    files = report(
        "own",
        {name: counts(squad_f1=n, squad_em=n) for name, n in scores.items()},
        models={"text": text},
        adapters={name: {"model": "text", "source": name} for name in "ab"},
        datasets={"squad": squad},
        experiments=several,
    )
    rows = [row for row in rows_of(files["accuracy.csv"]) if row["category"] == "squad-em"]
    assert {row["experiment"]: (row["baseline"], row["accuracy_delta"]) for row in rows} == {
        "BASE": ("BASE", "0.0"),
        "A-0": ("BASE", "0.0"),
        "A-2": ("BASE", "20.0"),
        "B-0": ("B-0", "0.0"),
        "B-2": ("B-0", "20.0"),
    }


def test_repeated_runs_have_the_baseline_of_their_experiment(report):
    sampled = {"dataset": "clips", "generation": {"do_sample": True}, "runs": 2}
    scores = {"S-0": 4, "S-0-1": 5, "S-4": 8, "S-4-1": 9}
    files = report(
        "own",
        {name: counts(animal_multi=n, animal_single=n) for name, n in scores.items()},
        experiments=[
            {"id": "S-{lora_scaling}", "model": "small", "grid": {"lora_scaling": [0, 4]}} | sampled
        ],
    )
    found = deltas(files["accuracy.csv"])
    assert {name: found[name, "animal-multi"] for name in scores} == {
        "S-0": "0.0", "S-0-1": "10.0", "S-4": "40.0", "S-4-1": "50.0"
    }  # fmt: skip


# -------------------------------------------------------------------------------------- order


def test_tables_are_in_the_order_of_numbers(report):
    scalings = [10, 2, 0.5, -1, 0]
    template = {"id": "S-{lora_scaling}", "model": "small", "dataset": "clips"}
    names = ["S-0", "S--1", "S-0.5", "S-2", "S-10"]  # the baseline first
    files = report(
        "S-0",
        {name: counts(animal_multi=1, animal_single=1) for name in names},
        experiments=[{**template, "grid": {"lora_scaling": scalings}}],
    )
    for name in ("accuracy.csv", "comparison.csv", "outcomes.csv"):
        assert list(dict.fromkeys(row["experiment"] for row in rows_of(files[name]))) == names

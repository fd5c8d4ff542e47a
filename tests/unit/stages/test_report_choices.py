"""Choices of a study in its report: planned files, table, section and page."""

from typing import Any

import pytest

from lorascope.planning.plan import load_plan
from tests.support.reports import counts, make_report, rows_of
from tests.support.stagehand import Bench

STUDY: dict[str, Any] = {
    "study": "one",
    "models": {
        "tiny": {"family": "salmonn", "llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}
    },
    "datasets": {"clips": {"benchmark": "sakura", "source": "nowhere", "tracks": ["animal"]}},
    "experiments": [
        {"id": "S-{lora_scaling}", "model": "tiny", "dataset": "clips",
         "grid": {"lora_scaling": [0, 2, 4]}},
    ],
    "baseline": "S-0",
}  # fmt: skip
KEEP = {"of": "S-0", "metric": "animal-single"}
CHOOSE = {"among": "S-{lora_scaling}", "by": "animal-multi", "keep": KEEP}
SCORES = {
    "S-0": counts(animal_multi=2, animal_single=10),
    "S-2": counts(animal_multi=8, animal_single=10),
    "S-4": counts(animal_multi=10, animal_single=3),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_report_says_what_is_chosen_and_repeats_it_byte_for_byte(capsys):
    bench = Bench({**STUDY, "choose": CHOOSE}, capsys)
    files = make_report(bench, SCORES)
    rows = {row["candidate"]: row for row in rows_of(files["choices.csv"])}
    assert [row["is_chosen"] for row in rows.values()] == ["False", "True", "False"]
    assert rows["lora_scaling 2"]["held_out"] == "80.0"
    assert rows["lora_scaling 4"]["kept_animal-single"] == "0.3"
    page = files["accuracy.md"]
    assert page.index("## What the replies") < page.index("## Choices")
    assert "**lora_scaling 2** is chosen by animal-multi" in page
    planned = {path.name for path in bench.plan.report.outputs.values()}
    assert planned >= {"choices.csv", "choices.svg", "choices.png"}
    assert make_report(bench, SCORES) == files


def test_a_study_without_a_choice_is_planned_as_ever():
    plain, choosing = load_plan(STUDY, "s.yaml"), load_plan({**STUDY, "choose": CHOOSE}, "s.yaml")
    assert "choose" not in plain.report.fingerprint
    assert not {"choices.csv", "choices.svg"} & {p.name for p in plain.report.outputs.values()}
    assert plain.report.digest != choosing.report.digest
    other = load_plan({**STUDY, "choose": {**CHOOSE, "parts": 3}}, "s.yaml")
    assert other.report.digest != choosing.report.digest
    assert other.experiments["S-0"].digest == plain.experiments["S-0"].digest


def test_where_nothing_can_be_chosen_the_report_says_why(capsys):
    scores = {name: {"animal-multi": [1.0], "animal-single": [1.0]} for name in SCORES}
    files = make_report(Bench({**STUDY, "choose": {"among": "S-*"}}, capsys), scores)
    assert "nothing is chosen: a category has a single clip" in files["accuracy.md"]
    assert rows_of(files["choices.csv"])[0]["note"].startswith("not chosen: a category")

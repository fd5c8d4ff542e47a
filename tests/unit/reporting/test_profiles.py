"""What a report says of profiles: values beside the full adapter and the model without it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lorascope.reporting import pivot
from lorascope.reporting.profile_map import profile_map
from lorascope.reporting.profiles import (
    PROFILE_COLUMNS,
    profiled,
    profiles_section,
    profiles_table,
)
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import chart_points
from lorascope.scoring.item_score import Measure
from tests.support import report_jobs
from tests.support.report_jobs import report_maker

PROFILES = {
    "block-1-off": {"default": 2, "layers.1/2": 0},
    "block-1-alone": {"default": 0, "layers.1/2": 2},
    "own-off": {"layers.0": 0},
    "odd": {"default": 0, "layers.0": 1, "mlp": 3},
}
RIGHT = {
    "BASE": [0, 0, 0, 1, 0, 0, 1, 0],
    "ZERO": [0, 0, 0, 1, 0, 0, 1, 0],
    "TWO": [1, 1, 1, 1, 1, 1, 0, 1],
    "OWN": [1, 1, 1, 1, 0, 0, 0, 1],
    "block-1-off": [1, 0, 0, 1, 0, 0, 1, 0],
    "block-1-alone": [1, 1, 0, 1, 1, 1, 0, 1],
    "own-off": [0, 0, 1, 1, 0, 0, 0, 1],
    "odd": [0, 0, 0, 0, 0, 0, 0, 0],
}
SCALINGS = {"BASE": None, "ZERO": 0, "TWO": 2, "OWN": None}


def settings(name: str, **own: Any) -> dict[str, Any]:
    adapter = None if name == "BASE" else "mine"
    scaling = SCALINGS.get(name, name)
    return {"id": name, "model": "m", "adapter": adapter, "lora_scaling": scaling, **own}


def run(name: str, **own: Any) -> Scored:
    items = [
        {"item_id": f"q{i}", "category": "ab"[i >= 4], "clip": f"q{i}", "options": 0}
        | {"credit": float(credit), "status": "scored", "finish_reason": "eos"}
        for i, credit in enumerate(RIGHT[name])
    ]
    effective = {"BASE": 0.0, "ZERO": 0.0, "TWO": 2.0, "OWN": 4.0}.get(name, math.nan)
    given = {"experiment": name, "base": name, "run_num": 0, "lora_scaling": effective}
    more = {"in_table": True, "dataset": "d", "scores": pd.DataFrame(items), "model": "m"}
    profile = name if name in PROFILES else ""
    return Scored(**{**given, **more, "profile": profile, **own})


def table(*left_out: str, **own: Any) -> pd.DataFrame:
    names = [name for name in RIGHT if name not in left_out]
    scored = [run(name, **own) for name in names]
    lines = dict.fromkeys(names, "line")
    given = {name: settings(name) for name in names}
    return profiles_table(profiled(scored, given, PROFILES, lines), scored, 3)


def test_each_is_beside_the_scaling_of_its_parts_and_beside_scaling_0() -> None:
    found = table()
    assert [*found.columns[: len(PROFILE_COLUMNS)]] == [*PROFILE_COLUMNS]
    assert [*dict.fromkeys(found["profile"])] == [*PROFILES]
    assert found["lora_scaling"].isna().all()
    rows = found.set_index(["profile", "category"])
    assert dict(rows["full"].xs("a", level=1)) | {"odd": None} == {
        **{"block-1-off": "TWO", "block-1-alone": "TWO", "own-off": "OWN", "odd": None}
    }
    assert pd.isna(rows.loc[("odd", "a"), "full"])
    assert {*found["base"]} == {"BASE"}
    for name in PROFILES:
        for category, part in (("a", slice(0, 4)), ("b", slice(4, 8))):
            row = rows.loc[(name, category)]
            value = 100 * np.mean(RIGHT[name][part])
            assert row["accuracy"] == value
            for side in ("full", "base"):
                if isinstance(row[side], str):
                    other = 100 * np.mean(RIGHT[row[side]][part])
                    assert row[f"{side}_accuracy"] == other
                    assert row[f"{side}_delta"] == pytest.approx(value - other)
                    assert row[f"{side}_low"] <= row[f"{side}_delta"] <= row[f"{side}_high"]
                else:
                    assert pd.isna(row[f"{side}_delta"])


def test_scaling_0_stands_for_the_model_without_adapter() -> None:
    assert {*table("BASE")["base"]} == {"ZERO"}
    lacking = table("BASE", "ZERO", "OWN")
    assert lacking["base"].isna().all()
    said = profiles_section(lacking)
    assert "- own-off, odd: the study has no experiment of the full adapter" in said
    assert "- block-1-off, block-1-alone, own-off, odd: the study has no experiment of the" in said


def test_other_settings_are_not_compared() -> None:
    scored = [run(name) for name in ("ZERO", "TWO", "block-1-off")]
    given = {name: settings(name) for name in ("ZERO", "TWO", "block-1-off")}
    given["TWO"]["seed"] = 7  # of sampling: another run
    given["ZERO"]["generation"] = {"max_new_tokens": 3}
    [found] = profiled(scored, given, PROFILES, dict.fromkeys(given, ""))
    assert (found.full, found.base) == ("TWO", None)


def test_the_section_says_values_and_changes() -> None:
    lines = profiles_section(table()).splitlines()
    [row] = [line for line in lines if line.startswith("| block-1-off")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        *("block-1-off", "50.0 (-50.0; +25.0)", "25.0 (-50.0; +0.0)")
    ]
    assert profiles_section(pd.DataFrame(columns=list(PROFILE_COLUMNS))) == ""


def test_the_map_is_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    falling = Measure("perplexity", "exponential", False, False)
    for measures in ({}, {"b": falling}):
        made = []
        for name in ("one", "two"):
            paths = [tmp_path / f"{name}.{kind}" for kind in ("svg", "png")]
            profile_map(table(), measures, "Parts", *paths)
            made.append([path.read_bytes() for path in paths])
        assert made[0] == made[1]
    profile_map(table("BASE", "ZERO", "TWO", "OWN"), {}, "None", *paths)


def test_labels_take_the_place_of_scalings_and_charts_over_them_leave_profiles_out() -> None:
    scored = [run(name) for name in RIGHT]
    labels = [pivot.scaling_in_words(one) for one in scored]
    assert labels == ["0", "0", "2", "4", *PROFILES]
    assert [one.has_scaling for one in scored] == [True] * 4 + [False] * 4
    named = chart_points(scored, dict.fromkeys(RIGHT, ""), swept=False)
    assert {*named["experiment"]} == {*RIGHT}


def test_a_report(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    make = report_maker(tmp_path, monkeypatch, capsys)
    rows = []
    for name, credits in RIGHT.items():
        effective = {"BASE": 0.0, "ZERO": 0.0, "TWO": 2.0, "OWN": 4.0}.get(name)
        own = {key: value for key, value in settings(name).items() if key != "id"}
        rows.append(report_jobs.scored(name, {"a": [float(c) for c in credits]}, effective, **own))
    files = ["profiles.csv", "profiles.svg", "profiles.png"]
    made = make(rows, files=files, profiles=PROFILES)
    assert {*files} <= made.keys()
    page = made["accuracy.md"].decode()
    assert "## Parts of the model" in page
    assert "![change of each category by profile](profiles.svg)" in page
    csv = made["profiles.csv"].decode().splitlines()
    assert csv[0].startswith(",".join(PROFILE_COLUMNS))
    assert len(csv) == 5
    without = make([row for row in rows if row.id not in PROFILES])
    assert "Parts of the model" not in without["accuracy.md"].decode()

"""Strengths stand in a report where scalings do."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from lorascope.reporting.amounts import AXES, BOTH, SCALING, STRENGTH, amount_of
from lorascope.reporting.audits import Audited, audit_notes, audit_section, with_modules
from lorascope.reporting.columns import as_shown, with_settings
from lorascope.reporting.heat_map import heat_map
from lorascope.reporting.pivot import by_experiment, by_line
from lorascope.reporting.plots import accuracy_chart
from lorascope.reporting.tables import accuracy_table, chart_points
from tests.support.pivots import sources
from tests.support.runs import flags, run
from tests.unit.reporting.test_audits import audited, layers


def strong(name: str, strength: float, right: int = 5):
    made = run(name, {"x": flags(right, 10)}, scaling=math.nan)
    return replace(made, strength=strength, adapter="dora")


def scaled(name: str, scaling: float, adapter: str | None = "lora"):
    return replace(run(name, {"x": flags(4, 10)}, scaling=scaling), adapter=adapter)


BASE = scaled("BASE", 0.0, None)
HALF, WHOLE = strong("T-0.5", 0.5), strong("T-1", 1.0, 9)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([BASE, scaled("L-2", 2.0)], SCALING),
        ([BASE, HALF, WHOLE], STRENGTH),
        ([BASE, HALF, scaled("L-0", 0.0)], BOTH),
        ([BASE, HALF, scaled("OWN", 2.0, None)], BOTH),
        ([HALF, scaled("ELSEWHERE", math.nan)], STRENGTH),
    ],
)
def test_what_runs_have_names_column_and_axis(runs: list, expected: str) -> None:
    assert amount_of(runs) == expected
    assert AXES[expected]


def test_tables_and_pivots_show_strengths() -> None:
    made = sources([BASE, HALF, WHOLE], "BASE", series=dict.fromkeys(["BASE", "T-0.5", "T-1"], ""))
    (pivot,) = by_experiment(made)
    assert pivot.labels == ("experiment", "strength")
    assert {row.labels for row in pivot.rows} == {("BASE", "0"), ("T-0.5", "0.5"), ("T-1", "1")}
    (pivot,) = by_line(made)
    assert [row.labels for row in pivot.rows] == [("0",), ("0.5",), ("1",)]
    table = with_settings(accuracy_table(made.scored, {"x": 1}), made.scored)
    shown = table.set_index("experiment")[["lora_scaling", "strength"]]
    assert list(shown.loc["T-0.5"].isna()) == [True, False]
    assert shown.loc["T-1", "strength"] == 1 and shown.loc["BASE", "lora_scaling"] == 0
    assert "strength" not in as_shown(table)
    assert "strength" not in with_settings(accuracy_table([BASE], {"x": 1}), [BASE])


def test_a_chart_over_strengths_says_so(tmp_path: Path) -> None:
    points = chart_points([BASE, HALF, WHOLE], dict.fromkeys(["BASE", "T-0.5", "T-1"], ""), True)
    assert list(points["lora_scaling"]) == [0, 0.5, 1]
    svg = tmp_path / "a.svg"
    accuracy_chart(points, {"x": 40}, {}, "t", svg, tmp_path / "a.png", axis=AXES[STRENGTH])
    assert "strength" in svg.read_text() and "LoRA scaling" not in svg.read_text()


def test_what_is_more_than_its_s_b_a_is_said_and_not_compared(tmp_path: Path) -> None:
    plain, whole = audited("mine", layers()), audited("full", layers())
    dora = Audited("dora", {**plain.found, "beyond": "is more than s B A"}, plain.modules)
    none = {**plain.found, "beyond": "is a whole model", "modules": 0, "of_known_weight": 0}
    whole = Audited("full", none, plain.modules.head(0))
    assert "- dora is more than s B A." in audit_section([plain, dora, whole])
    page = audit_section([whole])
    assert "- full is a whole model." in page and "|" not in page
    assert with_modules([plain, whole]) == [plain]
    assert not [line for line in audit_notes([plain, dora, whole]) if "do the same" in line]
    svg = tmp_path / "audits.svg"
    heat_map([whole], "t", svg, tmp_path / "audits.png")
    assert svg.exists() and (tmp_path / "audits.png").stat().st_size > 1000

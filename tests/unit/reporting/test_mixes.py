"""Sums of adapters in the report: which value stands where, what is framed, what is left out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lorascope.planning.report import MIXES, ReportRow
from lorascope.reporting.mix_chart import mix_chart
from lorascope.reporting.mixes import Panel, Summed, mix_panels, mix_section, mix_table
from lorascope.reporting.scored import Scored
from lorascope.scoring.item_score import ACCURACY, Measure
from tests.support.report_jobs import report_maker, scored

PLANE = {(a, b): 10 * a + b for a in (0.0, 0.5, 1.0) for b in (0.0, 2.0)}


def run(name: str, right: Mapping[str, int], items: int = 20, **own: Any) -> Scored:
    """Return a run with so many right of some items, by category."""
    rows = [
        {"item_id": f"{category}/{i}", "category": category, "clip": "", "options": 0}
        | {"credit": float(i < count), "status": "scored", "finish_reason": "eos"}
        for category, count in right.items()
        for i in range(items)
    ]
    given = {"base": name, "run_num": 0, "lora_scaling": 1.0, "in_table": True, "dataset": "d"}
    return Scored(experiment=name, scores=pd.DataFrame(rows), **{**given, **own})


def plane(**beside: Any) -> tuple[list[Scored], dict[str, Summed]]:
    """Return runs on a plane of weights of a and b, right as often as PLANE says."""
    own = {"model": "m", **beside}
    names = {weights: f"{weights}{beside or ''}" for weights in PLANE}
    runs = [run(names[weights], {"x": int(value)}) for weights, value in PLANE.items()]
    sums = {names[w]: Summed("mix", dict(zip("ab", w, strict=True)), own) for w in PLANE}
    return runs, sums


def made(table: pd.DataFrame, sums: Mapping[str, Summed], **measures: Measure) -> list[Panel]:
    return mix_panels(table, sums, measures)


def test_a_row_for_each_sum_and_category() -> None:
    runs, sums = plane()
    table = mix_table([*runs, run("BASE", {"x": 20})], sums, {})
    assert len(table) == 6 and "BASE" not in [*table["experiment"]]
    for row in table.to_dict("records"):
        value = PLANE[row["weight a"], row["weight b"]]
        assert row["accuracy"] == 100 * value / 20
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["is_best"] == (value == 12)
    assert {*table["settings"]} == {""}


def test_where_lower_is_better_the_lowest_is_best_and_infinite_is_never() -> None:
    error = Measure("error", "plain", higher_is_better=False, bounded=False)
    runs, sums = plane()
    runs = [replace(one, measures={"x": error}) for one in runs]
    runs[0].scores["credit"] = np.inf
    table = mix_table(runs, sums, {"x": error})
    assert [*table[table["is_best"]]["accuracy"]] == [0.1]  # PLANE has 2 of 20 next


def test_a_sum_alone_in_its_picture_is_left_out() -> None:
    runs, sums = plane()
    alone = Summed("other", {"c": 1.0}, {"model": "m"})
    table = mix_table([*runs, run("ALONE", {"x": 3})], {**sums, "ALONE": alone}, {})
    assert len(table) == 6 and "weight c" not in table
    assert mix_section(mix_table(runs, {"ALONE": alone}, {}), False) == ""


def test_pictures_of_one_category_are_told_apart() -> None:
    first, sums = plane(lora_scaling=None, dataset="d")
    second, more = plane(lora_scaling=2, dataset="d")
    table = mix_table([*first, *second], sums | more, {})
    assert {*table["settings"]} == {"lora_scaling null", "lora_scaling 2"}
    assert [p.title for p in made(table, sums | more)] == [
        "x, lora_scaling 2",
        "x, lora_scaling null",
    ]
    assert len(mix_section(table, True).splitlines()) > 12


def test_datasets_of_their_own_categories_are_not() -> None:
    first, sums = plane(dataset="d")
    second, more = plane(dataset="e")
    second = [run(one.experiment, {"y": 1}) for one in second]
    table = mix_table([*first, *second], sums | more, {})
    assert {*table["settings"]} == {""}
    assert [panel.title for panel in made(table, sums | more)] == ["x", "y"]
    section = mix_section(table, True)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 6, "x and y of one sum are in one row"
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "weight a",
        "weight b",
        "x",
        "y",
    ]


def test_repeated_runs_are_one_point() -> None:
    runs, sums = plane()
    again = [replace(one, experiment=f"{one.base}-1", run_num=1) for one in runs]
    table = mix_table([*runs, *again], sums, {})
    assert [*table["runs"]] == [2] * 6


def test_two_mixes_have_a_column_for_each_part() -> None:
    runs, sums = plane()
    other = {"P": Summed("two", {"b": 0.0, "c": 1.0}, {"model": "m"}),
             "Q": Summed("two", {"b": 1.0, "c": 1.0}, {"model": "m"})}  # fmt: skip
    table = mix_table([*runs, run("P", {"x": 1}), run("Q", {"x": 2})], sums | other, {})
    assert table[table["adapter"] == "two"]["weight a"].isna().all()
    titles = [(p.title, p.axes) for p in made(table, sums | other)]
    assert titles == [("x, mix", ("a", "b")), ("x, two", ("b",))]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    found: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda one, path, **_: (found.append(one), path.touch()))
    yield found


def panel(points: list[dict[str, Any]], *axes: str, measure: Measure = ACCURACY) -> Panel:
    frame = pd.DataFrame(points)
    frame = frame.assign(low=frame["accuracy"] - 1, high=frame["accuracy"] + 1)
    return Panel(
        "x", axes, frame.assign(is_best=frame["accuracy"] == frame["accuracy"].max()), measure
    )


def drawn(tmp_path: Path, *panels: Panel) -> None:
    mix_chart(panels, "title", tmp_path / "m.svg", tmp_path / "m.png")


def test_a_plane_has_each_value_at_its_weights(tmp_path: Path, figures: list[Figure]) -> None:
    points = [{"a": a, "b": b, "accuracy": 10.0 * a + b} for a, b in PLANE if (a, b) != (0.5, 2)]
    drawn(tmp_path, panel(points, "a", "b"))
    axes = figures[0].axes[0]
    cells = axes.collections[0].get_array().reshape(2, 3)  # b upwards, a to the right
    assert cells[0].tolist() == [0, 5, 10] and cells[1].tolist() == [2, None, 12]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.5", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("weight of a", "weight of b")
    (frame,) = axes.patches
    assert frame.get_xy() == (2, 1)
    assert {text.get_text() for text in axes.texts} == {"0", "5", "10", "2", "12"}


def test_a_line_is_in_order_of_weights(tmp_path: Path, figures: list[Figure]) -> None:
    points = [{"a": a, "accuracy": 10 - a} for a in (1.0, -1.0, 0.0)]
    drawn(tmp_path, panel(points, "a"))
    line, best = figures[0].axes[0].lines
    assert line.get_xdata().tolist() == [-1, 0, 1] and line.get_ydata().tolist() == [11, 10, 9]
    assert best.get_xdata().tolist() == [-1]


def test_a_triangle_has_its_parts_in_the_corners(tmp_path: Path, figures: list[Figure]) -> None:
    weights = [(2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (0.5, 0.5, 1)]
    points = [
        dict(zip("abc", w, strict=True)) | {"accuracy": float(i)} for i, w in enumerate(weights)
    ]
    drawn(tmp_path, panel(points, "a", "b", "c"))
    places = figures[0].axes[0].collections[0].get_offsets()
    high = 0.75**0.5
    assert places.tolist() == pytest.approx(
        np.array([[0, 0], [1, 0], [0.5, high], [0.5, 0], [0.5, high / 2]])
    )
    told = {text.get_text() for text in figures[0].axes[0].texts}
    assert {"a 2", "b 2", "c 2"} <= told


def test_colours_span_a_panel_and_heights_a_measure(tmp_path: Path, figures: list[Figure]) -> None:
    error = Measure("error", "plain", higher_is_better=False, bounded=False)
    one = [{"a": a, "b": b, "accuracy": 10 * a + b} for a, b in PLANE]
    other = [{**point, "accuracy": 50 + point["accuracy"]} for point in one]
    drawn(
        tmp_path, panel(one, "a", "b"), panel(other, "a", "b"), panel(one, "a", "b", measure=error)
    )
    meshes = [axes.collections[0] for axes in figures[0].axes if axes.patches]
    assert [mesh.get_clim() for mesh in meshes] == [(0, 12), (50, 62), (0, 12)]
    points = [{"a": a, "accuracy": 20 * a} for a in (0.0, 1.0)]
    higher = [{**point, "accuracy": 50.0} for point in points]
    drawn(tmp_path, panel(points, "a"), panel(higher, "a"), panel(points, "a", measure=error))
    first, second, other = (axes.get_ylim() for axes in figures[-1].axes)
    assert first == second != other and first[0] < -1 and first[1] > 51


@pytest.mark.parametrize("values", [[np.nan] * 3, [np.inf, 1.0, 1.0]])
def test_what_is_no_number_is_left_blank(tmp_path: Path, values: list[float]) -> None:
    points = [{"a": a, "b": 1 - a, "c": 0.0} for a in (0.0, 0.5, 1.0)]
    rows = [{**p, "accuracy": v} for p, v in zip(points, values, strict=True)]
    for axes in (("a",), ("a", "b"), ("a", "b", "c")):
        drawn(tmp_path, panel(rows, *axes))
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"


def row(weights: dict[str, float], right: int) -> ReportRow:
    name = "-".join(f"{weight:g}" for weight in weights.values())
    made = scored(
        name, {"x": [1.0] * right + [0.0] * (9 - right)}, 1, adapter="mix", weights=weights
    )
    series = {k: v for k, v in made.settings.items() if k != "weights"}
    return replace(made, series={**series, "adapter": f"mix ({name})"})


def test_a_report_has_the_table_the_chart_and_the_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make = report_maker(tmp_path, monkeypatch, capsys)
    rows = [scored("BASE", {"x": [0.0] * 9}, 0)]
    rows += [row({"a": a, "b": b}, int(4 * a + 2 * b)) for a in (0, 1) for b in (0, 1, 2)]
    files = make(rows, files=MIXES)
    table = pd.read_csv(BytesIO(files["mixes.csv"]))
    assert [*table["experiment"]] == ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
    assert [*table["weight a"]] == [0, 0, 0, 1, 1, 1]
    assert [*table["is_best"]] == [False] * 5 + [True]
    page = files["accuracy.md"].decode()
    assert "## Sums of adapters" in page and "](mixes.svg)" in page
    assert files["mixes.png"][:4] == b"\x89PNG"
    accuracy = pd.read_csv(BytesIO(files["accuracy.csv"])).set_index("experiment")
    assert accuracy["adapter"]["1-2"] == "mix (1 a + 2 b)"
    again = make(rows, files=MIXES)
    assert {name: again[name] for name in MIXES} == {name: files[name] for name in MIXES}


def test_in_a_chart_over_scalings_sums_at_one_scaling_are_no_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    make = report_maker(tmp_path, monkeypatch, capsys)
    seen: list[set[str]] = []
    monkeypatch.setattr(
        "lorascope.stages.report.plots.accuracy_chart",
        lambda points, *_, **__: seen.append({*points["series"]}),
    )
    rows = [scored("BASE", {"x": [0.0] * 9}, 0)]
    rows += [scored(f"S{s}", {"x": [1.0] * 9}, s, adapter="a") for s in (1, 2)]
    make([*rows, *(row({"a": a, "b": 1}, 1) for a in (0.5, 1))], files=MIXES)
    assert seen == [{"no adapter", "adapter a"}]

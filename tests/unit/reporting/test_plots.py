import struct
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from matplotlib.figure import Figure

from lorascope.reporting.panels import MEAN
from lorascope.reporting.plots import accuracy_bars, accuracy_chart
from tests.support.basics import printed

EIGHT = [
    f"{track}-{hop}"
    for track in ("animal", "emotion", "gender", "language")
    for hop in ("multi", "single")
]


def sweep(categories, scalings=(0.0, 1.0, 2.0, 4.0), offset=0.0):
    rows = [
        (scaling, category, 30 + 10 * scaling + place + offset)
        for scaling in scalings
        for place, category in enumerate(categories)
    ]
    points = pd.DataFrame(rows, columns=["lora_scaling", "category", "accuracy"])
    return points.assign(low=points["accuracy"] - 5, high=points["accuracy"] + 4)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw with ``chart`` without rendering; return the figure's panels by title."""
    figures = []
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda figure, path, **_: (figures.append(figure), path.write_text("drawn")),
    )

    def draw(chart, points, baseline, chance):
        chart(points, baseline, chance, "title", tmp_path / "a.svg", tmp_path / "a.png")
        assert (tmp_path / "a.svg").read_text() == (tmp_path / "a.png").read_text() == "drawn"
        return {axes.get_title(): axes for axes in figures[-1].axes}

    return draw


def levels(axes, upright=False):
    """Return where the lines across a panel stand, and the labels written on them."""
    lines = [line.get_xdata() if upright else line.get_ydata() for line in axes.lines]
    across = sorted(float(at[0]) for at in lines if len(at) == 2 and at[0] == at[1])
    return across, [text.get_text() for text in axes.texts]


def test_every_category_has_a_panel_with_its_line_baseline_and_chance(drawn):
    baseline = {name: 60.0 + i for i, name in enumerate(EIGHT)}
    panels = drawn(accuracy_chart, sweep(EIGHT), baseline, dict.fromkeys(EIGHT, 25.0))
    assert set(panels) == {MEAN, *EIGHT}
    for i, name in enumerate(EIGHT):
        assert panels[name].lines[0].get_xdata().tolist() == [0, 1, 2, 4]
        assert panels[name].lines[0].get_ydata().tolist() == [30 + i, 40 + i, 50 + i, 70 + i]
        assert levels(panels[name]) == ([25, 60 + i], [f"{60 + i:.1f}"])
        band = panels[name].collections[0].get_paths()[0].vertices
        assert (band[:, 1].min(), band[:, 1].max()) == (25 + i, 74 + i)
    assert panels[MEAN].lines[0].get_ydata().tolist() == [33.5, 43.5, 53.5, 73.5]
    assert levels(panels[MEAN]) == ([25, 63.5], ["63.5"])


def test_each_series_has_its_own_line_and_look(drawn):
    points = pd.concat(
        [sweep(EIGHT).assign(series="13B"), sweep(EIGHT, offset=-20).assign(series="7B")]
    )
    panels = drawn(accuracy_chart, points, {}, {})
    lines = panels["animal-multi"].lines
    assert [line.get_label() for line in lines] == ["13B", "7B"]
    assert [line.get_ydata()[0] for line in lines] == [30, 10]
    assert len({line.get_color() for line in lines} | {line.get_marker() for line in lines}) == 4


def test_several_baselines_are_dashed_each_in_its_way_and_named(drawn):
    baselines = {"7B": {"x": 50.0, "y": 60.0}, "13B": {"x": 70.0}}
    panels = drawn(accuracy_chart, sweep(["x", "y"]), baselines, {})
    assert levels(panels["x"]) == ([50, 70], ["50.0", "70.0"])
    assert levels(panels["y"]) == ([60], ["60.0"])
    assert levels(panels[MEAN]) == ([55], ["55.0"])
    dashed = [line for line in panels["x"].lines if len(line.get_xdata()) == 2]
    assert len({line._dash_pattern[1] and tuple(line._dash_pattern[1]) for line in dashed}) == 2
    (legend,) = panels["x"].figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[1:] == ["baseline of 7B, with its value", "baseline of 13B, with its value"]


def test_panels_are_in_the_order_of_numbers(drawn):
    panels = drawn(accuracy_chart, sweep(["task10", "task2"]), {}, {})
    assert list(panels) == [MEAN, "task2", "task10"]
    assert "macro average" in MEAN


def test_the_mean_leaves_out_a_scaling_that_lacks_a_category(drawn):
    points = sweep(["x", "y"])
    panels = drawn(accuracy_chart, points.drop(index=0), {"x": 50.0}, {"y": 25.0})
    assert panels[MEAN].lines[0].get_xdata().tolist() == [1, 2, 4]
    assert levels(panels[MEAN]) == ([], [])
    assert levels(panels["x"]) == ([50], ["50.0"])
    assert levels(panels["y"]) == ([25], [])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 11])
def test_any_number_of_categories_has_its_panels_on_common_axes(drawn, count):
    names = [f"track{i}" for i in range(count)]
    panels = drawn(accuracy_chart, sweep(names), {}, {})
    assert set(panels) == {*names, *([MEAN] if count > 1 else [])}
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels.values()}) == 1
    places = [tuple(axes.get_position().bounds) for axes in panels.values()]
    assert len(set(places)) == len(places)


def test_everything_drawn_is_inside_the_axes(drawn):
    points = sweep(["x"], scalings=(0.0, 7.0))
    low, high = drawn(accuracy_chart, points, {"x": 99.0}, {"x": 0.0})["x"].get_ylim()
    assert (low, high) == (-2, 102)


def test_ticks_stand_at_the_scalings_unless_their_labels_would_collide(drawn):
    axes = drawn(accuracy_chart, sweep(["x"], scalings=(0.0, 1.0, 8.0)), {}, {})["x"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "8"]
    axes = drawn(accuracy_chart, sweep(["x"], scalings=(0.0, 0.1, 2.0)), {}, {})["x"]
    assert 0.1 not in axes.get_xticks()


def test_bars_show_the_experiments_from_top_to_bottom(drawn):
    points = sweep(EIGHT, scalings=(2.0, 0.0)).rename(columns={"lora_scaling": "experiment"})
    points["experiment"] = points["experiment"].map({2.0: "WINDOW-2", 0.0: "WINDOW-0"})
    baseline = dict.fromkeys(EIGHT, 55.0)
    panels = drawn(accuracy_bars, points, baseline, dict.fromkeys(EIGHT, 25.0))
    assert set(panels) == {MEAN, *EIGHT}
    labels = [label.get_text() for label in panels[MEAN].get_yticklabels()]
    assert labels == ["WINDOW-2", "WINDOW-0"]
    axes = panels["animal-single"]
    assert axes.yaxis_inverted()
    assert axes.lines[0].get_xdata().tolist() == [51, 31]
    assert axes.lines[0].get_ydata().tolist() == [0, 1]
    ends = [path.vertices[:, 0].tolist() for path in axes.collections[0].get_paths()]
    assert ends == [[46, 55], [26, 35]]
    assert levels(axes, upright=True) == ([25, 55], ["55.0"])
    assert panels[MEAN].lines[0].get_xdata().tolist() == [53.5, 33.5]


def test_bars_name_only_some_of_very_many_experiments(drawn):
    names = [f"E-{i:03}" for i in range(200)]
    points = pd.DataFrame({"experiment": names, "category": "x", "accuracy": 50.0})
    points = points.assign(low=45.0, high=55.0)
    axes = drawn(accuracy_bars, points, {}, {})["x"]
    assert len(axes.lines[0].get_ydata()) == 200
    assert 40 < len(axes.get_yticks()) <= 60


@pytest.mark.parametrize("chart", [accuracy_chart, accuracy_bars])
def test_files_are_what_they_say_and_equal_every_time(chart, tmp_path):
    points = sweep(["x", "y"]).assign(experiment=lambda rows: "SF-" + rows["lora_scaling"].map(str))
    written = []
    for folder in ("one", "two"):
        svg, png = tmp_path / folder / "a.svg", tmp_path / folder / "a.png"
        chart(points, {"x": 40.0, "y": 41.5}, {"x": 25.0}, "costs $1 or $2", svg, png)
        written.append((svg.read_bytes(), png.read_bytes()))
        assert sorted(path.name for path in svg.parent.iterdir()) == ["a.png", "a.svg"]
    assert written[0] == written[1]
    svg, png = written[0]
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width == 2000
    assert height > 400


def test_what_plans_and_looks_does_not_import_matplotlib_and_the_charts_no_pyplot():
    planning = "import sys, lorascope.__main__, lorascope.inspecting.overview as _"
    assert printed(f"{planning}; print('matplotlib' in sys.modules)") == "False\n"
    charts = "import sys, lorascope.reporting.plots, lorascope.reporting.loss"
    assert printed(f"{charts}; print('matplotlib.pyplot' in sys.modules)") == "False\n"


def test_metrics_of_the_same_items_have_no_mean(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, path, **_: (figures.append(figure), path.touch())
    )
    points = sweep(["squad-em", "squad-f1", "task-em"])
    points["experiment"] = points["lora_scaling"].map(str)
    for chart in (accuracy_chart, accuracy_bars):
        chart(points, {}, {}, "title", tmp_path / "a.svg", tmp_path / "a.png", mean=False)
        axes = figures[-1].axes
        assert [one.get_title() for one in axes] == ["squad-em", "squad-f1", "task-em"]
        labels = {(one.get_xlabel(), one.get_ylabel()) for one in axes}
        assert "score (%)" in {label for pair in labels for label in pair}


@pytest.mark.parametrize("chart", [accuracy_chart, accuracy_bars])
def test_series_without_a_category_in_common_draw_without_a_mean(drawn, chart):
    points = pd.concat(
        [
            sweep(["x"]).assign(series="one", experiment="ONE"),
            sweep(["y"], scalings=(0.0,)).assign(series="two", experiment="TWO"),
        ]
    )
    points = points.drop_duplicates(["experiment"]) if chart is accuracy_bars else points
    panels = drawn(chart, points, {"x": 50.0}, {})
    assert set(panels) == {"x", "y"}

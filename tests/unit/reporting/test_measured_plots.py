"""Charts of several measures: axes of their own, named by measure and direction."""

import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from lorascope.reporting.panels import MEAN
from lorascope.reporting.plots import accuracy_bars, accuracy_chart
from lorascope.scoring.item_score import Measure
from tests.support.runs import BITS, TOKENS, WORDS

VALUES = {"qa": 50.0, "f1": 70.0, "wer": 120.0, "ppl": 20.0, "bits": 1.5}
MEASURES = {"wer": WORDS, "ppl": TOKENS, "bits": BITS, "f1": Measure("F1 of words")}
LEVELS = {"qa": 40.0, "f1": 60.0, "wer": 90.0, "ppl": 18.0, "bits": 1.25}


@pytest.fixture
def panels(monkeypatch, tmp_path):
    """Draw without rendering; return the panels by title."""
    figures = []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, path, **_: (figures.append(figure), path.touch())
    )

    def draw(chart, values, measures=MEASURES, times=1.0, mean=True):
        rows = [
            (f"E{scaling:g}", "", scaling, name, value * (1 + (times - 1) * scaling))
            for name, value in values.items()
            for scaling in (0.0, 1.0)
        ]
        columns = ["experiment", "series", "lora_scaling", "category", "accuracy"]
        points = pd.DataFrame(rows, columns=columns)
        points = points.assign(low=points["accuracy"] * 0.9, high=points["accuracy"] * 1.1)
        files = tmp_path / "a.svg", tmp_path / "a.png"
        chart(points, LEVELS, {"qa": 25.0}, "title", *files, mean=mean, measures=measures)
        return {axes.get_title(): axes for axes in figures[-1].axes + _of_parts(figures[-1])}

    return draw


def _of_parts(figure):
    return [axes for part in figure.subfigs for axes in part.axes]


def test_each_measure_has_an_axis_named_by_it_and_by_its_direction(panels):
    found = panels(accuracy_chart, VALUES)
    assert set(found) == {MEAN, *VALUES}
    assert found[MEAN].get_ylabel() == "accuracy (%)"
    assert found["wer"].get_ylabel() == "word error rate (%)\nlower is better"
    assert found["ppl"].get_ylabel() == "perplexity by token\nlower is better"
    assert found["bits"].get_ylabel() == "bits per byte\nlower is better"
    assert found["qa"].get_ylim() == found["f1"].get_ylim() == (20, 80)
    assert found["wer"].get_ylim()[1] > 132
    assert found["bits"].get_ylim()[1] < 2
    assert [text.get_text() for text in found["bits"].texts] == ["1.25"]
    assert [text.get_text() for text in found["wer"].texts] == ["90.0"]
    assert found[MEAN].lines[0].get_ydata().tolist() == [60, 60]


def test_bars_have_the_same_axes_lying(panels):
    found = panels(accuracy_bars, VALUES, mean=False)
    assert set(found) == {*VALUES}
    assert found["qa"].get_xlabel() == "score (%)"
    assert found["ppl"].get_xlabel() == "perplexity by token\nlower is better"
    assert found["qa"].get_xlim() != found["ppl"].get_xlim()


def test_chance_is_drawn_for_the_accuracy_alone(panels):
    found = panels(accuracy_chart, VALUES)
    across = {name: len(axes.lines) for name, axes in found.items()}
    assert across == {MEAN: 2, "qa": 3, "f1": 2, "wer": 2, "ppl": 2, "bits": 2}


@pytest.mark.parametrize(("times", "way"), [(1.5, "linear"), (40.0, "log")])
def test_perplexities_that_are_far_apart_have_a_logarithmic_axis(panels, times, way):
    found = panels(accuracy_chart, {"ppl": 20.0}, times=times)
    assert found["ppl"].get_yscale() == way
    assert panels(accuracy_bars, {"ppl": 20.0}, times=times)["ppl"].get_xscale() == way
    assert panels(accuracy_chart, {"wer": 20.0}, times=times)["wer"].get_yscale() == "linear"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_none_or_infinite_is_left_out(panels, value):
    found = panels(accuracy_chart, {"ppl": value, "qa": 50.0})
    assert math.isfinite(found["ppl"].get_ylim()[1])
    assert found["qa"].get_ylim() == (20, 60)


def test_measures_of_one_title_and_two_directions_do_not_share_an_axis(panels):
    two = {
        "a": Measure("score", "plain", True, False),
        "b": Measure("score", "plain", False, False),
    }
    found = panels(accuracy_chart, {"a": 1.0, "b": 2.0}, two)
    assert found["a"].get_ylabel() == "score\nhigher is better"
    assert found["b"].get_ylabel() == "score\nlower is better"


def test_what_several_measures_are_is_drawn_for_real(tmp_path):
    rows = [("E", name, value, value * 0.9, value * 1.1) for name, value in VALUES.items()]
    points = pd.DataFrame(rows, columns=["experiment", "category", "accuracy", "low", "high"])
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    accuracy_bars(points, LEVELS, {}, "title", svg, png, mean=False, measures=MEASURES)
    assert png.stat().st_size > 10_000

import pandas as pd
import pytest
from matplotlib.figure import Figure

from lorascope.reporting.loss import loss_chart


def training(steps, loss):
    return pd.DataFrame({"step": range(1, steps + 1), "loss": loss})


def test_each_adapter_has_a_smoothed_line_over_its_own(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, path, **_: (figures.append(figure), path.touch())
    )
    trainings = {"a": training(200, [2.0, 1.0] * 100), "b": training(3, [3.0, 2.0, 1.0])}
    loss_chart(trainings, "title", tmp_path / "l.svg", tmp_path / "l.png")
    (axes,) = figures[0].axes
    raw, smoothed, short, same = axes.lines
    assert raw.get_ydata().tolist() == [2.0, 1.0] * 100
    assert smoothed.get_label() == "a"
    assert smoothed.get_ydata()[-1] == pytest.approx(1.5, abs=0.06)
    assert raw.get_color() == smoothed.get_color() != short.get_color()
    assert short.get_ydata().tolist() == same.get_ydata().tolist() == [3, 2, 1]
    assert axes.get_ylim()[0] == 0


def test_equal_trainings_give_equal_bytes(tmp_path):
    files = []
    for folder in ("one", "two"):
        svg, png = tmp_path / folder / "l.svg", tmp_path / folder / "l.png"
        loss_chart({"a": training(30, [1.0] * 30)}, "title", svg, png)
        files.append((svg.read_bytes(), png.read_bytes()))
    assert files[0] == files[1]
    assert files[0][1][:8] == b"\x89PNG\r\n\x1a\n"

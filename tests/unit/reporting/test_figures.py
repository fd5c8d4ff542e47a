"""How a figure is written."""

from pathlib import Path

from matplotlib.layout_engine import ConstrainedLayoutEngine

from lorascope.reporting.figures import saved_figure


def test_a_figure_is_laid_out_for_the_first_of_its_files_alone(tmp_path: Path, monkeypatch):
    laid_out = []
    execute = ConstrainedLayoutEngine.execute

    def noted(engine, figure):
        laid_out.append(len(files()))
        execute(engine, figure)

    def files():
        return [path for path in (tmp_path / "x.svg", tmp_path / "x.png") if path.exists()]

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", noted)
    with saved_figure("title", tmp_path / "x.svg", tmp_path / "x.png") as figure:
        figure.subplots(1, 2)
    assert len(files()) == 2
    assert laid_out and {*laid_out} == {0}

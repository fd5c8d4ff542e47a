"""The report stage on made-up scores: which files it writes, and which lines its chart has."""

import csv
import io
from dataclasses import replace

import pyarrow as pa
import pytest

from lorascope.planning.report import ReportAdapter
from lorascope.reporting import plots
from lorascope.storage.records import write_table
from tests.support.report_jobs import BASE, report_maker, scored

RETAIN = {"of": "BASE", "metric": "squad-f1", "at_least": 0.9, "confidence": 0.95}


@pytest.fixture
def make(tmp_path, monkeypatch, capsys):
    return report_maker(tmp_path, monkeypatch, capsys)


def text(f1: float, em: float) -> dict[str, list[float]]:
    return {"squad-f1": [1.0] * 20 + [f1] * 20, "squad-em": [1.0] * 20 + [em] * 20}


def test_exactly_the_files_of_the_job_are_written(make, tmp_path):
    training = tmp_path / "tuned.training"
    table = pa.table({"step": [1, 2, 3], "epoch": [0.5, 1, 1.5], "loss": [3.0, 2.0, 1.5]})
    write_table(training, table, "training", "t")
    rows = [
        scored("BASE", text(0.5, 0), 0.0),
        scored("TUNED", text(0.1, 0), 2.0, adapter="tuned"),
    ]
    files = make(
        rows,
        retain=[RETAIN],
        adapters=[ReportAdapter("tuned", str(training), "t")],
        files=["retention.csv", "loss.svg", "loss.png"],
    )
    assert set(files) == {*BASE, "retention.csv", "loss.svg", "loss.png", "manifest-d.json"}
    page = files["accuracy.md"].decode()
    assert "- BASE: F1 score: 75.0, Em score: 50.0, total_count: 40" in page
    assert "(loss.svg)" in page
    assert "## Retention" in page
    (row,) = csv.DictReader(io.StringIO(files["retention.csv"].decode()))
    assert (row["experiment"], row["retention"], row["point_verdict"]) == (
        "TUNED",
        "0.7333",
        "fail",
    )


def test_a_study_that_trains_and_retains_nothing_has_neither_section(make):
    files = make([scored("BASE", text(0.5, 0), 0.0)])
    assert set(files) == {*BASE, "manifest-d.json"}
    page = files["accuracy.md"].decode()
    assert "## Retention" not in page
    assert "loss.svg" not in page


def test_published_counts_are_compared_with(make):
    published = {"squad-f1": 70, "squad-em": {"correct": 300, "total": 400}}
    files = make([scored("A", text(0.5, 0), 0.0)], baseline=published)
    f1, em = sorted(
        csv.DictReader(io.StringIO(files["comparison.csv"].decode())),
        key=lambda row: row["category"] == "squad-em",
    )
    assert (f1["delta"], f1["p_value"]) == ("", "")
    assert (em["accuracy"], em["delta"], em["gained"]) == ("50.0", "-25.0", "")
    assert float(em["delta_high"]) < 0
    assert float(em["p_value"]) == float(em["holm_p"]) < 0.05
    rows = csv.DictReader(io.StringIO(files["accuracy.csv"].decode()))
    deltas = {row["category"]: row["accuracy_delta"] for row in rows}
    assert deltas == {"squad-f1": "5.0", "squad-em": "-25.0"}


@pytest.mark.parametrize("scalings", [(0.0, 0.0, 4.0), (0.0, 0.0, 0.0)])
def test_runs_of_an_experiment_are_one_point(make, monkeypatch, scalings):
    drawn = []
    for chart in ("accuracy_chart", "accuracy_bars"):
        monkeypatch.setattr(plots, chart, lambda points, *_, **how: drawn.append(points))
    first, again, other = (
        scored(name, {"squad-em": [1.0] * right + [0.0] * (40 - right)}, scaling)
        for name, right, scaling in zip(("A", "A-1", "B"), (30, 20, 10), scalings, strict=True)
    )
    again = replace(again, base="A", run=1)
    make([first, again, other], baseline="A")
    (points,) = drawn
    columns = points[["experiment", "runs", "accuracy"]]
    assert columns.to_numpy().tolist() == [["A", 2, 62.5], ["B", 1, 25]]


def test_lines_are_told_apart_by_what_differs_within_a_panel(make, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "accuracy_chart", lambda points, *_, **how: drawn.append(points))
    other = {"dataset": "task", "generation": {"max_new_tokens": 3}}
    rows = [scored("BASE", text(0.5, 0), 0.0), scored("BASE-T", {"task": [1.0]}, 0.0, **other)]
    for scaling in (1.0, 4.0):
        rows.append(scored(f"A-{scaling}", text(0.4, 0), scaling, adapter="tuned"))
        rows.append(scored(f"T-{scaling}", {"task": [1.0]}, scaling, adapter="tuned", **other))
    make(rows, baseline=["BASE", "BASE-T"])
    (points,) = drawn
    series = dict(zip(points["experiment"], points["series"], strict=True))
    assert series == {
        "BASE": "no adapter",
        "BASE-T": "no adapter",
        **dict.fromkeys(["A-1.0", "A-4.0", "T-1.0", "T-4.0"], "adapter tuned"),
    }


def test_a_key_that_another_family_has_alone_tells_no_lines_apart(make, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "accuracy_chart", lambda points, *_, **how: drawn.append(points))
    rows = [scored("BASE", text(0.5, 0), 0.0)]
    for scaling in (1.0, 4.0):
        rows.append(scored(f"A-{scaling}", text(0.4, 0), scaling))
        for window in (0.3, 0.5):
            own = {"model": "salmonn", "second_per_window": window, "second_stride": 0.3}
            rows.append(scored(f"S{window}-{scaling}", text(0.4, 0), scaling, **own))
    make(rows)
    (points,) = drawn
    assert dict(zip(points["experiment"], points["series"], strict=True)) == {
        **dict.fromkeys(["BASE", "A-1.0", "A-4.0"], "model llama"),
        **dict.fromkeys(["S0.3-1.0", "S0.3-4.0"], "model salmonn, second_per_window 0.3"),
        **dict.fromkeys(["S0.5-1.0", "S0.5-4.0"], "model salmonn, second_per_window 0.5"),
    }


def test_experiments_at_one_scaling_each_are_drawn_side_by_side(make, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "accuracy_bars", lambda *_, **how: drawn.append(how))
    rows = [scored("BASE", text(0.5, 0), 0.0), scored("A", text(0.4, 0), 2.0, adapter="tuned")]
    make(rows)
    assert [how["mean"] for how in drawn] == [False]


def test_a_smoke_run_says_so_in_its_title_and_above_its_table(make):
    page = make([scored("BASE", text(0.5, 0), 0.0)], limit=3)["accuracy.md"].decode()
    assert page.startswith("# text: smoke run on 3 items of each category\n")
    assert "**Warning.** A smoke run: at most 3 items of each category (study key 'limit')" in page
    assert page.index("A smoke run") < page.index("| experiment")


def test_a_partial_report_names_what_is_missing_and_why(make):
    missing = {"A": "the disk was full (results/logs/a.log)"}
    page = make([scored("BASE", text(0.5, 0), 0.0)], missing=missing)["accuracy.md"].decode()
    assert page.startswith("# text: partial report, 1 experiments missing\n")
    assert "**Warning.** A is missing: the disk was full (results/logs/a.log)" in page

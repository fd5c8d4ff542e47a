"""Reports of less than the study: of a smoke run, and of what is there after a failure."""

from pathlib import Path

import pandas as pd
import pytest

from lorascope.__main__ import main
from lorascope.errors import UserError
from lorascope.inspecting.partial import report_lines
from tests.support.small_study import Small

REPORT = Path("results/reports/small")


def shown(folder: Path) -> set[str]:
    return set(pd.read_csv(folder / "accuracy.csv")["experiment"])


def test_a_failed_run_reports_what_is_there_and_says_what_is_missing(finished: Small) -> None:
    whole = (REPORT / "accuracy.csv").read_bytes()
    (scores,) = Path("results/experiments/SF-0").glob("*/scores-*.parquet")
    scores.unlink()
    predictions = scores.with_name("predictions.parquet")
    predictions.write_bytes(predictions.read_bytes()[:-40])
    finished.study["report"] = {"title": "again"}
    done = finished.snakemake()
    assert done.returncode == 1
    assert f"{REPORT}/partial/accuracy.md: 1 of 2 experiments" in done.stdout
    assert shown(REPORT / "partial") == {"SF-1"}
    page = (REPORT / "partial/accuracy.md").read_text()
    assert "partial report, 1 experiments missing" in page
    assert "SF-0 is missing: " in page
    assert "predictions.parquet" in page
    assert (REPORT / "accuracy.csv").read_bytes() == whole
    finished.run()
    assert (REPORT / "accuracy.csv").read_bytes() == whole
    assert not (REPORT / "partial").exists()


def test_make_report_makes_the_whole_report_where_nothing_is_missing(
    finished: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (REPORT / "accuracy.csv").read_bytes()
    (manifest,) = REPORT.glob("manifest-*.json")
    finished.write("study.yaml")
    assert main(["report", "--configfile", "study.yaml"]) == 0
    assert capsys.readouterr().out == f"{REPORT}/accuracy.md: up to date\n"
    manifest.unlink()
    assert main(["report", "--configfile", "study.yaml"]) == 0
    assert capsys.readouterr().out == f"{REPORT}/accuracy.md: made\n"
    assert manifest.exists()
    assert (REPORT / "accuracy.csv").read_bytes() == whole


def test_make_report_before_anything_is_scored_says_what_is_to_do(new: Small) -> None:
    with pytest.raises(UserError, match=r"no experiment has scores yet.* SF-0: "):
        [*report_lines(new.planned())]


def test_a_smoke_run_leaves_the_real_report_alone(finished: Small) -> None:
    whole = {path: path.read_bytes() for path in REPORT.iterdir()}
    finished.study["limit"] = 1
    finished.run()
    smoke = REPORT / "limit-1"
    assert "smoke run on 1 items of each category" in (smoke / "accuracy.md").read_text()
    assert set(pd.read_csv(smoke / "accuracy.csv")["total"]) == {1}
    assert {path: path.read_bytes() for path in whole} == whole


def test_without_its_baseline_a_partial_report_has_accuracies_and_no_deltas(
    finished: Small,
) -> None:
    whole = pd.read_csv(REPORT / "accuracy.csv")
    (manifest,) = REPORT.glob("manifest-*.json")
    manifest.unlink()
    for path in Path("results/experiments/SF-1").glob("*/scores-*.parquet"):
        path.unlink()
    lines = [*report_lines(finished.planned())]
    assert lines == [
        f"{REPORT}/partial/accuracy.md: 1 of 2 experiments",
        "  missing: SF-1: to be scored",
    ]
    table = pd.read_csv(REPORT / "partial/accuracy.csv")
    assert table["accuracy_delta"].isna().all()
    other = whole[whole["experiment"] == "SF-0"]["accuracy"]
    assert table["accuracy"].to_list() == other.to_list()

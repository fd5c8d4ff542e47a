"""Reports of less than the study: of a smoke run, and of what is there after a failure."""

import json
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from lorascope.__main__ import main
from lorascope.errors import UserError
from lorascope.inspecting.partial import report_lines
from lorascope.stages import page
from lorascope.storage.records import file_sha256
from tests.support.browsed import value_of
from tests.support.small_study import Small

REPORT = Path("results/reports/small")


def browsed(folder: Path) -> set[str]:
    """Return the experiments of a page whose listing says the truth about all of its files."""
    (listing,) = folder.glob("page-*.json")
    files = json.loads(listing.read_text())["files"]
    assert all(file_sha256(folder / name) == sha256 for name, sha256 in files.items())
    found = {
        str(path.relative_to(folder)) for path in (folder / "page").rglob("*") if path.is_file()
    }
    assert found - {"page/clips.json"} == files.keys() - {"index.html"}
    return {one["id"] for one in value_of(folder / "page/data/study.js")["experiments"]}


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
    assert f"{REPORT}/partial/index.html: made" in done.stdout
    assert shown(REPORT / "partial") == {"SF-1"}
    assert browsed(REPORT / "partial") == {"SF-1"}
    text = (REPORT / "partial/accuracy.md").read_text()
    assert "partial report, 1 experiments missing" in text
    assert "SF-0 is missing: " in text
    assert "predictions.parquet" in text
    assert (REPORT / "accuracy.csv").read_bytes() == whole
    finished.run()
    assert (REPORT / "accuracy.csv").read_bytes() == whole
    assert browsed(REPORT) == {"SF-0", "SF-1"}
    assert not (REPORT / "partial").exists()


def test_make_report_makes_the_whole_report_where_nothing_is_missing(
    finished: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (REPORT / "accuracy.csv").read_bytes()
    (manifest,) = REPORT.glob("manifest-*.json")
    finished.write("study.yaml")
    assert main(["report", "--configfile", "study.yaml"]) == 0
    same = f"{REPORT}/accuracy.md: up to date\n{REPORT}/index.html: up to date\n"
    assert capsys.readouterr().out == same
    manifest.unlink()
    assert main(["report", "--configfile", "study.yaml"]) == 0
    made = f"{REPORT}/accuracy.md: made\n{REPORT}/index.html: up to date\n"
    assert capsys.readouterr().out == made
    assert manifest.exists()
    assert (REPORT / "accuracy.csv").read_bytes() == whole


def test_make_report_before_anything_is_scored_says_what_is_to_do(new: Small) -> None:
    with pytest.raises(UserError, match=r"no experiment has scores yet.* SF-0: "):
        [*report_lines(new.planned())]


def test_a_smoke_run_leaves_the_real_report_alone(finished: Small) -> None:
    whole = {path: path.read_bytes() for path in REPORT.rglob("*") if path.is_file()}
    finished.study["limit"] = 1
    finished.run()
    smoke = REPORT / "limit-1"
    assert "smoke run on 1 items of each category" in (smoke / "accuracy.md").read_text()
    assert set(pd.read_csv(smoke / "accuracy.csv")["total"]) == {1}
    (dataset,) = value_of(smoke / "page/data/study.js")["datasets"]
    assert dataset["items"] == 2
    (clip,) = (smoke / "page/clips").iterdir()
    assert clip.stat().st_ino == (REPORT / "page/clips" / clip.name).stat().st_ino
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
        f"{REPORT}/partial/index.html: made",
    ]
    assert browsed(REPORT / "partial") == {"SF-0"}
    table = pd.read_csv(REPORT / "partial/accuracy.csv")
    assert table["accuracy_delta"].isna().all()
    other = whole[whole["experiment"] == "SF-0"]["accuracy"]
    assert table["accuracy"].to_list() == other.to_list()


def no_page() -> None:
    """Have the stage fail when all but the study's data is written."""

    def refuse(*given: Any) -> NoReturn:
        raise UserError("no page today")

    page.summary = refuse


def test_a_page_that_fails_leaves_the_report_and_is_not_tried_twice(finished: Small) -> None:
    finished.study["report"] = {"title": "again"}
    (failed,) = finished.run({"page": no_page}).values()
    assert "no page today" in failed
    assert (REPORT / "accuracy.md").read_text().startswith("# again\n")
    (manifest,) = REPORT.glob("manifest-*.json")
    assert not (REPORT / "index.html").exists()
    assert [*report_lines(finished.planned(), retry=False)] == [
        f"{REPORT}/accuracy.md: up to date",
    ]
    assert [job.stage.name for job in finished.planned().left()] == ["page"]
    assert finished.run() == {}
    assert manifest.exists()
    assert "<base href=" in (REPORT / "index.html").read_text()


def test_only_the_page_is_made_again_where_its_clips_are_left_out(finished: Small) -> None:
    clips = REPORT / "page/clips"
    assert len([*clips.glob("*.flac")]) == 6
    item = value_of(REPORT / "page/data/items-0-0.js")["items"][0]
    assert (clips / item["clip"]["file"]).exists()
    finished.study["report"] = {"page": {"clips": False}}
    assert [job.stage.name for job in finished.planned().left()] == ["page"]
    assert finished.run() == {}
    assert not clips.exists()
    study = value_of(REPORT / "page/data/study.js")
    assert study["datasets"][0]["clips_note"] == "Clips are left out (report.page.clips)."
    assert value_of(REPORT / "page/data/items-0-0.js")["items"][0]["clip"]["file"] is None
    assert browsed(REPORT) == {"SF-0", "SF-1"}
    finished.study["report"] = {"page": {"clips": True}}
    shutil.rmtree("data-sets/data/Animal/audio")
    assert finished.run() == {}
    (dataset,) = value_of(REPORT / "page/data/study.js")["datasets"]
    assert dataset["clips_note"].startswith("6 of 6 clips are not here: data-sets/data/Animal/")
    assert "the audio file is missing" in dataset["clips_note"]
    assert value_of(REPORT / "page/data/index-0.js")["items"]["clip"] is None

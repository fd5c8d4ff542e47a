"""Snakemake's own report of a study: ``snakemake --report``, read and opened in a browser."""

import csv
import json
import re
import shutil
import zipfile
from collections import Counter
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.browser import browsing, watched
from tests.support.foreign import AUDIO, Stranger

TRACKERS = ["tensorboard"] if find_spec("tensorboard") else []
JOBS = {"dataset": 1, "encode": 1, "infer": 2, "merge": 2, "page": 1, "report": 1, "score": 2}
JOBS |= dict.fromkeys(["track"] * len(TRACKERS), 1)
# An ID may hold what reStructuredText takes for markup.
MARKED = "P_1_"
STUDY = AUDIO | {
    "description": "Is a *beep* heard?  .. raw:: html",
    "experiments": [
        {**AUDIO["experiments"][1], "id": "QUIET"},
        {**AUDIO["experiments"][1], "id": MARKED, "lora_scaling": 1},
    ],
    "baseline": "QUIET",
    "tracking": TRACKERS,
}
MODULE = """\
module lorascope:
    snakefile:
        "workflow/Snakefile"
    config:
        config["lorascope"]


use rule * from lorascope as lorascope_*
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Return a folder with a blank in its name, in which a run ended in Snakemake's report."""
    stranger = Stranger(tmp_path_factory.mktemp("with a blank"), STUDY)
    stranger.run("--report", "report.zip", "--report-after-run")
    return stranger


@pytest.fixture
def copy(made: Stranger, tmp_path: Path) -> Stranger:
    """Return a copy of that folder; every copied file is as new as any."""
    copy = deepcopy(made)
    copy.folder = copy.lab.folder = tmp_path / "lab"
    shutil.copytree(made.folder, copy.folder, copy_function=shutil.copy)
    return copy


@pytest.fixture(scope="module")
def unzipped(made: Stranger) -> Path:
    with zipfile.ZipFile(made.folder / "report.zip") as archive:
        archive.extractall(made.folder / "opened")
    return made.folder / "opened/report"


def parts(report: Path) -> dict[str, Any]:
    """Return what the script of a report holds, by the names of its variables."""
    names = "results|categories|rulegraph_spec|runtimes_spec"
    found = re.findall(rf"^ *var ({names}) = ([\[{{]\".*);$", report.read_text(), re.MULTILINE)
    return {name: json.loads(text) for name, text in found}


def graph(found: dict[str, Any]) -> list[str]:
    """Return the rules in the graph."""
    (nodes,) = [d["values"] for d in found["rulegraph_spec"]["data"] if d["name"] == "node-data"]
    return sorted(node["rule"] for node in nodes)


def times(found: dict[str, Any]) -> list[tuple[str, float]]:
    return sorted((job["rule"], job["runtime"]) for job in found["runtimes_spec"]["data"]["values"])


def test_the_graph_and_the_run_times_are_those_of_the_jobs(made, unzipped):
    found = parts(unzipped / "report.html")
    assert graph(found) == sorted([*JOBS, "default"])
    files = (made.folder / ".snakemake/metadata").rglob("*")
    records = [json.loads(file.read_text()) for file in files if file.is_file()]
    ran = {record["job_hash"]: record for record in records}.values()
    assert Counter(rule for rule, _ in times(found)) == JOBS
    for (rule, seconds), job in zip(times(found), sorted(ran, key=took), strict=True):
        # Each file of a job has its own end.
        assert (rule, pytest.approx(seconds, abs=0.2)) == took(job)


def took(job: dict[str, Any]) -> tuple[str, float]:
    """Return the rule and the seconds of a job, by Snakemake's record of a file it made."""
    return job["rule"], job["endtime"] - job["starttime"]


def test_every_file_is_there_with_caption_and_labels(made, unzipped):
    report = made.folder / "results/reports/heard"
    found = parts(unzipped / "report.html")
    shown = {}
    for category, below in found["categories"].items():
        for study, paths in below.items():
            assert study == "heard"
            shown |= {Path(path).name: (category, found["results"][path]) for path in paths}
    manifest = next(report.glob("manifest-*.json")).name
    tables = ["accuracy.csv", "accuracy.md", "comparison.csv", "outcomes.csv"]
    assert {name: category for name, (category, _) in shown.items() if name != "table.tex"} == {
        **dict.fromkeys(tables, "Tables"),
        "accuracy.svg": "Charts",
        "index.html": "Item page",
        manifest: "Provenance",
    }
    for name, (_, result) in shown.items():
        assert len(result["caption"]) > 80
        assert "system-message" not in result["caption"]
        assert result["labels"].keys() == {"file", "shows"}
        here = report / "page" / name if name == "index.html" else report / name
        assert (unzipped / result["data_uri"]).read_bytes() == here.read_bytes()
    packed = (unzipped / shown["index.html"][1]["data_uri"]).parent
    assert contents(packed) == contents(report / "page")


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_browser_shows_table_chart_page_and_graph(made, unzipped):
    rows = list(csv.DictReader((made.folder / "results/reports/heard/accuracy.csv").open()))
    ids = [row["experiment"] for row in rows]
    assert sorted(ids) == [MARKED, "QUIET"]
    report, size = unzipped / "report.html", {"width": 1400, "height": 900}
    with browsing() as browser, watched(browser, report, heard="error", viewport=size) as page:
        text = page.inner_text(".prose")
        assert STUDY["description"].replace("  ", " ") in text
        cells = page.locator(".prose tbody tr td").all_inner_texts()
        width = len(rows[0])
        assert cells[[*rows[0]].index("experiment") :: width] == ids
        place = [*rows[0]].index("accuracy")
        values = [float(row["accuracy"]) for row in rows]
        assert [float(cell) for cell in cells[place::width]] == pytest.approx(values, abs=0.005)
        page.wait_for_selector("#rulegraph canvas, #rulegraph svg")
        page.click("text=Statistics")
        page.wait_for_selector("#runtimes canvas, #runtimes svg")
        for category, seen in (("Charts", "img[src*=accuracy]"), ("Item page", "iframe")):
            page.locator(f"text={category}").first.click()
            page.locator("table.table-auto tbody a").first.click()
            page.wait_for_selector(seen)
            page.locator("text=Results").first.click()
        page.frame_locator("iframe").locator("body").filter(has_text="beep").wait_for()


def test_views_tell_what_a_run_would_do(copy):
    """Of files as new as any, where what others need again is gone."""
    lab = copy.lab
    shutil.rmtree(copy.folder / "results/features")
    lab.study["experiments"].append({**STUDY["experiments"][0], "id": "NEW", "lora_scaling": 2})
    summary = copy.run("--detailed-summary").splitlines()
    lines = [line.split("\t") for line in summary if line.startswith("results/")]
    pending = {line[0] for line in lines if line[-1] == "update pending"}
    copy.run("-n")
    assert pending == {path for job in lab.ran for path in job.outputs}
    assert {line[2] for line in lines} == set(JOBS)
    assert "shards/0-of-1.parquet" in "".join(line[0] for line in lines if "update" in line[-1])


def test_without_snakemakes_records_the_report_is_made_all_the_same(copy):
    shutil.rmtree(copy.folder / ".snakemake")
    copy.run("--report")
    found = parts(copy.folder / "report.html")
    assert graph(found) == sorted([*JOBS, "default"])
    assert times(found) == []
    names = {Path(path).name for path in found["results"]}
    # Snakemake puts no folder into a single file.
    assert "accuracy.csv" in names
    assert "index.html" not in names


def test_a_module_of_another_workflow_reports_too(copy):
    (copy.folder / "paper.smk").write_text(MODULE)
    (copy.folder / "paper.yaml").write_text(yaml.safe_dump({"lorascope": STUDY, "study": "x"}))
    options = ["--snakefile", "paper.smk", "--workflow-profile", "profiles/default"]
    done = copy.lab.snakemake(
        *(*options, "--configfile", "paper.yaml", "--report", "paper.zip", "lorascope_all"),
        study=None,
        pythonpath=copy.plugins,
    )
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(copy.folder / "paper.zip") as archive:
        archive.extractall(copy.folder)
    found = parts(copy.folder / "paper/report.html")
    assert graph(found) == sorted(f"lorascope_{rule}" for rule in [*JOBS, "all"])
    assert len(times(found)) == sum(JOBS.values())
    assert any(path.endswith("page/index.html") for path in found["results"])


def test_an_unfinished_study_is_refused_in_one_sentence(copy):
    next(copy.folder.glob("results/reports/heard/manifest-*")).unlink()
    done = copy.lab.snakemake("--report", "x.zip", pythonpath=copy.plugins)
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if "--report" in line]
    assert line.startswith(
        f"{copy.folder}/study.yaml: --report shows the report of a finished study, and 1 job"
    )
    assert "Traceback" not in done.stdout
    assert not (copy.folder / "x.zip").exists()

"""Searches that Snakemake runs: the worse candidates are asked a part, the last ones everything."""

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from lorascope.planning.plan import Plan, load_plan
from lorascope.planning.told import answers
from lorascope.storage.journal import Journal
from tests.support.basics import ROOT
from tests.support.lab import Lab, copy_repository


def answered(plan: Plan) -> dict[str, int]:
    """Return ID -> how many items were answered, merged or kept."""
    found = {}
    for planned in plan.experiments.values():
        if planned.predictions.exists():
            found[planned.id] = pq.read_metadata(planned.predictions).num_rows
        else:
            files = Journal(answers(planned.folder), planned.digest, "look").files()
            found[planned.id] = len({r["item_id"] for rows in files.values() for r in rows})
    return found


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def demo(folder: Path, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> Lab:
    """Return a copy of the repository with the default study, changed, as its study."""
    study = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    study["experiments"] = [{**study["experiments"][0], "id": "SF-{lora_scaling}"}]
    copy_repository(folder / "lab")
    (folder / "lab" / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(folder / "lab")
    return Lab(folder / "lab", {**study, "study": "searched", "baseline": "SF-4", **keys})


def scalings(lab: Lab, *values: float) -> None:
    """Let the experiments be those of these scalings."""
    lab.study["experiments"][0]["grid"] = {"lora_scaling": [*values]}


def run(lab: Lab) -> Plan:
    """Run the study to its end and return its plan."""
    done = lab.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    return load_plan(lab.study, "study.yaml")


def test_a_search_is_planned_as_far_as_it_is_known_and_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 32 items, of which the first part has 8."""
    search = {"among": "SF-{lora_scaling}", "parts": 4}
    lab = demo(tmp_path, monkeypatch, search=search, choose={"among": "SF-*"}, limit=4)
    scalings(lab, 0, 3, 4, 8)
    first = [name.split()[0] for name in lab.plan()]
    assert (first.count("infer"), first.count("search"), first.count("merge")) == (4, 2, 0)
    plan = run(lab)
    count, dropped = answered(plan), {*plan.dropped}
    assert dropped and not dropped & {"SF-4"}
    assert {count[name] for name in {*count} - dropped} == {32}
    assert {count[name] for name in dropped} <= {8, 16}
    folder = plan.report.folder
    assert {row["experiment"] for row in rows_of(folder / "accuracy.csv")} == {*count} - dropped
    decided = rows_of(folder / "search.csv")
    assert [row["items"] for row in decided if row["rung"] == "1"] == ["8"] * 4
    assert "## Search" in (folder / "accuracy.md").read_text(encoding="utf-8")
    assert lab.plan() == []
    scalings(lab, 0, 3, 4, 8, 5)
    after = answered(run(lab))
    assert all(after[name] >= number for name, number in count.items())
    assert after["SF-5"] >= 8


@pytest.mark.thorough
def test_on_the_demo_it_takes_less_than_half_of_the_answers_and_ends_near_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = demo(tmp_path, monkeypatch, search={"among": "SF-*"})
    scalings(lab, *(i / 2 for i in range(17)))
    plan = run(lab)
    count = answered(plan)
    last = {*count} - {*plan.dropped}
    assert sum(count.values()) <= 17 * 520 / 2
    lab.study |= {"search": [], "choose": {"among": "SF-*"}}
    rows = rows_of(run(lab).report.folder / "choices.csv")
    found = [row for row in rows if row["experiments"] in last]
    best = min(found, key=lambda row: float(row["behind"]))
    assert float(best["behind"]) <= float(best["behind_error"])

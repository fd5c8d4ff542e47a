"""Searches that Snakemake runs: the worse candidates are asked a part, the last ones everything."""

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from lorascope.planning.infer import answers
from lorascope.planning.plan import Plan, load_plan
from lorascope.storage.journal import Journal
from tests.support.basics import ROOT
from tests.support.lab import Lab, copy_repository
from tests.support.small_study import Small

SCALINGS = [0, 0.5, 1, 2]
SEARCH = {"among": "SF-{lora_scaling}", "parts": 4}


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


def test_a_search_is_planned_as_far_as_it_is_known_and_run_once(encoded: Small) -> None:
    encoded.study["experiments"][0]["grid"] = {"lora_scaling": SCALINGS}
    encoded.study |= {"search": SEARCH, "choose": {"among": "SF-{lora_scaling}"}, "shards": 1}
    first = encoded.plan()
    assert [name.split()[0] for name in first].count("infer") == 4
    assert [name.split()[0] for name in first].count("search") == 2
    done = encoded.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    plan = encoded.planned()
    count = answered(plan)
    left = [name for name in count if name not in plan.dropped]
    assert "SF-1" in left, "it is what others are compared with"
    assert {count[name] for name in left} == {12}
    assert {*count.values()} >= {12, 3}
    folder = plan.report.folder
    assert {row["experiment"] for row in rows_of(folder / "accuracy.csv")} == {*left}
    assert {row["candidate"] for row in rows_of(folder / "choices.csv")} == {
        f"lora_scaling {name.removeprefix('SF-')}" for name in left
    }
    decided = rows_of(folder / "search.csv")
    assert [row["items"] for row in decided if row["rung"] == "1"] == ["3"] * 4
    assert "## Search" in (folder / "accuracy.md").read_text()
    assert encoded.plan() == []
    assert encoded.snakemake().returncode == 0
    assert encoded.ran == []
    encoded.study["experiments"][0]["grid"] = {"lora_scaling": [*SCALINGS, 3]}
    again = encoded.snakemake("--cores", "2")
    assert again.returncode == 0, again.stdout
    after = answered(encoded.planned())
    assert all(after[name] >= number for name, number in count.items())
    assert after["SF-3"] >= 3


@pytest.mark.thorough
def test_on_the_demo_it_takes_less_than_half_of_the_answers_and_ends_near_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    grid = {"lora_scaling": [i / 2 for i in range(17)]}
    study["experiments"] = [{**study["experiments"][0], "id": "SF-{lora_scaling}", "grid": grid}]
    study |= {"study": "searched", "baseline": "SF-4", "search": {"among": "SF-*"}}
    copy_repository(tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    lab = Lab(tmp_path / "lab", study)
    done = lab.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    plan = load_plan(study, "study.yaml")
    count = answered(plan)
    last = [name for name in count if name not in plan.dropped]
    assert sum(count.values()) <= 17 * 520 / 2
    everything = {**study, "search": [], "choose": {"among": "SF-*"}}
    done = Lab(tmp_path / "lab", everything).snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    rows = rows_of(load_plan(everything, "study.yaml").report.folder / "choices.csv")
    best = min(
        (row for row in rows if row["experiments"] in last), key=lambda r: float(r["behind"])
    )
    assert float(best["behind"]) <= float(best["behind_error"])

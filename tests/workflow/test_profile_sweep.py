"""Profiles of scalings in a run: they share a loaded model, and are answered as each alone."""

import json
import math
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tests.support.cooperating import announced, counted
from tests.support.small_study import ITEMS, AtWork, Small

IDS = ["SF-1", "SF-early-off", "SF-q_proj-alone"]


def test_they_share_a_model_and_answer_as_each_alone(encoded: Small) -> None:
    encoded.study["shards"] = 1
    encoded.study["profiles"] = {
        "early-off": {"layers.0": 0},
        "ready": {"kinds": ["q_proj"], "scaling": 3},
    }
    encoded.study["experiments"][0]["batch_size"] = ITEMS
    names = [name.removeprefix("SF-") for name in IDS]
    encoded.study["experiments"][0]["grid"] = {"lora_scaling": [1, *names[1:]]}
    found = {}
    with announced(encoded.planned()) as jobs:
        assert [str(job.wildcards["id"]) for job in jobs] == IDS
        assert AtWork(jobs[0]).finished() == 0
        assert [counted(jobs[0])["model loads"], len(answers())] == [1, 3 * ITEMS]
        found = answers()
    # Each has as many rows at once as its batch size, so that the longest answer takes all steps.
    assert counted(jobs[0])["decoder steps"] == max(map(len, found.values())) - 1
    assert "SF-early-off: LoRA scaling layers.0 0 on" in jobs[0].log.read_text()
    shutil.rmtree("results/experiments")
    for job in jobs:
        at_work = AtWork(job)
        assert at_work.finished() == 0, at_work.output()
    assert answers() == found
    assert len({*map(str, found.values())}) > ITEMS

    assert encoded.run(until="report") == {}
    plan = encoded.planned()
    made = {one: pq.read_table(plan.experiments[one].predictions).to_pylist() for one in IDS}
    kept = {
        name: {(row["lora_scaling"], row["lora_profile"]) for row in made[name]} for name in IDS
    }
    assert kept == {
        "SF-1": {(1.0, None)},
        "SF-early-off": {(None, json.dumps({"layers.0": 0}))},
        "SF-q_proj-alone": {(None, json.dumps({"default": 0, "q_proj": 3}))},
    }
    report = plan.report.folder
    assert (report / "profiles.svg").exists() and (report / "profiles.png").exists()
    lines = (report / "profiles.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2  # two categories
    assert "early-off" in (report / "accuracy.md").read_text()
    assert not math.isnan(float(lines[1].split(",")[4]))
    assert {job.stage.name for job in plan.left()} == {"page"}


def answers() -> dict[tuple[str, str], list[int]]:
    """Return (experiment, item) -> tokens, of all journals."""
    found = {}
    for file in Path("results/experiments").glob("*/*/answers/*.jsonl"):
        for line in file.read_text().splitlines():
            answer = json.loads(line.partition(" ")[2])["answer"]
            found[file.parts[2], answer["item_id"]] = answer["tokens"]
    return found

"""Whole studies on tiny-salmonn: the same results however they are split, interrupted or named."""

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from lorascope.storage.features import read_features
from lorascope.storage.journal import Journal
from tests.support.basics import ROOT
from tests.support.lab import Lab, copy_repository, write_track
from tests.support.stagehand import Bench
from tests.support.studies import run

COUNT = 4
TRACKS = ("animal", "emotion", "gender", "language")
CATEGORIES = [f"{track}-{hop}" for track in TRACKS for hop in ("multi", "single")]
EXPERIMENT = {
    "model": "tiny-salmonn",
    "dataset": "clips",
    "batch_size": 5,
    "generation": {"max_new_tokens": 12},
}
STUDY: dict[str, Any] = {
    "study": "whole",
    "models": yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["models"],
    "datasets": {
        "clips": {
            "benchmark": "sakura",
            "source": "resources/mini-sakura",
            "items_per_category": COUNT,
            "encode_jobs": 2,
        }
    },
    "experiments": [{"id": "S-{lora_scaling}", "grid": {"lora_scaling": [0, 4]}, **EXPERIMENT}],
    "baseline": "S-0",
    "shards": 2,
}
COMPARED = ("prompt", "response", "tokens", "prompt_tokens", "finish_reason", "lora_scaling")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a copy of the repository in which Snakemake ran the study with two shards."""
    lab = Lab(tmp_path_factory.mktemp("whole"), deepcopy(STUDY))
    copy_repository(lab.folder)
    (lab.folder / "resources").symlink_to(ROOT / "resources")
    (lab.folder / "config.yaml").write_text("study: a default study that must not leak in\n")
    done = lab.snakemake()
    assert done.returncode == 0, done.stdout
    return lab


Start = Callable[..., Bench]


@pytest.fixture
def start(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Start:
    """Return a function that starts a changed study in a new folder; features are at hand."""
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    for name in ("datasets", "features"):
        shutil.copytree(lab.folder / "results" / name, tmp_path / "results" / name)
    monkeypatch.chdir(tmp_path)

    def bench(**changes: Any) -> Bench:
        return Bench(STUDY | changes, capsys)

    return bench


def answers(folder: Path, columns: tuple[str, ...] = COMPARED) -> dict[str, list]:
    """Return experiment ID -> the compared columns of its predictions, in order."""
    paths = sorted(folder.glob("results/experiments/*/*/predictions.parquet"))
    names = ["item_id", *columns]
    return {p.parts[-3]: pq.read_table(p, columns=names).to_pylist() for p in paths}


def verdicts(folder: Path) -> dict[str, list]:
    """Return experiment ID -> its scores."""
    paths = sorted(folder.glob("results/experiments/*/*/scores-*.parquet"))
    return {path.parts[-3]: pq.read_table(path).to_pylist() for path in paths}


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "accuracy.csv").read_text())))


# ------------------------------------------------------------------------------ one real run


def test_a_run_is_complete_and_is_not_repeated(lab: Lab) -> None:
    assert lab.plan() == []
    assert not list(lab.folder.glob("results/experiments/*/*/shards/*"))
    assert not list(lab.folder.glob("results/**/.*.parquet"))


def test_every_category_has_its_items_once(lab: Lab) -> None:
    for rows in verdicts(lab.folder).values():
        assert Counter(row["category"] for row in rows) == dict.fromkeys(CATEGORIES, COUNT)
        assert len({row["item_id"] for row in rows}) == COUNT * len(CATEGORIES)


def test_the_table_counts_what_the_scores_say(lab: Lab) -> None:
    scores = verdicts(lab.folder)
    rows = table(lab.folder / "results/reports/whole")
    assert len(rows) == 2 * len(CATEGORIES)
    for row in rows:
        found = [s for s in scores[row["experiment"]] if s["category"] == row["category"]]
        correct = sum(score["correct"] for score in found)
        assert (int(row["correct"]), int(row["total"])) == (correct, COUNT)
        assert float(row["accuracy"]) == pytest.approx(100 * correct / COUNT, abs=0.005)


def test_what_flipped_is_what_comparison_csv_counts(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(lab.folder)
    text = Path("results/reports/whole/comparison.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    changed = [row for row in rows if row["experiment"] == "S-4" and row["category"] in CATEGORIES]
    counted = {row["category"]: int(row["gained"]) + int(row["lost"]) for row in changed}
    asked = ("items", "--configfile", "study.yaml", "S-4", "--flipped", "--out", "-")
    flipped = [json.loads(line) for line in run(capsys, *asked)]
    assert sum(counted.values()) == len(flipped) > 0
    assert Counter(one["category"] for one in flipped) == Counter(counted)
    found = run(capsys, *asked[:-2], "--category", "animal-single")
    assert sum(line.startswith("animal-single/") for line in found) == counted["animal-single"]


@pytest.mark.parametrize("shards", [1, 7])
def test_the_number_of_shards_changes_nothing(lab: Lab, start: Start, shards: int) -> None:
    bench = start(shards=shards)
    report = bench.finish()
    assert answers(Path()) == answers(lab.folder)
    assert verdicts(Path()) == verdicts(lab.folder)
    assert (report / "accuracy.csv").read_bytes() == (
        lab.folder / report / "accuracy.csv"
    ).read_bytes()


# ------------------------------------------------------------------------------ interruptions

KILL_AFTER_A_BATCH = """
import os, signal, sys
from pathlib import Path
if "lorascope.stages.infer" in sys.orig_argv:
    from lorascope.storage.journal import Journal
    append = Journal.append
    def append_and_die(self, records):
        append(self, records)
        os.kill(os.getpid(), signal.SIGKILL)
    Journal.append = append_and_die
    from lorascope.inferring import worker
    worker.KEEP_SECONDS = 0
"""


def test_a_killed_job_loses_nothing_that_it_answered(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Killed by SIGKILL after a batch, under one shard; finished under three."""
    (tmp_path / "sitecustomize.py").write_text(KILL_AFTER_A_BATCH)
    new = {"id": "K", "lora_scaling": 4, **EXPERIMENT, "seed": 7}
    study = {**lab.study, "experiments": [*lab.study["experiments"], new], "shards": 1}
    killed = Lab(lab.folder, study).snakemake("K", pythonpath=tmp_path)
    assert killed.returncode != 0
    monkeypatch.chdir(lab.folder)
    bench = Bench(study | {"shards": 3}, capsys)
    folder = bench.plan.experiments["K"].folder
    kept = [path for path in (folder / "answers").glob("*.jsonl") if path.stat().st_size]
    (first,) = kept
    before = first.read_bytes()
    assert 0 < before.count(b"\n") < COUNT * len(CATEGORIES)
    bench.make("infer")
    assert first.read_bytes() == before
    texts = (path.read_text() for path in (folder / "answers").glob("*.jsonl"))
    lines = [line for text in texts for line in text.splitlines()]
    # Every item is answered exactly once, those of the killed job included.
    assert len(lines) == COUNT * len(CATEGORIES)
    assert len(Journal(folder / "answers", folder.name, "reader").read()) == len(lines)
    bench.finish()
    found = answers(lab.folder)
    assert found["K"] == found["S-4"]


# ------------------------------------------------------------------------------ other studies


def test_the_table_shows_the_three_newest_of_repeated_runs(start: Start) -> None:
    sampled = EXPERIMENT["generation"] | {"do_sample": True}
    runs = [{**EXPERIMENT, "id": "R", "lora_scaling": 4, "runs": 4, "generation": sampled}]
    bench = start(experiments=runs, baseline="R", limit=1)
    rows = table(bench.finish())
    found = {row["experiment"]: row["runs"] for row in rows}
    assert found == {"R-1": "1", "R-2": "1", "R-3": "1", "R (mean of 4 runs)": "4"}
    assert len(answers(Path())) == 4


def test_a_published_baseline_is_what_deltas_refer_to(start: Start) -> None:
    published = {category: 40.0 + place for place, category in enumerate(CATEGORIES)}
    bench = start(baseline=published)
    rows = table(bench.finish())
    assert len(rows) == 2 * len(CATEGORIES)
    for row in rows:
        delta = float(row["accuracy"]) - published[row["category"]]
        assert float(row["accuracy_delta"]) == pytest.approx(delta, abs=0.006)


def test_a_limit_keeps_so_many_items_of_each_category(start: Start) -> None:
    bench = start(limit=2, experiments=[{"id": "L", "lora_scaling": 4, **EXPERIMENT}], baseline="L")
    bench.finish()
    (rows,) = verdicts(Path()).values()
    assert Counter(row["category"] for row in rows) == dict.fromkeys(CATEGORIES, 2)


def test_controls_and_audio_conditions(start: Start) -> None:
    """One study of every way to present a clip; each is encoded on its own."""
    write_track(Path("tones"), "Animal", ["cat", "dog"])
    padded = {"position": "late", "target_len": "1.5e0"}
    conditions: dict[str, dict] = {
        "source": {},
        "zeros": {"audio": {"type": "zero-padded", **padded}},
        "noise": {"audio": {"type": "noised", "noise_sigma": "1e-1", **padded}},
        "shuffled": {"control": "shuffled"},
        "silent": {"control": "silent"},
    }
    clips = {"benchmark": "sakura", "source": "tones", "tracks": ["animal"], "hops": ["single"]}
    bench = start(
        datasets={name: {**clips, **condition} for name, condition in conditions.items()},
        experiments=[
            {**EXPERIMENT, "id": name, "dataset": name, "lora_scaling": 4} for name in conditions
        ],
        baseline="source",
    )
    bench.finish()
    plan = bench.plan
    items, features = {}, {}
    for name, planned in plan.experiments.items():
        rows = pq.read_table(planned.features.dataset.items).to_pylist()
        items[name] = {row["item_id"]: row for row in rows}
        features[name] = {}
        for path in planned.features.files:
            features[name] |= read_features(path, planned.features.digest)
    for name in conditions:
        assert items[name].keys() == items["source"].keys()
        assert [items[name][i]["question"] for i in sorted(items[name])] == [
            items["source"][i]["question"] for i in sorted(items["source"])
        ]
    heard = {i: row["clip"] for i, row in items["shuffled"].items()}
    own = {i: row["clip"] for i, row in items["source"].items()}
    assert heard != own
    assert Counter(heard.values()) == Counter(own.values())
    for name in ("zeros", "noise"):
        assert len({array.shape for array in features[name].values()}) == 1
    different = [
        {clip: array.tobytes() for clip, array in features[name].items()}
        for name in ("source", "zeros", "noise", "silent")
    ]
    for clip in own.values():
        assert len({found[clip] for found in different}) == 4

"""Whole studies with null adapters: of a trained LoRA, of one that a SALMONN brings along."""

import csv
import json
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from lorascope.inspecting.overview import plan_lines, size_text
from lorascope.planning.derive import plan_derived
from lorascope.reporting.nulls import p_values
from tests.support.basics import ROOT
from tests.support.cooperating import announced, kept, loads
from tests.support.lab import write_track
from tests.support.passages import PARAGRAPHS, QUESTIONS, passages_study, write_squad
from tests.support.small_study import STUDY as SALMONN
from tests.support.small_study import AtWork
from tests.support.stagehand import QUIET, Bench, answers
from tests.support.tiny_salmonn_files import write_salmonn
from tests.support.tiny_text_files import write_model

TRAIN = {
    "data": {"format": "squad", "source": "dev.json", "prompt": "{context} {question}"},
    "rank": 2,
    "alpha": 16,
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 0.05,
}
STUDY = passages_study(
    "nulls",
    [
        {"id": "BASE"},
        {"id": "{adapter}-{lora_scaling}", "grid": {"adapter": ["mine"], "lora_scaling": [-2, 2]}},
        {"id": "{adapter}-{lora_scaling}", "lora_scaling": 2, "adapter": "chance"},
        {"id": "{adapter}-{lora_scaling}", "lora_scaling": 2, "adapter": "moved"},
        {"id": "{adapter}-{lora_scaling}", "lora_scaling": 2, "adapter": "turned"},
    ],
    adapters={
        "mine": {"model": "llama", "train": TRAIN},
        "chance": {"null_of": "mine", "draws": 2},
        "moved": {"null_of": "mine", "kind": "shuffled"},
        "turned": {"null_of": "mine", "kind": "sign"},
    },
    shards=2,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("nulls")
    write_model(folder / "llama")
    write_squad(folder / "dev.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Bench(STUDY, QUIET).finish()
    return folder


@pytest.fixture
def bench(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(finished)
    return Bench(STUDY, QUIET)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_a_null_of_the_other_sign_answers_as_the_real_one_at_minus_s(bench: Bench) -> None:
    given = answers(bench)
    assert given["turned-2"] == given["mine--2"] != given["BASE"]
    assert len({json.dumps(one) for one in given.values()}) > 4


def test_a_plan_says_how_large_the_nulls_of_a_training_will_be(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("llama", "dev.json"):
        Path(name).symlink_to(finished / name)
    (disk,) = (s for s in plan_lines(Bench(STUDY, QUIET).plan, []) if s.startswith("disk: "))
    files = [*finished.glob("results/derived/*/*/adapter_model.safetensors")]
    size = sum(t.nbytes for file in files for t in load_file(file).values())
    assert len(files) == 4
    assert disk.startswith(f"disk: {size_text(size)} of derived adapters, ")


def test_its_report_has_a_section_of_nulls(bench: Bench) -> None:
    folder = bench.plan.report.folder
    found = rows(folder / "nulls.csv")
    assert [(row["experiment"], row["nulls"], row["draws"]) for row in found][::2] == [
        ("mine-2", "random", "2"),
        ("mine-2", "shuffled", "1"),
        ("mine-2", "sign", "1"),
    ]
    assert {row["experiment"] for row in rows(folder / "accuracy.csv")} == {
        "BASE",
        "mine--2",
        "mine-2",
    }
    draws = rows(folder / "null_draws.csv")
    assert {row["draw"] for row in draws} == {"", "chance-0-2", "chance-1-2", "moved-2", "turned-2"}
    assert "## Against null adapters" in (folder / "accuracy.md").read_text()
    assert (folder / "nulls.png").stat().st_size > 5_000
    page = (folder / "page" / "data" / "study.js").read_text()
    assert "chance-1-2" in page


def test_a_damaged_null_is_made_again_and_the_answers_stay(bench: Bench) -> None:
    null = plan_derived(bench.plan.context, "chance-0")
    whole = null.files["weights"].read_bytes()
    null.files["weights"].write_bytes(whole[:-8])
    (job, *_) = (j for j in bench.plan.of_stage("infer") if j.wildcards["id"] == "chance-0-2")
    code, said = bench.run(job)
    assert code == 1
    assert "moved aside" in Path("log").read_text() + said
    assert bench.left() == []  # what is answered needs no adapter
    for path in bench.plan.experiments["chance-0-2"].folder.glob("predictions.parquet"):
        path.unlink()
    assert "derive" in bench.left()
    bench.finish()
    assert plan_derived(bench.plan.context, "chance-0").files["weights"].read_bytes() == whole


def test_one_job_answers_all_nulls_with_one_model(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At their scalings, row by row, and under one adapter after the other."""
    monkeypatch.chdir(tmp_path)
    for name in ("llama", "dev.json"):
        Path(name).symlink_to(finished / name)
    study = deepcopy(STUDY)
    del study["experiments"][2]["lora_scaling"]
    study["experiments"][2]["grid"] = {"lora_scaling": [1, 2]}
    bench = Bench(study, QUIET)
    bench.make("dataset", "finetune", "derive")
    with announced(bench.plan) as jobs:
        at_work = AtWork(jobs[0])
        assert at_work.finished() == 0, at_work.output()
        found = kept(bench.plan)
    assert {len(items) for items in found.values()} == {PARAGRAPHS * QUESTIONS // STUDY["shards"]}
    assert len(found) == 9
    assert loads() == 1
    bench.make("infer", "merge")
    with monkeypatch.context() as patch:
        patch.chdir(finished)
        alone = answers(Bench(STUDY, QUIET))
    together = answers(bench)
    assert {name: together[name] for name in alone} == alone


def test_nulls_of_the_adapter_that_a_salmonn_brings_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_salmonn(Path("models"))
    write_track(Path("data-sets"), "Animal", ["cat", "dog", "cow"])
    study = deepcopy(SALMONN)
    (own,) = study["experiments"]
    own = {**own, "grid": {"lora_scaling": [-6, 0, 6]}, "id": "OWN-{lora_scaling}"}
    null = {**own, "id": "{adapter}-{lora_scaling}", "grid": {"lora_scaling": [6]}}
    study["adapters"] = {
        "turned": {"null_of": "tiny", "kind": "sign"},
        "chance": {"null_of": "tiny"},
    }
    study["experiments"] = [own, {**null, "adapter": "turned"}, {**null, "adapter": "chance"}]
    bench = Bench(study | {"baseline": "OWN-0", "shards": 1}, QUIET)
    # A null hears what the real one hears: clips are encoded once.
    assert bench.left().count("encode") == 1
    folder = bench.finish()
    given = answers(bench)
    assert given["turned-6"] == given["OWN--6"] != given["OWN-0"]
    assert given["chance-6"] != given["OWN-6"]
    found = rows(folder / "nulls.csv")
    assert {(row["adapter"], row["experiment"]) for row in found} == {("tiny (its own)", "OWN-6")}


@pytest.mark.slow
@pytest.mark.thorough
def test_a_trained_adapter_lies_outside_its_nulls_and_a_random_one_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiny-llama learns a task, and forgets of the other one, as no null of its does."""
    monkeypatch.chdir(tmp_path)
    Path("resources").symlink_to(ROOT / "resources")
    study = yaml.safe_load((ROOT / "studies/tiny-llama-forgetting.yaml").read_text())
    study["adapters"]["chance"] = {"null_of": "new-task", "draws": 20}
    base, _, tuned, _ = study["experiments"]
    study["experiments"] = [
        {**(base if name.startswith("BASE") else tuned), "id": name, "dataset": dataset, **own}
        for dataset in ("original", "new")
        for name, own in (
            (f"BASE-{dataset}", {}),
            (f"REAL-{dataset}", {"adapter": "new-task", "lora_scaling": 2}),
            (f"{dataset}-{{adapter}}", {"adapter": "chance", "lora_scaling": 2}),
        )
    ]
    for experiment in study["experiments"]:
        experiment.pop("grid", None)
    study |= {"baseline": ["BASE-original", "BASE-new"], "limit": 60, "retain": []}
    folder = Bench(study, QUIET).finish()
    found = {row["category"]: row for row in rows(folder / "nulls.csv")}
    assert (found["new-em"]["rank"], found["original-em"]["rank"]) == ("1", "21")
    draws = rows(folder / "null_draws.csv")
    for category, row in found.items():
        assert not float(row["null_low"]) <= float(row["delta"]) <= float(row["null_high"])
        values = [float(d["value"]) for d in draws if d["category"] == category and d["draw"]]
        # One null among the 19 others is no adapter that has learned something.
        assert p_values(values[0], values[1:]).two_sided > 0.1

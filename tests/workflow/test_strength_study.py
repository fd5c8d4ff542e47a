"""A whole study of strengths: a DoRA, and a fully fine-tuned copy of the model, weakened."""

import csv
import json
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lorascope.inspecting.export import export_lines
from lorascope.models.hf_text.answerer import load
from lorascope.planning.plan import load_plan
from tests.support.browsed import cells, read_page
from tests.support.cooperating import loads
from tests.support.lab import Lab, copy_repository
from tests.support.passages import passages_study, write_squad
from tests.support.settings import defaults
from tests.support.tiny_text_files import write_adapter, write_model
from tests.support.weight_changes import write_change, write_checkpoint

STUDY = passages_study(
    "strengths",
    [
        {"id": "{adapter}-{strength}", "grid": {"adapter": ["dora", "tuned"], "strength": [0.5]}},
        {"id": "dora-0", "adapter": "dora", "strength": 0},
        {"id": "dora-own", "adapter": "dora"},
        {"id": "lora-0.5", "adapter": "lora", "lora_scaling": 0.5},
        {"id": "BASE"},
    ],
    adapters={name: {"model": "llama", "source": name} for name in ("dora", "tuned", "lora")},
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return the study once Snakemake has run it."""
    folder = tmp_path_factory.mktemp("strengths")
    lab = Lab(folder, deepcopy(STUDY))
    copy_repository(folder)
    model = write_model(folder / "llama")
    write_change(folder / "dora", model, use_dora=True, modules_to_save=["lm_head"])
    write_checkpoint(folder / "tuned", model, steps=60)
    write_adapter(folder / "lora", model)
    write_squad(folder / "dev.json")
    done = lab.snakemake()
    assert done.returncode == 0, done.stdout
    return lab


@pytest.fixture
def here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.chdir(lab.folder)
    return lab


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path("results/reports/strengths", name).open()))


def column(table: pa.Table, name: str) -> dict[str, Any]:
    """Return item -> its cell."""
    return dict(zip(table["item_id"].to_pylist(), table[name].to_pylist(), strict=True))


def test_the_model_is_loaded_once_and_nothing_is_left(here: Lab) -> None:
    assert loads() == 1
    assert load_plan(deepcopy(STUDY), "study.yaml").left() == []


def test_each_experiment_says_what_the_model_says_at_its_strength(here: Lab) -> None:
    plan = load_plan(deepcopy(STUDY), "study.yaml")
    settings = defaults("hf_text") | {"model": "llama"}
    tokens: dict[str, Any] = {}
    for name, planned in plan.experiments.items():
        table = pq.read_table(planned.predictions)
        tokens[name] = dict(
            zip(*(table[k].to_pylist() for k in ("item_id", "tokens")), strict=True)
        )
        own = planned.experiment.settings
        strength = 1 if name == "dora-own" else own.strength
        scaling = {"lora-0.5": 0.5, "BASE": 0.0}.get(name)
        assert set(table["strength"].to_pylist()) == {strength}
        assert set(table["lora_scaling"].to_pylist()) == {scaling}
    generation = plan.experiments["BASE"].fingerprint["generation"]
    items = pq.read_table(plan.experiments["BASE"].dataset.items)
    questions = column(items, "question")
    for name in ("dora-0.5", "tuned-0.5", "dora-1"):
        adapter, _, strength = name.partition("-")
        model = load(settings, "cpu", "float32", None, adapter, float(strength))
        for item, question in questions.items():
            found = model.answer([question], [None], generation, [0])[0].tokens
            assert found == tokens.get(name, tokens["dora-own"])[item], name
    assert tokens["dora-0"] == tokens["BASE"]
    others = [tokens[name] for name in ("BASE", "dora-own", "dora-0.5", "tuned-0.5")]
    assert all(others.count(one) == 1 for one in others)


def test_the_report_shows_strengths(here: Lab) -> None:
    folder = Path("results/reports/strengths")
    accuracy = rows("accuracy.csv")
    columns = list(accuracy[0])
    assert columns[columns.index("lora_scaling") + 1] == "strength"
    shown = {row["experiment"]: (row["lora_scaling"], row["strength"]) for row in accuracy}
    assert shown["dora-0.5"] == ("", "0.5") and shown["dora-own"] == ("", "1.0")
    assert shown["lora-0.5"] == ("0.5", "") and shown["BASE"] == ("0.0", "")
    assert "LoRA scaling, or strength" in (folder / "accuracy.svg").read_text()
    page = (folder / "accuracy.md").read_text()
    assert "- tuned is a whole model: there is no s B A to look into." in page
    assert "- dora is more than s B A, of which alone the numbers are: use_dora (" in page
    assert {row["adapter"] for row in rows("audits.csv")} == {"dora", "lora"}
    manifest = json.loads(next(folder.glob("manifest-*.json")).read_text())
    assert "axis" in json.dumps(manifest)
    assert "LoRA scaling, or strength" in (folder / "table.tex").read_text()


def test_the_page_shows_a_fully_fine_tuned_model_at_its_strength(here: Lab) -> None:
    """Among the experiments with its table's values, and as a point of the chart."""
    study = read_page(Path("results/reports/strengths"))["study"]
    (tuned,) = (one for one in study["experiments"] if one["id"] == "tuned-0.5")
    assert (tuned["adapter"], tuned["strength"], tuned["lora_scaling"]) == ("tuned", 0.5, None)
    assert study["axis"] == "LoRA scaling, or strength"
    points = [one for one in cells(study["points"]) if one["series"] == "adapter tuned"]
    values = {
        row["category"]: row for row in rows("accuracy.csv") if row["experiment"] == tuned["id"]
    }
    assert {one["category"] for one in points} == {*values} != set()
    for one in points:
        assert one["lora_scaling"] == 0.5
        assert one["accuracy"] == pytest.approx(
            float(values[one["category"]]["accuracy"]), abs=0.05
        )


def test_what_it_is_told_in_other_tools_formats(here: Lab) -> None:
    plan = load_plan(deepcopy(STUDY), "study.yaml")
    ids = ["tuned-0.5", "lora-0.5"]
    asked: Any = SimpleNamespace(format="jsonl", out=Path("exported"), id=ids, force=False)
    assert any("as jsonl" in line for line in export_lines(plan, asked))
    found = {
        settings["experiment"]: settings
        for path in Path("exported").rglob("*.jsonl")
        for settings in [json.loads(path.read_text().splitlines()[0])["settings"]]
    }
    assert found["tuned-0.5"]["strength"] == 0.5 and found["tuned-0.5"]["lora_scaling"] is None
    assert "strength" not in found["lora-0.5"] and found["lora-0.5"]["lora_scaling"] == 0.5

"""The study of make demo-text: tiny-llama learns a new task by LoRA and forgets some of another."""

import csv
from pathlib import Path

import pytest
import yaml

from tests.support.basics import ROOT
from tests.support.stagehand import Bench

STUDY = ROOT / "studies/tiny-llama-forgetting.yaml"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_learns_one_task_and_forgets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    report = Bench(yaml.safe_load(STUDY.read_text(encoding="utf-8")), capsys).finish()
    table = {(r["experiment"], r["category"]): r for r in rows(report / "accuracy.csv")}
    score = {key: float(row["accuracy"]) for key, row in table.items()}

    def em(task: str, scaling: float) -> float:
        return score[f"LORA-{scaling:g}-{task.upper()}", f"{task}-em"]

    assert score["BASE-ORIGINAL", "original-em"] == em("original", 0) > 95
    assert score["BASE-NEW", "new-em"] == em("new", 0) < 5
    # Another machine rounds otherwise, and trains another adapter: this held for all seeds tried.
    assert em("new", 2) > 90
    assert em("new", 2) > em("new", 1) > em("new", 0.5)
    assert em("original", 0.5) > em("original", 2) > em("original", 4)
    verdicts = {r["experiment"]: r["verdict"] for r in rows(report / "retention.csv")}
    assert verdicts["LORA-0-ORIGINAL"] == "pass"
    assert verdicts["LORA-2-ORIGINAL"] == verdicts["LORA-4-ORIGINAL"] == "fail"
    assert {path.name for path in report.iterdir()} >= {"accuracy.png", "loss.png", "accuracy.md"}

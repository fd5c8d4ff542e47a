"""What tiny-llama forgets, and the page "Your own task" followed literally with its adapter.

The page trains the adapter of the study of make demo-text, which is trained once here.
"""

import csv
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorascope.__main__ import main
from lorascope.planning.plan import load_plan
from tests.support.basics import ROOT
from tests.support.lab import ENVIRONMENT
from tests.support.pages import Block, blocks, sections
from tests.support.stagehand import QUIET, Bench

PAGE = sections("docs/your-own-task.md")
STEPS = ["The questions", "The adapter", "The study", "The run", "The same by hand"]
OTHERS = [*PAGE][[*PAGE].index("Other tasks") + 1 :]
RUN_TOO = [
    "Multiple choice by likelihood",
    "Free answers with numbers",
    "A scorer of your own",
]
LAST = "Local files in place of the hub's"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Move into a folder in which the study of make demo-text was run."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "resources").symlink_to(ROOT / "resources")
    shutil.copytree(ROOT / "studies", folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        bench("studies/tiny-llama-forgetting.yaml").finish()
        yield folder


def bench(file: str) -> Bench:
    return Bench(yaml.safe_load(Path(file).read_text(encoding="utf-8")), QUIET)


def test_it_learns_one_task_and_forgets_another(place):
    report = place / "results/reports/tiny-llama-forgetting"
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


# --------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def followed(place: Path) -> dict[str, str]:
    """Follow the steps of the page; return command -> what it printed."""
    return {
        command: printed
        for step in STEPS
        for block in blocks(PAGE[step])
        for command, printed in follow(block)
    }


def follow(block: Block) -> Iterator[tuple[str, str]]:
    """Write a file of the page, or run its commands; yield each with what it printed.

    Stages run in this process, without Snakemake, and so does lorascope.
    """
    if block.file:
        block.write()
    for command in block.commands:
        words = shlex.split(command)
        if words[0] == "snakemake":
            study = bench(words[words.index("--configfile") + 1])
            study.make("finetune") if "--until" in words else study.finish()
            yield command, ""
        elif words[0] == "lorascope" and ">" not in words:
            with redirect_stdout(StringIO()) as printed:
                assert main(words[1:]) == 0, command
            yield command, printed.getvalue()
        else:
            yield command, shell(command)


def shell(command: str) -> str:
    path = {"PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(
        command, shell=True, env=ENVIRONMENT | path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_the_study_is_begun_as_the_page_says(followed):
    (printed,) = [text for command, text in followed.items() if "lorascope new" in command]
    shown = [block.text for block in blocks(PAGE["The study"]) if not block.kind]
    assert [printed] == shown


def test_it_ends_in_the_table_of_the_page(followed):
    table = next(text for command, text in followed.items() if command.startswith("cat "))
    found = {row["experiment"]: row for row in rows(Path("results/reports/where/accuracy.csv"))}
    lines = [line for line in PAGE["The run"].splitlines() if line.startswith("| where-")]
    for line in lines:
        name, category, correct, *_, accuracy, delta = map(str.strip, line.strip("|").split("|"))
        row = found[name]  # the last of its categories is f1, the same where all replies are whole
        assert f"| {category} " in table
        if name in ("where-0", "where-2"):
            assert (float(row["accuracy"]), float(row["accuracy_delta"])) == (
                float(accuracy),
                float(delta),
            )
        assert abs(float(row["correct"]) - int(correct)) <= 2
    assert len(lines) == len(found) == 5


def test_the_study_by_hand_is_short_and_says_the_same(followed):
    text = Path("studies/by-hand.yaml").read_text()
    assert len(text.splitlines()) <= 25
    plan = bench("studies/by-hand.yaml").plan
    assert list(plan.experiments) == ["OWN-0", "OWN-1", "OWN-2"]
    assert [job.stage.name for job in plan.left()].count("infer") == 3


def other(section: str) -> dict[str, Any]:
    """Return the study by hand with the lines of a section, whose files are written."""
    study = yaml.safe_load(Path("studies/by-hand.yaml").read_text())
    for block in blocks(PAGE[section]):
        for _ in follow(block):
            pass
        if block.kind == "yaml" and not block.file:
            changes = yaml.safe_load(block.text)
            for key, value in changes.items():
                study[key] = study[key] | value if isinstance(value, dict) else value
    return study


@pytest.mark.parametrize("section", [name for name in OTHERS if name != LAST])
def test_the_lines_of_another_task_are_planned(section, followed):
    study = other(section)
    assert load_plan(deepcopy(study), section).left()
    if section in RUN_TOO:
        (experiment,) = study["experiments"]
        experiment["grid"] = {"lora_scaling": [1]}
        study |= {"study": section.replace(" ", "-").replace("'", ""), "baseline": "OWN-1"}
        report = Bench(study, QUIET).finish()
        assert {row["experiment"] for row in rows(report / "accuracy.csv")} == {"OWN-1"}


def test_a_second_file_puts_local_files_in_place_of_the_hubs(followed):
    for block in blocks(PAGE[LAST]):
        for _ in follow(block):
            pass
    study = yaml.safe_load(Path("studies/mine.yaml").read_text())
    assert study["models"]["smollm2"]["model"] == "/models/SmolLM2-135M-Instruct"
    assert study["datasets"]["gsm8k"]["source"] == "data/gsm8k-test.jsonl"
    assert study["datasets"]["arc"]["source"]["hub"] == "allenai/ai2_arc"
    assert main(["plan", "--configfile", "studies/mine.yaml"]) == 0

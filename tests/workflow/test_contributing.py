"""CONTRIBUTING.md followed literally, in a copy of the repository: benchmark, scorer, stage."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.support.lab import BIN, ENVIRONMENT, ROOT, Lab, copy_repository
from tests.support.tiny_text_files import write_model

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# A path in backquotes, words up to a colon, and the code of that file, or of a line in it.
BLOCKS = re.findall(r"`(workflow/[\w./]+)`[^`]*(?:`[A-Z]+`)?:\n\n```\w+\n(.*?)```", TEXT, re.DOTALL)
LINES = {path: code for path, code in BLOCKS if len(code.splitlines()) == 1}
STUDY = {
    "study": "followed",
    "models": {"llama": {"family": "hf_text", "model": "llama"}},
    "datasets": {"hard": {"benchmark": "riddles", "source": "riddles.txt", "riddles": 3}},
    "experiments": [
        {
            "id": "R",
            "model": "llama",
            "dataset": "hard",
            "scorer": "last_letter",
            "generation": {"max_new_tokens": 5},
        }
    ],
    "baseline": "R",
}
RIDDLES = "What {}? (a) a dog (b) a cat\t{}\n"


def add_line(path: Path, line: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(after) == 1
    path.write_text(text.replace(after, after + line), encoding="utf-8")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a copy of the repository with what CONTRIBUTING.md adds, before it is run."""
    folder = tmp_path_factory.mktemp("followed")
    copy_repository(folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    registry = folder / "workflow/lorascope/study/registry.py"
    for path, code in BLOCKS:
        if len(code.splitlines()) > 1:
            assert not (folder / path).exists(), "the example is there already"
            (folder / path).write_text(code, encoding="utf-8")
        elif path.endswith("registry.py"):
            kind = "BENCHMARKS" if ":BENCHMARK" in code else "SCORERS"
            pattern = rf"{kind} = Registry\(\n.*?\n    {{\n"
            (head,) = re.findall(pattern, registry.read_text(encoding="utf-8"), re.DOTALL)
            add_line(registry, code, head)
        else:
            add_line(folder / path, code, 'include: "rules/gate.smk"\n')
    plan = folder / "workflow/lorascope/planning/plan.py"
    add_line(plan, "    lengths,\n", "    judge,\n")
    add_line(plan, "        lengths.STAGE,\n", "        merge.STAGE,\n")
    riddles = [("barks", "a"), ("purrs", "b"), ("hunts mice", "b"), ("fetches", "a")]
    (folder / "riddles.txt").write_text("".join(RIDDLES.format(*riddle) for riddle in riddles))
    write_model(folder / "llama")
    return Lab(folder, STUDY)


def test_a_plug_in_is_a_module_and_a_line_and_a_stage_five_places():
    paths = [path for path, _ in BLOCKS]
    new = {path for path, code in BLOCKS if len(code.splitlines()) > 1}
    assert new == {
        "workflow/lorascope/benchmarks/riddles.py",
        "workflow/lorascope/scoring/last_letter.py",
        "workflow/lorascope/planning/lengths.py",
        "workflow/lorascope/stages/lengths.py",
        "workflow/rules/lengths.smk",
    }
    assert {*paths} - new == {"workflow/lorascope/study/registry.py", "workflow/Snakefile"}
    assert "`STAGES` of `workflow/lorascope/planning/plan.py`" in TEXT


def test_what_it_adds_keeps_the_checks_of_the_house(lab):
    for command in (
        ["ruff", "check", "workflow"],
        ["ruff", "format", "--check", "workflow"],
        ["snakefmt", "--check", "workflow"],
        ["lint-imports", "--no-cache"],
    ):
        done = subprocess.run(
            [BIN / command[0], *command[1:]],
            cwd=lab.folder,
            env=ENVIRONMENT | {"PYTHONPATH": str(lab.folder / "workflow")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Congratulations" in lab.snakemake("--lint").stdout


def test_a_study_with_them_is_planned_and_runs(lab):
    assert [job.split()[0] for job in lab.plan()] == [
        *("dataset", "infer", "lengths", "merge", "page", "report", "score")
    ]
    done = lab.snakemake()
    assert done.returncode == 0, done.stdout
    table = pd.read_csv(lab.folder / "results/reports/followed/accuracy.csv")
    assert table[["experiment", "category", "total"]].to_numpy().tolist() == [["R", "riddles", 3]]
    (lengths,) = lab.results("experiments/R/*/lengths-*.json")
    measured = json.loads(lengths.read_text())
    assert 1 <= measured["mean"] <= measured["largest"] <= 5
    assert lab.plan() == []


def test_code_of_the_new_stage_decides_its_files_alone(lab):
    lab.edit("stages/lengths.py", "max(tokens)", "max(tokens) + 0")
    assert [job.split()[0] for job in lab.plan()] == ["lengths"]
    lab.edit("benchmarks/riddles.py", "answers=(answer,)", "answers=(answer, gold)")
    assert "dataset hard" in lab.plan()

"""A scorer of the user's own, from the study to the report: what counts as it, and what is said."""

import contextlib
import csv
import shutil
from functools import partial
from pathlib import Path

import pytest

from lorascope.__main__ import main
from lorascope.errors import UserError
from lorascope.planning.absent import refuse_absent
from lorascope.storage.records import read_table
from tests.support.basics import ROOT
from tests.support.hub_study import LLAMA, text_study
from tests.support.small_study import Small

SCORER = """
import own_words
METRICS = ("length", "right")

def score_item(response, item):
    return {"length": own_words.count(response) / 10, "right": response.strip() == item.answer}
"""
HELPER = """
def count(text):
    return len(text.split())
"""


def text(folder: Path, scorer: object) -> Small:
    study = text_study(1, model="llama", data="data")
    study["experiments"][0]["scorer"] = scorer
    return Small(folder, study)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a study that has run with a scorer of its own."""
    folder = tmp_path_factory.mktemp("own-scorer")
    with contextlib.chdir(folder):
        shutil.copytree(LLAMA, "llama")
        shutil.copytree(ROOT / "resources/mini-squad", "data")
        Path("data/original-dev.json").rename("data/dev-v1.1.json")
        Path("scorers").mkdir()
        Path("scorers/mine.py").write_text(SCORER)
        Path("scorers/own_words.py").write_text(HELPER)
        Path("scorers/other.py").write_text("")
        assert text(folder, {"file": "scorers/mine.py"}).run() == {}
    return folder


@pytest.fixture
def study(finished, tmp_path, monkeypatch) -> Small:
    folder = shutil.copytree(finished, tmp_path / "study")
    monkeypatch.chdir(folder)
    study = text(folder, {"file": "scorers/mine.py"})
    assert stages(study) == set()
    return study


def stages(study: Small) -> set[str]:
    return {job.stage.name for job in study.planned().left()}


def accuracies(study: Small) -> dict[str, float]:
    path = study.planned().report.folder / "accuracy.csv"
    with path.open(encoding="utf-8") as lines:
        return {row["category"]: float(row["accuracy"]) for row in csv.DictReader(lines)}


def mean_length(study: Small) -> float:
    (planned,) = study.planned().scores.values()
    rows = read_table(planned.path, "scores", planned.digest).to_pylist()
    credits = [row["credit"] for row in rows if row["category"] == "squad-length"]
    return sum(credits) / len(credits)


def plan(study: Small, capsys) -> tuple[int, str]:
    study.write("study.yaml")
    capsys.readouterr()
    code = main(("plan", "--configfile", "study.yaml"))
    said = capsys.readouterr()
    return code, said.out + said.err


def test_its_metrics_are_in_the_report(study):
    found = accuracies(study)
    assert found.keys() == {"squad-length", "squad-right"}
    assert found["squad-right"] == 100
    assert 0 < found["squad-length"] < 50


@pytest.mark.parametrize(
    ("name", "before", "after", "again"),
    [
        ("mine.py", "/ 10", "/ 20", {"score", "report", "page"}),
        ("own_words.py", "len(", "2 * len(", {"score", "report", "page"}),
        ("other.py", "", "x = 1", set()),
    ],
)
def test_its_code_and_what_it_imports_beside_it_decide_the_scores(
    study, name, before, after, again
):
    was, path = mean_length(study), Path("scorers", name)
    path.write_text(path.read_text().replace(before, after))
    assert stages(study) == again
    assert study.run(until="score") == {}
    factor = {"mine.py": 0.5, "own_words.py": 2}.get(name, 1)
    assert mean_length(study) == pytest.approx(factor * was)


def test_an_edit_while_it_runs_is_refused(study):
    path = Path("scorers/own_words.py")
    path.write_text(HELPER + "x = 1\n")
    edit = partial(path.write_text, HELPER + "x = 2\n")
    (failed,) = study.run({"score": edit}).values()
    assert "scorers/own_words.py: changed since this run was planned; run snakemake" in failed
    assert study.run(until="score") == {}


def test_an_error_in_it_names_experiment_item_file_and_line(study):
    Path("scorers/own_words.py").write_text("def count(text):\n    return len(text.splitt())\n")
    (failed,) = study.run().values()
    assert "Traceback" not in failed
    message = "scorers/own_words.py: line 2: AttributeError: 'str' object has no attribute 'splitt'"
    assert "T-1: item squad/" in failed
    assert message in failed


def test_metrics_other_than_declared_are_refused(study):
    Path("scorers/mine.py").write_text(SCORER.replace('"right":', '"rihgt":'))
    (failed,) = study.run().values()
    assert (
        "returned the metrics ['length', 'rihgt'], and METRICS names ['length', 'right']" in failed
    )


def test_metrics_that_differ_between_items_are_refused(study):
    code = "seen = []\ndef score_item(response, item):\n    seen.append(item)\n"
    Path("scorers/mine.py").write_text(code + "    return {f'after-{len(seen)}': 1}\n")
    (failed,) = study.run().values()
    assert "a scorer has to give the items of a category the same ones, each once" in failed


def test_a_file_that_is_absent_is_said_first_and_starts_nothing(study, capsys):
    study.study["experiments"][0]["scorer"] = {"file": "scorers/yours.py"}
    code, said = plan(study, capsys)
    assert code == 0
    assert said.startswith("not here yet: scorers/yours.py (scorer.file of T-1)\n")
    planned = study.planned()
    with pytest.raises(UserError) as told:
        refuse_absent(planned.context, planned.left())
    assert str(told.value) == (
        "study.yaml: not here: scorers/yours.py (scorer.file of T-1); put it there (is it "
        "mounted?), or correct the path in the study. Nothing was run."
    )


def test_results_of_a_file_that_is_gone_are_used(study, capsys):
    Path("scorers/mine.py").unlink()
    assert stages(study) == set()
    code, said = plan(study, capsys)
    assert (code, said.partition(";")[0]) == (0, "not here: scorers/mine.py (scorer.file of T-1)")


def test_a_file_that_is_none_of_a_scorer_is_refused_before_anything_runs(study, capsys):
    Path("scorers/mine.py").write_text("def score_item(response, item:\n    pass\n")
    code, said = plan(study, capsys)
    assert code == 1
    assert said.startswith("scorers/mine.py: line 1: is no Python: '(' was never closed")

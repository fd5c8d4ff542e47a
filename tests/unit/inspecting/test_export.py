"""The command that exports: all that is asked for, or nothing."""

import json
from pathlib import Path

import pytest

from lorascope.__main__ import main
from lorascope.planning.plan import Plan
from lorascope.storage.records import read_table
from tests.support.answered import answer, answered, choice_item, lay, score, text_item
from tests.support.studies import STUDY, run, write

EXPORT = ("export", "--configfile", "study.yaml", "--out", "out", "--format")


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return write(STUDY)


@pytest.fixture
def done(plan: Plan) -> Plan:
    for identifier, credits in (("SF-0", (1.0, 0.0)), ("SF-1", (1.0, 1.0))):
        items = [choice_item("cat0"), choice_item("dog1", hop="multi")]
        found = [
            answer(item, f"{identifier} says", score(item, credit))
            for item, credit in zip(items, credits, strict=True)
        ]
        lay(plan, identifier, answered(found, id=identifier))
    return plan


def names(folder: str = "out") -> list[str]:
    """Return the files in a folder, and what else lies beside it but the study and results."""
    inside = [str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()]
    assert {path.name for path in Path().iterdir()} <= {"study.yaml", "results", folder}
    return sorted(inside)


def test_every_experiment_is_exported_with_its_answers(done, capsys):
    lines = run(capsys, *EXPORT, "jsonl")
    assert names() == ["SF-0.jsonl", "SF-1.jsonl"]
    assert lines == [
        "SF-0: 2 answers, SF-0.jsonl",
        "SF-1: 2 answers, SF-1.jsonl",
        "not held: 2 answers are about clips, which are named and not copied",
        "out: 2 experiments as jsonl",
    ]
    for identifier, planned in done.experiments.items():
        text = Path("out", f"{identifier}.jsonl").read_text("utf-8")
        read = [json.loads(line) for line in text.splitlines()]
        table = read_table(planned.predictions, "predictions", planned.digest).to_pylist()
        assert [one["response"] for one in read] == [row["response"] for row in table]
        scores = read_table(done.scores[identifier].path, "scores").to_pylist()
        credits = [one["answer"]["scores"][""]["credit"] for one in read]
        assert credits == [row["credit"] for row in scores]


def test_those_named_are_exported_each_once(done, capsys):
    run(capsys, *EXPORT, "sakura", "SF-1", "SF-1")
    assert names() == [
        "Animal_SF-1_multi.json",
        "Animal_SF-1_single.json",
        "judgements/Animal_SF-1_multi_judgements.json",
        "judgements/Animal_SF-1_single_judgements.json",
    ]


def test_the_schemas_lie_as_in_their_datastore(done, capsys):
    run(capsys, *EXPORT, "every_eval_ever")
    found = names()
    assert len(found) == 4
    assert {Path(name).parent for name in found} == {Path("data/sakura/local/tiny")}
    aggregate = json.loads(Path("out", found[0]).read_text("utf-8"))
    assert aggregate["detailed_evaluation_results"]["file_path"] in found
    assert aggregate["evaluation_timestamp"] == "1700000000"


def test_nothing_is_written_where_one_is_not_done(plan, capsys):
    item = choice_item("cat0")
    lay(plan, "SF-0", answered([answer(item, "a", score(item, 1.0))], id="SF-0"))
    assert main([*EXPORT, "jsonl"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "study.yaml: not done: SF-1 (new); run snakemake SF-1 --configfile study.yaml\n"
    )
    assert names() == []


def test_nothing_is_written_where_one_does_not_fit(done, capsys):
    item = text_item("x")
    study = {**STUDY, "datasets": {**STUDY["datasets"], "other": STUDY["datasets"]["sakura"]}}
    study["experiments"] = [
        *STUDY["experiments"],
        {"id": "OTHER", "model": "tiny", "dataset": "other"},
    ]
    plan = write(study)
    lay(plan, "OTHER", answered([answer(item, "a", score(item, 1.0))], id="OTHER"))
    assert main([*EXPORT, "sakura"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "OTHER: dataset 'other' is not SAKURA" in said.err
    assert not Path("out").exists()
    assert names() == []


@pytest.mark.parametrize("broken", ["out/SF-0.jsonl", "out"])
def test_a_folder_with_files_is_not_written_into(done, capsys, broken):
    if broken == "out":
        Path("out").write_text("a file")
    else:
        Path("out").mkdir()
        Path(broken).write_text("mine")
    assert main([*EXPORT, "jsonl"]) == 1
    said = capsys.readouterr().err
    assert ("--out out: is no folder" if broken == "out" else "--out out: is not empty") in said
    assert Path(broken).read_text() in ("mine", "a file")


def test_force_replaces_files_of_the_same_name_alone(done, capsys):
    Path("out").mkdir()
    Path("out/SF-0.jsonl").write_text("old")
    Path("out/mine").write_text("mine")
    run(capsys, *EXPORT, "jsonl", "--force")
    assert names() == ["SF-0.jsonl", "SF-1.jsonl", "mine"]
    assert Path("out/mine").read_text() == "mine"
    assert Path("out/SF-0.jsonl").read_text("utf-8").startswith("{")


def test_an_empty_folder_is_filled(done, capsys):
    Path("out").mkdir()
    run(capsys, *EXPORT, "jsonl")
    assert names() == ["SF-0.jsonl", "SF-1.jsonl"]


def test_a_damaged_file_leaves_nothing(done, capsys):
    path = done.experiments["SF-1"].predictions
    path.write_bytes(path.read_bytes()[:-40])
    assert main([*EXPORT, "jsonl"]) == 1
    assert "not a readable table" in capsys.readouterr().err
    assert names() == []


def test_a_folder_that_cannot_be_made_is_one_message(done, capsys):
    assert (
        main(["export", "--configfile", "study.yaml", "--format", "jsonl", "--out", "study.yaml/x"])
        == 1
    )
    said = capsys.readouterr().err
    assert "study.yaml/x: cannot be written" in said
    assert len(said.splitlines()) == 1


def test_an_unknown_id_and_format_are_named(done, capsys):
    assert main([*EXPORT, "jsonl", "SF-3"]) == 1
    assert "no experiment has the ID 'SF-3'; did you mean" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*EXPORT, "csv"])
    assert "invalid choice: 'csv' (choose from" in capsys.readouterr().err


def test_notes_name_the_experiments_that_they_are_about(plan, capsys):
    for identifier, credit in (("SF-0", 1.0), ("SF-1", None)):
        items = [choice_item("cat0"), choice_item("cat1")]
        found = [
            answer(items[0], "a", score(items[0], 1.0)),
            answer(items[1], "a", score(items[1], credit)),
        ]
        lay(plan, identifier, answered(found, id=identifier))
    lines = run(capsys, *EXPORT, "every_eval_ever")
    assert "not held: animal-single: 1 of 2 scores are no numbers: no lines (SF-1)" in lines

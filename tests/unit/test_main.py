import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from lorascope.__main__ import _changed, main
from lorascope.planning.plan import load_plan
from tests.support.basics import ROOT
from tests.support.studies import STUDY, make, run, write


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(STUDY)
    return tmp_path


def with_scalings(*scalings: float) -> dict:
    experiment = {**STUDY["experiments"][0], "grid": {"lora_scaling": list(scalings)}}
    return {**STUDY, "experiments": [experiment], "baseline": f"SF-{scalings[0]:g}"}


def test_a_plan_counts_what_is_to_do(capsys):
    lines = run(capsys, "plan", "--configfile", "study.yaml")
    assert "experiments: 2, done 0, to do 2" in lines
    assert "  SF-0  new" in lines
    assert "jobs: dataset 1, encode 1, infer 4, merge 2, score 2, report 1, page 1" in lines
    assert "model loads: 5" in lines
    assert "not here yet: c (checkpoint of tiny)" in lines
    assert "items to answer: 8,000" in lines  # as published: 8 categories of 500


def test_a_plan_of_one_experiment(capsys):
    lines = run(capsys, "plan", "--configfile", "study.yaml", "SF-0")
    assert "jobs: dataset 1, encode 1, infer 2, merge 1, score 1" in lines


def test_nothing_to_do_when_every_file_is_there(capsys):
    make(*write(STUDY).targets())
    make(*(p.runtime for p in write(STUDY).experiments.values()))
    assert run(capsys, "plan", "--configfile", "study.yaml")[-1] == "nothing to do"


def test_why_names_the_setting_that_changed(capsys):
    planned = write(with_scalings(2)).experiments["SF-2"]
    changed = {**with_scalings(3)}
    changed["experiments"][0]["id"], changed["baseline"] = "SF-2", "SF-2"
    planned.folder.mkdir(parents=True)
    (planned.folder / "fingerprint.json").write_text(json.dumps(planned.fingerprint))
    write(changed)
    lines = run(capsys, "why", "--configfile", "study.yaml", "SF-2")
    assert lines == ["SF-2: lora_scaling 2 -> 3"]


def test_a_plan_of_a_thousand_experiments_fits_on_a_screen(capsys):
    write(with_scalings(*range(1000)))
    lines = run(capsys, "plan", "--configfile", "study.yaml")
    assert len(lines) < 24
    assert "  1000 experiments, SF-0 to SF-999: new" in lines


def test_status_tells_how_far_an_experiment_is(capsys):
    planned = write(STUDY).experiments["SF-0"]
    make(planned.predictions, planned.runtime)
    lines = run(capsys, "status", "--configfile", "study.yaml")
    assert lines[0] == "SF-0  dataset done, encode done, infer done, score missing (to be scored)"
    assert lines[1].startswith("SF-1  dataset missing, encode missing, infer missing, score ")
    assert lines[2:] == [
        f"{stage} results/reports/example: missing" for stage in ("report", "page")
    ]


def test_the_printed_study_is_a_study_that_plans_the_same(capsys):
    text = "\n".join(run(capsys, "study", "--configfile", "study.yaml"))
    again = load_plan(yaml.safe_load(text), "printed")
    assert {i: p.digest for i, p in again.experiments.items()} == {
        i: p.digest for i, p in write(STUDY).experiments.items()
    }


def test_prune_lists_and_removes_only_what_no_study_plans(capsys):
    old = write(with_scalings(7)).experiments["SF-7"]
    kept = write(STUDY).experiments["SF-0"]
    make(old.predictions, kept.predictions, kept.folder / "scores-000000000000.parquet")
    listed = run(capsys, "prune", "study.yaml")
    assert [line.split()[-1] for line in listed[:-1]] == [
        str(old.folder),
        str(kept.folder / "scores-000000000000.parquet"),
    ]
    assert old.predictions.exists()
    run(capsys, "prune", "--remove", "study.yaml")
    assert not old.folder.exists()
    assert kept.predictions.exists()


def test_prune_lists_in_the_order_of_numbers(capsys):
    plan = write(with_scalings(10, 2, 0.5))
    make(*(planned.predictions for planned in plan.experiments.values()))
    write(STUDY)
    listed = [Path(line.split()[-1]).parts[2] for line in run(capsys, "prune", "study.yaml")[:-1]]
    assert listed == ["SF-0.5", "SF-2", "SF-10"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "--configfile", "absent.yaml"), "absent.yaml: not found"),
        (("plan", "--configfile", "list.yaml"), "list.yaml: holds no study"),
        (("plan", "--configfile", "broken.yaml"), "broken.yaml: not readable as YAML"),
        (("why", "--configfile", "study.yaml", "SF-9"), "no experiment has the ID 'SF-9'"),
    ],
)
def test_bad_input_ends_in_one_message(capsys, arguments, message):
    Path("list.yaml").write_text("- 1\n")
    Path("broken.yaml").write_text("a: [1\n")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("study", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_study_plans_without_weights_or_audio(capsys, study):
    lines = run(capsys, "plan", "--configfile", str(study))
    assert any(re.match(r"jobs: (download \d, )?dataset \d", line) for line in lines)


def test_a_reader_that_has_seen_enough_ends_it_without_a_word():
    command = f"{sys.executable} -m lorascope reference | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "# The study file\n"
    assert done.stderr == ""


def test_a_second_file_changes_keys_of_the_study(capsys):
    Path("local.yaml").write_text("models: {tiny: {llm: elsewhere}}\nshards: 1\n")
    files = ("--configfile", "study.yaml", "--configfile", "local.yaml")
    found = yaml.safe_load("\n".join(run(capsys, "study", *files)))
    assert found["models"]["tiny"]["llm"] == "elsewhere"
    assert found["models"]["tiny"]["whisper"] == "w"
    assert (found["shards"], found["study"]) == (1, "example")
    assert "study example (study.yaml, local.yaml)" in run(capsys, "plan", *files)


def test_files_are_merged_as_snakemake_does(capsys):
    """What is a group in both files is merged; anything else gives way, a hub to a path too."""
    first = {"a": {"b": {"hub": "x/y", "revision": "c"}, "l": [1, 2]}, "k": 1}
    second = {"a": {"b": "path", "l": [3]}, "n": None}
    theirs = json.loads(json.dumps(first))
    update_config(theirs, second)
    assert _changed(first, second) == theirs
    assert first["a"]["l"] == [1, 2]

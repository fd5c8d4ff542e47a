"""The command that tells where the files of an experiment lie."""

import re
from pathlib import Path

import pytest

from lorascope.__main__ import main
from lorascope.planning.plan import Plan
from tests.support.studies import STUDY, make, run, write

PATH = ("path", "--configfile", "study.yaml")


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return write(STUDY)


def told(lines: list[str]) -> dict[str, tuple[str, str]]:
    """Return name -> state and path."""
    matches = [re.fullmatch(r"(\S+(?: \S+)*) +(not there|\d+ \w+)  (\S+)", line) for line in lines]
    return {
        match[1]: ("not there" if match[2] == "not there" else "there", match[3])
        for match in matches
        if match
    }


def test_every_file_is_named_and_whether_it_is_there(plan, capsys):
    planned = plan.experiments["SF-0"]
    make(
        planned.predictions,
        planned.runtime,
        Path("results/logs/merge/SF-0", f"{planned.digest}.log"),
    )
    found = told(run(capsys, *PATH, "SF-0"))
    assert found == {
        "items": ("not there", str(planned.dataset.items)),
        "features": ("not there", str(planned.features.folder)),
        "predictions": ("there", str(planned.predictions)),
        "runtime": ("there", str(planned.runtime)),
        "scores": ("not there", str(plan.scores["SF-0"].path)),
        "fingerprint": ("not there", str(planned.folder / "fingerprint.json")),
        "report": ("not there", "results/reports/example/accuracy.md"),
        "log dataset": ("not there", f"results/logs/dataset/sakura/{planned.dataset.digest}.log"),
        "log encode": (
            "not there",
            f"results/logs/encode/tiny/sakura/{planned.features.digest}/0-of-1.log",
        ),
        "log infer": ("not there", f"results/logs/infer/SF-0/{planned.digest}/1-of-2.log"),
        "log merge": ("there", f"results/logs/merge/SF-0/{planned.digest}.log"),
        "log score": (
            "not there",
            f"results/logs/score/SF-0/{planned.digest}-{plan.scores['SF-0'].digest}.log",
        ),
    }


def test_half_of_the_features_are_none(plan, capsys):
    study = {**STUDY, "datasets": {"sakura": {**STUDY["datasets"]["sakura"], "encode_jobs": 2}}}
    features = write(study).experiments["SF-0"].features
    make(features.files[0])
    assert told(run(capsys, *PATH, "SF-0"))["features"][0] == "not there"
    make(features.files[1])
    assert told(run(capsys, *PATH, "SF-0"))["features"][0] == "there"


@pytest.mark.parametrize("name", ["items", "predictions", "runtime", "scores", "report"])
def test_one_path_alone_is_for_scripts(plan, capsys, name):
    every = told(run(capsys, *PATH, "SF-0"))
    assert run(capsys, *PATH, "SF-0", "--file", name) == [every[name][1]]


def test_the_adapter_of_a_study_has_a_folder(plan, capsys):
    models = {"llama": {"family": "hf_text", "model": "l"}}
    train = {"data": {"format": "squad", "source": "new"}, "rank": 4}
    study = {
        "study": "text",
        "models": models,
        "adapters": {
            "mine": {"model": "llama", "train": train},
            "ready": {"model": "llama", "source": "adapters/ready"},
        },
        "datasets": {"d": {"benchmark": "squad", "source": "d"}},
        "experiments": [
            {"id": "BASE", "model": "llama", "dataset": "d"},
            {"id": "MINE", "model": "llama", "dataset": "d", "adapter": "mine"},
            {"id": "READY", "model": "llama", "dataset": "d", "adapter": "ready"},
        ],
        "baseline": "BASE",
    }
    folder = write(study).experiments["MINE"].adapter.folder
    assert run(capsys, *PATH, "MINE", "--file", "adapter") == [str(folder)]
    assert run(capsys, *PATH, "READY", "--file", "adapter") == ["adapters/ready"]
    assert "features" not in told(run(capsys, *PATH, "BASE"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("SF-2",), "no experiment has the ID 'SF-2'; did you mean"),
        (("SF-0", "--file", "score"), "SF-0: no file is called 'score'; did you mean scores?"),
        (("SF-0", "--file", "zzz"), "'zzz'; there are items, features, predictions, runtime, "),
        (("SF-0", "--file", "log infer"), "no file is called 'log infer'"),
    ],
)
def test_a_wrong_name_is_one_message(plan, capsys, arguments, message):
    assert main([*PATH, *arguments]) == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert message in said.err

"""Plug-ins of other packages, a file each: declared, registered by an entry point, and that is all.

They are put beside a copy of the repository as an installer would, in a folder on Python's path.
"""

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.support.foreign import AUDIO, ENTRY_POINTS, NAMES, TEXT, Stranger
from tests.support.lab import BIN, ENVIRONMENT, ROOT
from tests.support.tiny_text_files import write_model


@pytest.fixture
def fresh(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path, AUDIO)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Return the study of clips, run."""
    stranger = Stranger(tmp_path_factory.mktemp("heard"), AUDIO)
    stranger.run()
    return stranger


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Return the study of texts, whose adapter is trained, run."""
    stranger = Stranger(tmp_path_factory.mktemp("read"), TEXT)
    write_model(stranger.folder / "llama")
    stranger.run()
    return stranger


@pytest.mark.parametrize(
    ("section", "name", "key", "meant"),
    [("models", "polly", "voise", "voice"), ("datasets", "tones", "bepps", "beeps")],
)
def test_a_key_that_a_plug_in_does_not_have_is_refused(fresh, section, name, key, meant):
    fresh.lab.study[section][name][key] = 1
    said = fresh.cli("plan", "--configfile", "study.yaml", code=1)
    assert f"study.yaml: {section}.{name}" in said
    assert key in said
    assert f"did you mean {meant}?" in said


def test_what_does_not_go_together_is_refused(fresh):
    fresh.lab.study["datasets"]["tones"] = {"benchmark": "riddles", "source": "riddles.txt"}
    said = fresh.cli("plan", "--configfile", "study.yaml", code=1)
    assert "parrot" in said
    assert "riddles" in said


def test_a_declaration_that_is_not_there_is_named(fresh):
    entries = fresh.plugins / "throwaway-1.0.dist-info/entry_points.txt"
    entries.write_text(ENTRY_POINTS.replace("parrot:FAMILY", "parot:FAMILY"))
    said = fresh.cli("plan", "--configfile", "study.yaml", code=1)
    assert "family parrot: parot:FAMILY cannot be imported" in said


def test_the_reference_and_the_schema_hold_their_keys(fresh):
    reference = fresh.cli("reference")
    for title in (
        "models.<name>, family parrot",
        "models.<name>, family stranger",
        "datasets.<name>, benchmark beeps",
        "adapters.<name>.train.data, format riddles",
        "experiments, for family parrot alone",
    ):
        assert f"## {title}\n" in reference
    bounds = "number ≥ 0, ≤ 1000000000"
    assert (
        f"| `patience` | {bounds} | `1` | How often it answers; 0 keeps it silent. |" in reference
    )
    assert "| `last_word` | the choice of an option (generate) | category |" in reference
    schema = yaml.safe_load(fresh.cli("schema"))
    assert schema["$defs"]["BeepsDataset"]["properties"]["benchmark"]["const"] == "beeps"


def test_it_is_planned_before_it_is_run(fresh):
    plan = fresh.ask("plan")
    assert "items to answer: 16" in plan
    assert fresh.jobs() == [
        "dataset tones",
        "encode polly tones 0-of-1",
        *(f"infer {name} 0-of-1" for name in NAMES),
        *(f"merge {name}" for name in NAMES),
        "page",
        "report",
        *(f"score {name}" for name in NAMES),
    ]


def test_the_report_is_about_what_they_answer(heard):
    table = pd.read_csv(heard.folder / "results/reports/heard/accuracy.csv")
    assert table.set_index("experiment")["accuracy"].to_dict() == {
        "P-0": 100.0,
        "P-1": 100.0,
        "P-2": 0.0,
        "QUIET": 0.0,
    }


def test_nothing_is_left_and_nothing_changed(heard):
    assert heard.jobs() == []
    assert "P-0: done, nothing changed" in heard.ask("why")
    status = heard.ask("status")
    assert all(name in status for name in NAMES)


def test_logic_of_a_plug_in_decides_its_results_and_a_comment_does_not(heard):
    heard.edit("parrot.py", "THRESHOLD = 400  # Hz", "THRESHOLD = 400  # in Hz, as heard")
    assert heard.jobs() == []
    heard.edit("parrot.py", "THRESHOLD = 400", "THRESHOLD = 500")
    assert "parrot.py" in heard.ask("why", "P-0")
    assert "infer P-0 0-of-1" in heard.jobs()
    heard.edit("parrot.py", "THRESHOLD = 500", "THRESHOLD = 400")
    heard.edit("last_word.py", "it is the last word", "it comes last")
    assert [job for job in heard.jobs() if not job.startswith("score")] == ["page", "report"]
    heard.edit("last_word.py", "it comes last", "it is the last word")
    assert heard.jobs() == []


def test_what_no_study_plans_any_more_is_pruned(heard, tmp_path):
    (heard.folder / "smaller.yaml").write_text(
        yaml.safe_dump(heard.lab.study | {"experiments": AUDIO["experiments"][:1]})
    )
    said = heard.cli("prune", "smaller.yaml")
    assert "results/experiments/QUIET" in said
    assert "results/experiments/P-1/" not in said


def test_an_adapter_of_a_foreign_family_is_trained_and_asked(read):
    assert read.jobs() == []
    account = json.loads(
        next(read.folder.glob("results/adapters/taught/*/training.json")).read_text()
    )
    assert account["steps"] == 2
    report = read.folder / "results/reports/read"
    assert "TAUGHT" in (report / "retention.csv").read_text()
    assert "riddles-f1" in (report / "accuracy.csv").read_text()


def test_the_logic_of_a_training_is_found_through_its_imports(read):
    read.edit("stranger.py", '"system": None', '"system": "Be kind."')
    assert "finetune taught" in read.jobs()
    read.edit("stranger.py", '"system": "Be kind."', '"system": None')
    read.edit("riddles.py", '" = "', '" == "')
    assert {"dataset hard", "finetune taught"} <= {*read.jobs()}
    read.edit("riddles.py", '" == "', '" = "')


def test_the_plug_ins_pass_the_contract_that_those_of_the_package_keep(heard):
    """The contract test takes every plug-in that is registered, wherever it comes from."""
    path = os.pathsep.join(map(str, (heard.plugins, ROOT / "workflow")))
    done = subprocess.run(
        [
            *(BIN / "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/study/test_contract.py"),
            *("-k", "parrot or stranger or beeps or riddles or last_word or heavy"),
        ],
        cwd=ROOT,
        env=ENVIRONMENT | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

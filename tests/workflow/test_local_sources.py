"""Local weights, data and clips: what is not there starts nothing and loses nothing."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lorascope.__main__ import main
from tests.support.basics import ROOT
from tests.support.hub_study import LLAMA, exact_matches, llama_files, text_study
from tests.support.lab import BIN, ENVIRONMENT, write_track
from tests.support.small_study import STUDY, Small
from tests.support.tiny_salmonn_files import write_salmonn

MODEL, DATA = Path("mounted/llama"), Path("data")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a study of text that has run."""
    folder = tmp_path_factory.mktemp("finished")
    with contextlib.chdir(folder):
        shutil.copytree(LLAMA, MODEL)
        shutil.copytree(ROOT / "resources/mini-squad", DATA)
        (DATA / "original-dev.json").rename(DATA / "dev-v1.1.json")
        study = text(folder)
        assert study.run() == {}
        assert exact_matches(study) == {"T-1": 100}
    return folder


@pytest.fixture
def study(finished, tmp_path, monkeypatch) -> Small:
    """A study of text that has run, all of whose sources are there."""
    folder = shutil.copytree(finished, tmp_path / "study")
    monkeypatch.chdir(folder)
    study = text(folder)
    assert stages(study) == set()
    return study


def text(folder: Path) -> Small:
    return Small(folder, text_study(1, model=str(MODEL), data=str(DATA)))


def lorascope(study: Small, capsys, *arguments: str) -> tuple[int, list[str]]:
    """Return exit code and lines of a command of lorascope on the study."""
    study.write("study.yaml")
    capsys.readouterr()
    code = main(arguments)
    said = capsys.readouterr()
    return code, (said.out + said.err).splitlines()


def stages(study: Small) -> set[str]:
    return {job.stage.name for job in study.planned().left()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*.parquet")}


def unmount(folder: Path) -> None:
    """Leave the place where something was mounted, empty."""
    folder.rename(f"{folder}.away")
    folder.mkdir()


def mount(folder: Path) -> None:
    folder.rmdir()
    Path(f"{folder}.away").rename(folder)


@pytest.mark.parametrize("folder", [MODEL, MODEL.parent, DATA])
def test_prune_removes_nothing_while_a_source_is_absent(study, capsys, folder):
    before = contents(Path("results"))
    unmount(folder)
    assert stages(study) == set()
    for index in (Path("results/.sources.json"), None):
        code, lines = lorascope(study, capsys, "prune", "--remove", "study.yaml")
        assert code == 1
        assert "study.yaml: not here: " in lines[0]
        assert str(folder) in lines[0]
        assert "Nothing was removed" in lines[0]
        if index:
            index.unlink()  # then nobody knows what was seen
    assert contents(Path("results")) == before
    mount(folder)
    assert stages(study) == set()
    code, lines = lorascope(study, capsys, "prune", "--remove", "study.yaml")
    assert (code, lines) == (0, ["0 B removed"])
    assert contents(Path("results")) == before


def test_answers_are_scored_and_reported_without_the_weights(study, capsys):
    unmount(MODEL.parent)
    study.study["experiments"][0]["scorer"] = "mindformers"
    assert stages(study) == {"score", "report", "page"}
    code, lines = lorascope(study, capsys, "plan", "--configfile", "study.yaml")
    assert code == 0
    assert lines[0].startswith(f"not here: {MODEL} (model of llama); results made with its last ")
    assert study.run() == {}
    assert exact_matches(study) == {"T-1": 100}


def test_no_answer_of_other_weights_counts_once_weights_are_there_again(study):
    unmount(MODEL)
    assert stages(study) == set()
    MODEL.rmdir()
    shutil.copytree(f"{MODEL}.away", MODEL)
    file = MODEL / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "max_length": 77}))
    assert stages(study) == {"infer", "merge", "score", "report", "page"}
    shutil.rmtree(MODEL)
    # Nobody answered with those: what was seen last counts.
    assert stages(study) == {"infer", "merge", "score", "report", "page"}
    Path(f"{MODEL}.away").rename(MODEL)
    assert stages(study) == set()


def test_a_clip_that_is_not_there_is_named_and_stops_who_hears_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for track in ("Animal", "Gender"):
        write_track(tmp_path / "data-sets", track, ["cat", "dog"])
    write_salmonn(tmp_path / "models")
    [experiment] = STUDY["experiments"]
    other = {**experiment, "id": "G", "dataset": "other"}
    del other["grid"]
    zoo = STUDY["datasets"]["zoo"]
    datasets = {"zoo": zoo, "other": {**zoo, "tracks": ["gender"]}}
    both = {"experiments": [experiment, other], "baseline": ["SF-1", "G"]}
    study = Small(tmp_path, {**STUDY, "datasets": datasets, **both})
    clip = "data-sets/data/Animal/audio/cat0.wav"
    Path(clip).unlink()
    code, lines = lorascope(study, capsys, "plan", "--configfile", "study.yaml")
    assert (code, lines[0]) == (0, f"not here yet: {clip} of data-sets (source of zoo)")
    # Nobody else has to do without.
    _, lines = lorascope(study, capsys, "plan", "--configfile", "study.yaml", "G")
    assert "not here" not in "".join(lines)


def test_a_run_that_needs_what_is_absent_does_not_start(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_track(tmp_path / "data-sets", "Animal", ["cat", "dog"])
    study = Small(tmp_path)
    first = "not here yet: models/salmonn.pth (checkpoint of tiny)"
    code, lines = lorascope(study, capsys, "plan", "--configfile", "study.yaml")
    assert (code, lines[0]) == (0, first)

    def snakemake(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path,
             "--cores", "1", "--configfile", "study.yaml", *arguments],
            env=ENVIRONMENT | {"PYTHONPATH": os.fspath(ROOT / "workflow")},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    code, said = snakemake("--dry-run")
    assert code == 0
    assert said.index(first) < said.index("Building DAG")
    code, said = snakemake()
    assert code == 1
    assert said.index(first) < said.index("Building DAG")
    assert "study.yaml: not here: models/salmonn.pth (checkpoint of tiny), " in said
    assert "Traceback" not in said
    assert not list(Path("results").rglob("*.parquet"))
    assert not Path("results/logs").exists()
    code, said = snakemake("--until", "dataset")  # needs no weights
    assert code == 0, said
    assert list(Path("results").rglob("items.parquet"))


def test_an_edit_below_the_models_folder_is_answered_anew(study):
    weights = MODEL / "parts/of/weights.safetensors"
    weights.parent.mkdir(parents=True)
    (MODEL / "model.safetensors").rename(weights)
    names = dict.fromkeys(load_file(weights), "parts/of/weights.safetensors")
    weight_map = {"metadata": {}, "weight_map": names}
    (MODEL / "model.safetensors.index.json").write_text(json.dumps(weight_map))
    assert study.run() == {}
    assert exact_matches(study) == {"T-1": 100}
    assert stages(study) == set()
    weights.write_bytes(llama_files(spoilt=True)["model.safetensors"])
    assert study.run() == {}
    assert exact_matches(study) == {"T-1": 0}

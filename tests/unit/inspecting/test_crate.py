"""The provenance of a report is a Workflow Run RO-Crate, and says nothing of a machine."""

import getpass
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
import yaml

from lorascope.benchmarks.items import to_table
from lorascope.errors import UserError
from lorascope.inspecting.inputs import bare
from lorascope.storage.records import write_table
from lorascope.study.parsing import parse_study
from tests.support.basics import ROOT
from tests.support.published import items_of, write_published
from tests.support.reports import counts, make_report
from tests.support.stagehand import Bench

pytest.importorskip("rocrate", reason="rocrate is not installed: pip install 'lorascope[crate]'")
from lorascope.inspecting.crate import crate_lines

RIGHT = {"animal-single": 2}
ITEMS = items_of(RIGHT, 3)
COMMIT = "0123456789" * 4
ENVIRONMENT = {
    "host": "secret-host",
    "device": "cuda",
    "device_name": "NVIDIA H100",
    "dtype": "bfloat16",
    "gpus": ["GPU-1234"],
    "python": "3.11.7",
    "versions": {"torch": "2.13.0", "peft": "0.21.2"},
}


def write_crate(bench: Bench, **asked: str) -> dict[str, dict]:
    """Write the crate of a report; return ID -> entity."""
    given = {"agent": None, "orcid": None, "license": "not stated"} | asked
    (line,) = crate_lines(bench.plan, SimpleNamespace(**given))
    file = bench.plan.report.folder / "ro-crate-metadata.json"
    assert line.startswith(f"{file}: ")
    graph = json.loads(file.read_text(encoding="utf-8"))["@graph"]
    return {entity["@id"]: entity for entity in graph}


def ids(entity: dict, key: str) -> list[str]:
    found = entity[key] if isinstance(entity[key], list) else [entity[key]]
    return [one["@id"] for one in found]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[tuple[Path, dict]]:
    """Yield the folder of a reported study of predictions made elsewhere, and the study."""
    folder = tmp_path_factory.mktemp("made")
    write_published(folder / "private/there", ITEMS, RIGHT)
    # Outside the folder that tests copy, so that its path stays.
    source = {"source": str(folder / "private/there"), "format": "sakura"}
    study = {
        "study": "elsewhere",
        "description": "What was published.",
        "datasets": {"sakura": {"benchmark": "sakura", "source": "data"}},
        "experiments": [{"id": "PUB", "dataset": "sakura", "predictions": source}],
        "baseline": "PUB",
    }
    with pytest.MonkeyPatch.context() as patch:
        (folder / "run").mkdir()
        patch.chdir(folder / "run")
        bench = Bench(study, SimpleNamespace(readouterr=lambda: SimpleNamespace(err="")))
        (planned,) = bench.plan.datasets.values()
        write_table(planned.items, to_table(ITEMS), "items", planned.digest)
        bench.finish()
    yield folder / "run", study


@pytest.fixture
def imported(made, tmp_path, monkeypatch, capsys) -> Bench:
    """Return a copy of that study."""
    folder, study = made
    shutil.copytree(folder, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return Bench(study, capsys)


def test_the_crate_names_workflow_study_inputs_and_results_by_their_hashes(imported):
    found, folder = write_crate(imported), imported.plan.report.folder
    root, run = found["./"], found["#run"]
    assert (root["name"], root["description"]) == ("elsewhere", "What was published.")
    assert root["mainEntity"]["@id"] == "provenance/Snakefile"
    assert {"https://w3id.org/ro/wfrun/workflow/0.5"} < {*ids(root, "conformsTo")}
    assert run["instrument"]["@id"] == "provenance/Snakefile"
    assert "agent" not in run
    results = ids(run, "result")
    assert {"accuracy.csv", "accuracy.md", "comparison.csv", "accuracy.svg"} < {*results}
    assert imported.plan.report.manifest.name in results
    for name in [*results, "provenance/study.yaml", "provenance/Snakefile"]:
        content = (folder / name).read_bytes()
        assert found[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert name in ids(root, "hasPart")
    assert ids(run, "object") == [
        *("provenance/study.yaml", "#sakura.source", "#PUB.predictions.source")
    ]
    digest = imported.plan.experiments["PUB"].fingerprint["predictions"]
    assert found["#PUB.predictions.source"]["identifier"] == f"digest:{digest}"
    assert found["provenance/Snakefile"]["version"]
    language = found[found["provenance/Snakefile"]["programmingLanguage"]["@id"]]
    assert (language["name"], bool(language["version"])) == ("Snakemake", True)


def test_the_study_in_the_crate_is_whole_and_the_crate_is_the_same_each_time(imported):
    write_crate(imported)
    folder = imported.plan.report.folder
    study = parse_study(yaml.safe_load((folder / "provenance/study.yaml").read_text()), "s")
    assert study.experiments["PUB"].predictions["source"] == "there"
    before = (folder / "ro-crate-metadata.json").read_bytes()
    write_crate(imported)
    assert (folder / "ro-crate-metadata.json").read_bytes() == before


def test_the_crate_says_nothing_of_a_machine(imported, made):
    write_crate(imported)
    folder = imported.plan.report.folder
    files = [folder / "ro-crate-metadata.json", *(folder / "provenance").iterdir()]
    for text in (file.read_text(encoding="utf-8") for file in files):
        for secret in (
            str(made[0].parent),
            "private",
            platform.node() + ".",
            f"/{getpass.getuser()}/",
        ):
            assert secret not in text


def test_paths_lose_their_folders_and_nothing_else_changes():
    study = {"model": "/home/me/llama", "prompt": "/think {q}\n/x/y", "few": ["~/data/a", "b/c", 3]}
    kept = {"model": "llama", "prompt": "/think {q}\n/x/y", "few": ["a", "b/c", 3]}
    assert bare(study | {"command": "/think"}) == kept | {"command": "/think"}


def test_who_ran_it_and_its_licence_are_said_where_given(imported):
    orcid = "https://orcid.org/0000-0002-1825-0097"
    found = write_crate(imported, agent="Ada", orcid=orcid, license="https://spdx.org/licenses/MIT")
    assert ids(found["#run"], "agent") == [orcid]
    assert (found[orcid]["@type"], found[orcid]["name"]) == ("Person", "Ada")
    assert found["./"]["license"] == "https://spdx.org/licenses/MIT"
    assert write_crate(imported, agent="Ada")["#agent"]["name"] == "Ada"
    with pytest.raises(UserError, match="whose is it"):
        write_crate(imported, orcid=orcid)


def test_a_crate_is_of_the_report_that_is_there_or_none(imported):
    write_crate(imported)
    folder = imported.plan.report.folder
    (folder / "accuracy.csv").write_text("edited")
    with pytest.raises(UserError, match=r"accuracy.csv: is not what the report made; delete it"):
        write_crate(imported)
    imported.study["report"] = {"title": "another"}
    with pytest.raises(UserError, match="the report is not made, or not up to date"):
        write_crate(imported)
    imported.finish()
    assert not (folder / "ro-crate-metadata.json").exists()
    assert write_crate(imported)["./"]["name"] == "another"


def answered(tmp_path: Path, capsys) -> Bench:
    """Return a reported study of models from the hub and from a folder, with made-up answers."""
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama/config.json").write_text('{"a": 1}')
    (tmp_path / "data.json").write_text('{"version": "1", "data": []}')
    hub = {"hub": "lab/model", "revision": "main"}
    study = {
        "study": "here",
        "models": {
            "far": {"family": "hf_text", "model": hub},
            "near": {"family": "hf_text", "model": "llama"},
        },
        "datasets": {"squad": {"benchmark": "squad", "source": "data.json"}},
        "experiments": [
            {"id": name.upper(), "model": name, "dataset": "squad"} for name in ("far", "near")
        ],
        "baseline": "FAR",
    }
    marker = tmp_path / "results/downloads/lab--model@main.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"source": hub, "commit": COMMIT}))
    bench = Bench(study, capsys)
    for number, planned in enumerate(bench.plan.experiments.values()):
        rows = [
            {
                "finished": 1e9 + 100 * number + n,
                "seconds": 10.0,
                "environment": json.dumps(ENVIRONMENT),
            }
            for n in range(3)
        ]
        write_table(planned.runtime, pa.Table.from_pylist(rows), "runtime", planned.digest)
    return bench


def test_answers_made_here_have_times_versions_and_models_at_their_commits(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tests.support.reports.ENVIRONMENT", ENVIRONMENT)
    bench = answered(tmp_path, capsys)
    sidecars = {p.runtime: p.runtime.read_bytes() for p in bench.plan.experiments.values()}
    make_report(bench, {"FAR": counts(squad_f1=5), "NEAR": counts(squad_f1=7)})
    for path, content in sidecars.items():
        path.write_bytes(content)
    found = write_crate(bench)
    run = found["#run"]
    assert run["startTime"] == "2001-09-09T01:46:30+00:00"
    assert run["endTime"] == found["./"]["datePublished"] == "2001-09-09T01:48:22+00:00"
    far = found["#far.model"]
    assert far["url"] == f"https://huggingface.co/lab/model/tree/{COMMIT}"
    assert (far["version"], far["description"]) == (COMMIT, "lab/model at main")
    (part,) = ids(found["#near.model"], "hasPart")
    assert part == "#near.model/config.json"
    assert found[part]["sha256"] == hashlib.sha256(b'{"a": 1}').hexdigest()
    assert found["#squad.source"]["identifier"].startswith("digest:")
    assert "2 experiments answered here; on NVIDIA H100, bfloat16." in run["description"]
    software = ids(found["provenance/Snakefile"], "softwareRequirements")
    assert [(found[one]["name"], found[one]["softwareVersion"]) for one in software] == [
        *(("peft", "0.21.2"), ("python", "3.11.7"), ("torch", "2.13.0")),
    ]
    text = (bench.plan.report.folder / "ro-crate-metadata.json").read_text()
    assert "secret-host" not in text
    assert "GPU-1234" not in text


def validator(package: str) -> Path:
    """Return the folder of a package's environment; skip where no folder is named for it."""
    folder = os.environ.get("LORASCOPE_VALIDATORS")
    if folder is None:
        pytest.skip("LORASCOPE_VALIDATORS names no folder for tests/validators/up.sh")
    up = [ROOT / "tests/validators/up.sh", folder, package]
    done = subprocess.run(up, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(f"tests/validators/up.sh: {package} is not possible here")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()).parent


def test_the_crate_is_valid(imported):
    """By roc-validator; its JSON-LD context comes from a release of rocrate that holds it."""
    python = validator("roc-validator==0.13.0") / "bin/python"
    (context,) = validator("rocrate==0.9.0").glob(
        "lib/*/site-packages/rocrate/data/ro-crate.jsonld"
    )
    write_crate(imported)
    folder = imported.plan.report.folder
    command = [python, ROOT / "tests/validators/crate.py", folder, context]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "63 checks, 0 failed"), done.stderr
    file = folder / "ro-crate-metadata.json"
    file.write_text(file.read_text().replace("CreateAction", "Action"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "mainEntity as its instrument" in done.stdout) == (1, True)

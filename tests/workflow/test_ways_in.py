"""The ways in: the root Snakefile, workflow/Snakefile, a module of another workflow, a wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.basics import thorough
from tests.support.foreign import AUDIO, Stranger
from tests.support.lab import BIN, ENVIRONMENT, ROOT

STUDY = AUDIO | {"experiments": AUDIO["experiments"][1:], "baseline": "QUIET"}
OTHER_WORKFLOW = """\
configfile: "paper.yaml"


module lorascope:
    snakefile:
        "{snakefile}"
    config:
        config["lorascope"]


use rule * from lorascope as lorascope_*


rule paper:
    default_target: True
    input:
        rules.lorascope_report.output.accuracy_csv,
    output:
        "paper.txt",
    shell:
        "(echo {{config[title]}}; cat {{input}}) > {{output}}"
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path, STUDY)


def jobs(stranger: Stranger) -> list[str]:
    return sorted(f"{job.rule} {sorted(job.outputs)[0]}" for job in stranger.lab.ran)


def test_both_snakefiles_have_the_same_default(stranger):
    stranger.run("-n")
    root = jobs(stranger)
    assert any(job.startswith("report ") for job in root)
    stranger.run("-n", "--snakefile", "workflow/Snakefile")
    assert jobs(stranger) == root


def test_both_snakefiles_lint_clean(stranger):
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        done = stranger.lab.snakemake(
            "--lint", "--snakefile", snakefile, pythonpath=stranger.plugins
        )
        assert "Congratulations" in done.stdout


@pytest.mark.parametrize("package", ["installed", *thorough("of the checkout")])
def test_another_workflow_uses_this_one_as_a_module(stranger, tmp_path, package, installed):
    """Planned and run in a folder that holds nothing of lorascope."""
    path = [stranger.plugins]
    if package == "installed":
        shutil.rmtree(stranger.folder / "workflow/lorascope")
        path.append(installed)
    paper = tmp_path / "paper"
    paper.mkdir()
    for name in ("tones", "voice.txt"):
        (paper / name).symlink_to(stranger.folder / name)
    snakefile = stranger.folder / "workflow/Snakefile"
    (paper / "Snakefile").write_text(OTHER_WORKFLOW.format(snakefile=snakefile))
    config = {"title": "Parrots", "lorascope": STUDY}
    (paper / "paper.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    profile = stranger.folder / "profiles/default"
    command = [BIN / "snakemake", "--nocolor", "--workflow-profile", profile, "--cores", "1"]
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(map(str, path))}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            cwd=paper,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    planned = run("-n")
    assert "lorascope_infer" in planned
    assert "QUIET, shard 0 of 1: " in planned
    assert "localrules" not in planned
    assert not (paper / "results/experiments").exists()
    run()
    text = (paper / "paper.txt").read_text()
    assert text.startswith("Parrots\nexperiment,")
    assert "QUIET" in text
    assert "Nothing to be done" in run("-n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which a wheel of this checkout was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    (folder / "source").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    shutil.copytree(ROOT / "workflow", folder / "source/workflow", ignore=ignore)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    offline = ["--no-deps", "--no-index"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", folder, folder / "source"]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("lorascope-*.whl")
    install = ["install", *offline, "--target", folder / "site", wheel]
    subprocess.run([*pip, *install], check=True)
    return folder / "site"


def test_an_installed_wheel_plans_a_study_of_any_folder(installed, stranger):
    shutil.rmtree(stranger.folder / "workflow")
    stranger.lab.write("study.yaml")
    environment = ENVIRONMENT | {
        "PYTHONPATH": os.pathsep.join(map(str, (installed, stranger.plugins)))
    }

    def says(*command: str | Path) -> str:
        done = subprocess.run(
            command,
            cwd=stranger.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = says(sys.executable, "-c", "import lorascope; print(lorascope.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    for lorascope in ([installed / "bin/lorascope"], [sys.executable, "-m", "lorascope"]):
        assert "items to answer: 4" in says(*lorascope, "plan", "--configfile", "study.yaml")
        assert "parrot" in says(*lorascope, "schema")
        assert "## The study\n" in says(*lorascope, "reference")
    assert "usage: lorascope" in says(installed / "bin/lorascope", "--help")
    stage = "lorascope.stages.infer"
    assert f"usage: python -m {stage}" in says(sys.executable, "-m", stage, "--help")

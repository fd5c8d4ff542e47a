"""What Snakemake itself would say in a traceback, or never: one line, before anything runs."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest

from tests.support.lab import Lab, copy_repository

STUDY = {
    "study": "lab",
    "models": {"m": {"family": "hf_text", "model": "model"}},
    "datasets": {"d": {"benchmark": "squad", "source": "squad"}},
    "experiments": [{"id": "A", "model": "m", "dataset": "d"}],
    "baseline": "A",
}
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("unreadable")
    copy_repository(folder)
    return Lab(folder, deepcopy(STUDY))


def line_of(done) -> str:
    """Return the one line in which Snakemake ended."""
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if "workflow specific profile" not in line]
    assert len(lines) == 1, done.stdout
    return lines[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "other.yaml: not found; name a study file"),
        ("a: b: c\n", "other.yaml: not readable as YAML (mapping values are not allowed"),
        ("study: &a [*a]\n", "other.yaml: holds values more than 40 deep, or an anchor in itself"),
        (BOMB, "other.yaml: stands for more than 500,000 values; is it a study?"),
        ('study: "\\ud800"\n', "other.yaml: not readable as YAML (while parsing a quoted scalar"),
    ],
    ids=["missing", "no YAML", "recursive", "bomb", "half a character"],
)
def test_a_study_that_cannot_be_read_is_one_line(
    lab: Lab, content: str | None, message: str
) -> None:
    other = lab.folder / "other.yaml"
    other.unlink(missing_ok=True)
    if content is not None:
        other.write_text(content)
    assert line_of(lab.snakemake("-n", study="other.yaml")).startswith(message)


def test_the_default_study_is_looked_at_too(lab: Lab) -> None:
    (lab.folder / "config.yaml").write_text("study: &a [*a]\n")
    done = lab.snakemake("-n", study=None)
    (lab.folder / "config.yaml").unlink()
    assert line_of(done).startswith("config.yaml: holds values more than 40 deep")


def test_braces_in_the_folder_of_the_workflow_are_one_line(lab: Lab) -> None:
    folder = lab.folder / "a{b}c"
    folder.mkdir()
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(lab.folder / name, folder / name)
    shutil.copy(lab.folder / "Snakefile", folder)
    line = line_of(Lab(folder, deepcopy(STUDY)).snakemake("-n"))
    assert line.endswith("braces stand for wildcards; move lorascope elsewhere")


def test_a_run_that_fails_ends_with_the_cause_and_make_status(lab: Lab) -> None:
    for name, text in (("model/config.json", "{}"), ("squad/dev-v1.1.json", "no JSON")):
        (lab.folder / name).parent.mkdir()
        (lab.folder / name).write_text(text)
    done = lab.snakemake("--cores", "1")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (first,) = [line for line in lines if line.startswith("the first job that failed: ")]
    log = next((lab.folder / "results/logs/dataset/d").iterdir()).relative_to(lab.folder)
    assert first.startswith(f"the first job that failed: {log}: squad/dev-v1.1.json: not JSON")
    status = lines[lines.index(first) + 1]
    assert "make status CONFIG=study.yaml (lorascope status --configfile study.yaml)" in status
    shutil.rmtree(lab.folder / "results")


def test_a_repository_with_braces_is_never_planned(lab: Lab) -> None:
    study = deepcopy(STUDY)
    study["models"]["m"]["model"] = {"hub": "o/n{x}"}
    other = Lab(lab.folder, study)
    assert "models.m.model.hub: 'o/n{x}' has a form that is not allowed" in line_of(
        other.snakemake("-n")
    )
    assert not Path(lab.folder, "results").exists()

"""Where benches run: copies of the repository in folders of their own, and what runs in them."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from tests.bench.spending import BenchError, Spent, spend
from tests.support.basics import ROOT
from tests.support.lab import BIN, copy_repository

STUDY = "study.yaml"
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MAKEFLAGS")},
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "COLUMNS": "200",
}


def copy(folder: Path, revision: str | None = None) -> Path:
    """Make a copy of the repository, or of an older revision of it, that nothing has run in.

    Its Python files are compiled, as they are wherever it has run before.
    """
    if revision is None:
        copy_repository(folder)
        (folder / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
        (folder / "studies").symlink_to(ROOT / "studies")
        (folder / "resources").symlink_to(ROOT / "resources")
    else:
        git = ["git", "-C", str(ROOT), "archive", revision]
        done = subprocess.run(git, capture_output=True, check=False)
        if done.returncode:
            raise BenchError(f"BASE={revision}: {done.stderr.decode().strip()}")
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
    compiling = [sys.executable, "-m", "compileall", "-q", "workflow"]
    subprocess.run(compiling, cwd=folder, check=True)
    return folder


def own(folder: Path) -> dict[str, str]:
    """Return the environment in which a copy runs its own code."""
    return ENVIRONMENT | {"PYTHONPATH": str(folder / "workflow")}


def snakemake(folder: Path, *arguments: object) -> Spent:
    """Run Snakemake on one core in a copy."""
    command = [BIN / "snakemake", "--cores", "1", "--nocolor", *arguments]
    return spend(command, folder, own(folder))


def lorascope(folder: Path, *arguments: object) -> Spent:
    """Run a command of lorascope in a copy."""
    return spend([sys.executable, "-m", "lorascope", *arguments], folder, own(folder))


def opponent(name: str, folder: Path, **options: object) -> Spent:
    """Run an opponent in a folder."""
    given = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    return python(folder, "-m", f"tests.bench.opponents.{name}", *given)


def python(folder: Path, *arguments: object) -> Spent:
    """Run Python in a folder, with the tests and the package of this repository."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "workflow")))
    return spend([sys.executable, *arguments], folder, ENVIRONMENT | {"PYTHONPATH": paths})


def write_study(folder: Path, study: Mapping[str, Any]) -> Path:
    """Write a study into a folder."""
    path = folder / STUDY
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def exported(folder: Path, study: str = STUDY) -> dict[str, Any]:
    """Return "<experiment> <item>" -> its response, or its likelihoods, of a study that was run."""
    lorascope(folder, "export", "--configfile", study, "--format", "jsonl", "--out", "exported")
    return answers_of(read_lines(path) for path in sorted((folder / "exported").glob("*.jsonl")))


def answers_of(files: Iterable[Iterable[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the answers in files of ``lorascope export --format jsonl``."""
    return {
        f"{one['settings']['experiment']} {one['item_id']}": one["answer"].get("loglikelihoods")
        or one["response"]
        for file in files
        for one in file
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_answers(path: Path, answers: Mapping[str, Any]) -> None:
    """Write answers where ``read_answers`` finds them."""
    path.write_text(json.dumps(answers), encoding="utf-8")


def read_answers(path: Path) -> dict[str, Any]:
    """Return what an opponent answered."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

"""The small study, whole or in part; a test that asks for it moves into its copy."""

import shutil
from pathlib import Path

import pytest

from tests.support import small_study
from tests.support.small_study import Small


@pytest.fixture
def back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back when the test is over."""
    monkeypatch.chdir(Path.cwd())


@pytest.fixture
def new(tmp_path: Path, back: None) -> Small:
    """Return a copy in which nothing has run."""
    return small_study.new(tmp_path)


@pytest.fixture
def finished(tmp_path: Path, back: None) -> Small:
    """Return a copy in which the study was run to its end."""
    return small_study.finished(tmp_path)


@pytest.fixture
def encoded(finished: Small) -> Small:
    """Return a copy in which the clips are encoded and nothing is answered."""
    shutil.rmtree("results/experiments")
    shutil.rmtree("results/reports")
    return finished

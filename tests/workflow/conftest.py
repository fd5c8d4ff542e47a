"""The small study, whole or in part, or a module's own; a test that asks for one moves there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import small_study
from tests.support.small_study import Small
from tests.support.stagehand import Bench, link_all


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


@pytest.fixture
def linked(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new folder with what the module's ``files`` holds; the test moves there."""
    link_all(files, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(
    linked: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture
) -> Callable[..., Bench]:
    """Return a function that starts the module's ``STUDY``, changed, in such a folder."""
    return lambda **changes: Bench(request.module.STUDY | changes, capsys)

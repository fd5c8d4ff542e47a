"""docs/architecture.md says what the code does: its diagrams, its example, the paths it names."""

import doctest
import importlib.util
import re

import pytest

from lorascope.planning.plan import STAGES
from tests.support.basics import ROOT

PAGE = ROOT / "docs/architecture.md"
PACKAGE = ROOT / "workflow/lorascope"


@pytest.fixture(scope="module")
def diagrams():
    spec = importlib.util.spec_from_file_location("diagrams", ROOT / "docs/diagrams.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagrams_are_those_of_the_code(diagrams, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert PAGE.read_text(encoding="utf-8") == diagrams.page(), "run make docs"


def test_every_room_and_stage_is_in_a_diagram(diagrams, monkeypatch):
    monkeypatch.chdir(ROOT)
    rooms = {path.stem for path in PACKAGE.iterdir() if path.stem != "__init__"} - {"__pycache__"}
    assert rooms == {*diagrams.ROOMS}
    drawn = diagrams.way()
    assert all(f"    {stage}[" in drawn for stage in STAGES)


def test_the_package_has_few_entries():
    """A stranger takes it in at one glance: beside Python's own two, fifteen."""
    names = {path.name for path in PACKAGE.iterdir()} - {"__init__.py", "__main__.py"}
    assert len(names - {"__pycache__"}) <= 15


def test_the_example_of_an_identity_holds():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 5
    assert failed == 0


def test_the_paths_it_names_exist():
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", PAGE.read_text(encoding="utf-8"))
    assert named
    places = (ROOT, PACKAGE, ROOT / "workflow")
    lost = [name for name in named if not any((place / name).exists() for place in places)]
    assert [name for name in lost if not name.startswith("results/")] == []

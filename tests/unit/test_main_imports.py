"""What a command imports: little more than it is asked for."""

import pytest

from lorascope.__main__ import COMMANDS
from tests.support.basics import ROOT, printed

FEW = 10
"""Modules of lorascope that a command may import before it knows which one it is."""
OWN = {"items": "items", "path": "whereabouts", "export": "export", "crate": "crate", "new": "new"}
OWN |= {"audit": "audit"}
FORMATS, NEW, CRATE = "exchange.formats", "inspecting.new", "inspecting.crate"
UNNEEDED = {
    "plan": {FORMATS, NEW, CRATE, "inspecting.prune", "inspecting.items"},
    "study": {FORMATS, NEW, CRATE, "inspecting.prune", "inspecting.items", "inspecting.status"},
    "items": {FORMATS, NEW, CRATE, "inspecting.prune"},
    "reference": {FORMATS, NEW, CRATE, "planning.plan", "inspecting"},
    "schema": {FORMATS, NEW, CRATE, "planning.plan", "inspecting"},
}


def imported(*words: str) -> set[str]:
    """Return the modules, of the package without its name, that a command line has imported."""
    code = f"""
import contextlib, io, os, sys
from lorascope.__main__ import main
os.chdir({str(ROOT)!r})
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({list(words)})
print(*sys.modules)
"""
    return {
        name.removeprefix("lorascope.")
        for name in printed(code).split()
        if name.startswith("lorascope.")
    }


def test_help_of_all_commands_imports_none():
    assert len(imported("--help")) < FEW


@pytest.mark.parametrize("name", OWN)
def test_only_the_module_of_a_command_is_imported_for_its_options(name):
    found = imported(name, "--help")
    assert f"inspecting.{OWN[name]}" in found
    others = {f"inspecting.{module}" for module in OWN.values()} - {f"inspecting.{OWN[name]}"}
    assert not found & others


@pytest.mark.parametrize("name", UNNEEDED)
def test_a_command_at_work_imports_nothing_of_the_others(name):
    found = imported(name, *(["SKR-LoRA-SF-4-B64"] if name == "items" else []))
    assert not found & UNNEEDED[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_its_options(name, capsys):
    from lorascope.__main__ import main

    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert COMMANDS[name].purpose in said
    takes_study = name not in ("prune", "new", "audit", "reference", "schema")
    assert ("--configfile FILE" in said) == takes_study

"""Which experiments get rules of their own: those that a command line may name."""

import pytest

from lorascope.inspecting.command_line import named

IDS = ["S-1", "S-10", "S-2", "BASE"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", []),
        ("-n --cores 4 --configfile study.yaml", []),
        ("S-2", ["S-2"]),
        ("BASE S-2 -n", ["S-2", "BASE"]),
        ("S-10", ["S-1", "S-10"]),  # the one more costs little
        ("--until=S-2,BASE", ["S-2", "BASE"]),
        ("-R S-2 --set-threads BASE=2", ["S-2", "BASE"]),
        ("--target-jobs S-2:", ["S-2"]),
        ("--latency-wait 60 --local-cores 2", []),
        ("--list-rules", IDS),
        ("--list", IDS),
        ("--list-target-rules", IDS),
        ("--lt", IDS),
        ("--lint", IDS),
        ("-l", IDS),
        ("-nl", IDS),
    ],
)
@pytest.mark.parametrize("program", ["/venv/bin/snakemake", "/lib/snakemake/__main__.py"])
def test_rules_are_made_for_experiments_that_are_named(program, words, found):
    assert named(IDS, [program, *words.split()]) == found


def test_another_program_may_name_any():
    assert named(IDS, ["/venv/bin/pytest", "-q"]) == IDS

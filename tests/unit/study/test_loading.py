"""Study files that no parser should be given: without end, too deep, of other kinds."""

import json
import os
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.study.loading import refuse_unreadable
from lorascope.study.parsing import parse_study, read_study


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(text: str | bytes, name: str = "study.yaml") -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as caught:
        read_study(Path(name))
    file, _, message = str(caught.value).partition(": ")
    assert file == name
    assert "\n" not in message
    return message


def levels(first: str, again: str, count: int) -> str:
    """Return anchors a0 to an, each made of the one before."""
    lines = [f"a{n}: &a{n} {again.format(f'*a{n - 1}')}\n" for n in range(1, count)]
    return f"a0: &a0 {first}\n" + "".join(lines)


DEEP = "holds values more than 40 deep, or an anchor in itself"
MANY = "stands for more than 500,000 values; is it a study?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: &a [*a]\n", DEEP),
        ("study: &a\n  models: {<<: *a}\n", DEEP),
        (levels("[x, x]", "[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", 9), MANY),
        (levels("{k: v}", "{{<<: [{0}, {0}]}}", 30), DEEP),
        ("a: &a [" + "*a," * 300_000 + "1]", MANY),
        ("[" * 30_000 + "]" * 30_000, DEEP),
        ('{"a":' * 30_000 + "1" + "}" * 30_000, DEEP),
        ("#" * 2_000_001, "2,000,001 bytes are more than the 2,000,000 of any study"),
    ],
    ids=["recursive", "merged", "bomb", "merge bomb", "wide", "deep", "deep JSON", "large"],
)
def test_a_file_without_end_is_refused_at_once(text, message):
    assert refused(text) == message


@pytest.mark.parametrize(
    "value",
    ["!!int ''", "!!bool maybe", "!!timestamp x", '"\\ud800"', "9" * 5000,
     "!!python/name:os.system x",
     "2020-13-45", "\x00", "*b"],
)  # fmt: skip
def test_what_yaml_cannot_hold_is_one_line(value):
    assert refused(f"study: {value}\n").startswith("not readable as YAML (")


def test_a_key_that_is_a_list_is_one_line():
    assert "unhashable key" in refused("? [a]\n: 1\n? [a]\n: 2\n")


def test_a_key_that_comes_twice_is_refused_in_json_too():
    assert refused('{"study": "a", "study": "b"}', "study.json") == "study comes twice; remove one"


def test_json_may_escape_what_yaml_may_not():
    Path("study.json").write_text('{"description": "\\ud83d\\ude00"}')
    assert read_study(Path("study.json")) == {"description": "😀"}


def test_half_of_a_character_in_json_is_no_text():
    for text in ('{"study": "\\ud800"}', '{"baseline": {"\\ud800": 1}}'):
        assert "'\\ud800' holds half of a character" in refused(text, "study.json")
        with pytest.raises(UserError, match=r"'\\ud800' holds half of a character"):
            parse_study(json.loads(text), "study.json")


def test_a_pipe_or_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo("pipe.yaml")
    with pytest.raises(UserError, match=r"^pipe\.yaml: no file that can be read twice"):
        read_study(Path("pipe.yaml"))
    with pytest.raises(UserError, match="no file that can be read twice"):
        read_study(tmp_path)


def test_values_that_hold_themselves_are_refused_wherever_they_come_from():
    config: dict = {"study": "x"}
    config["models"] = config
    with pytest.raises(UserError, match=r"^x\.yaml: holds values more than 40 deep"):
        parse_study(config, "x.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "--configfile", "nope.yaml"], "nope.yaml: not found; name a study file"),
        (["--configfile=nope.yaml", "-n"], "nope.yaml: not found; name a study file"),
        (["--configfiles", "good.yaml", "bad.yaml", "-n"], "bad.yaml: not readable as YAML"),
        (["-n"], "config.yaml: holds no study; see config.yaml for one"),
    ],
)
def test_the_files_of_snakemakes_command_line_are_looked_at(arguments, message):
    Path("good.yaml").write_text("study: x\n")
    Path("bad.yaml").write_text("a: b: c\n")
    Path("config.yaml").write_text("- 1\n")
    with pytest.raises(SystemExit) as caught:
        refuse_unreadable(arguments)
    assert str(caught.value.code).startswith(message)


def test_a_command_line_without_a_study_or_with_a_good_one_goes_on():
    refuse_unreadable(["-n", "--cores", "1"])
    Path("good.yaml").write_text("study: x\n")
    refuse_unreadable(["--configfile", "good.yaml", "--config", "shards=2", "SF-1"])

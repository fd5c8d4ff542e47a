"""Plans over files that are none, never end, or may not be read."""

import errno
import os
import socket
from copy import deepcopy
from pathlib import Path

import pytest

from lorascope.__main__ import main
from lorascope.errors import UserError
from lorascope.identity import sources
from lorascope.identity.sources import SourceIndex
from lorascope.planning.plan import load_plan
from tests.support.lab import write_track

STUDY = {
    "study": "odd",
    "models": {"m": {"family": "hf_text", "model": "model"}},
    "datasets": {"d": {"benchmark": "squad", "source": "squad"}},
    "experiments": [{"id": "A", "model": "m", "dataset": "d"}],
    "baseline": "A",
}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(**model):
    study = deepcopy(STUDY)
    study["models"]["m"] |= model
    return load_plan(study, "study.yaml")


def refused(**model) -> str:
    with pytest.raises(UserError) as caught:
        plan(**model)
    return str(caught.value)


def test_a_pipe_is_no_model_and_no_file_of_one():
    os.mkfifo("model")
    assert refused().startswith("study.yaml: model: is a pipe, where a file is expected")
    Path("model").unlink()
    Path("model").mkdir()
    os.mkfifo("model/weights.bin")
    assert refused().startswith("study.yaml: model/weights.bin: is a pipe")


def test_devices_and_sockets_are_no_models():
    assert "/dev/zero: is a device" in refused(model="/dev/zero")
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind("model")
        assert "model: is a socket" in refused()


@pytest.mark.parametrize("folder", ["/proc", "/proc/self", "/sys", "link"])
def test_a_folder_of_the_system_is_no_model(folder):
    Path("link").symlink_to("/proc")
    assert f"study.yaml: {folder}: lies in a folder of the system" in refused(model=folder)


def test_a_loop_of_links_is_absent():
    Path("model").symlink_to("model")
    assert SourceIndex(Path("cache")).local(Path("model")) == {"absent": "model"}
    Path("folder").mkdir()
    Path("folder/weights.bin").symlink_to("weights.bin")
    assert SourceIndex(Path("cache")).local(Path("folder")) == {"absent": "folder"}


def test_a_folder_of_everything_is_no_model(monkeypatch):
    monkeypatch.setattr(sources, "MOST_FILES", 3)
    Path("model").mkdir()
    for number in range(4):
        Path("model", f"{number}.bin").touch()
    assert "model: holds 4 files; name the folder of one model" in refused()


def test_a_folder_where_a_clip_should_be_ends_the_plan_in_a_message():
    write_track(Path("sakura"), "Animal", ["cat", "dog"])
    clip = Path("sakura/data/Animal/audio/cat0.wav")
    clip.unlink()
    clip.mkdir()
    study = deepcopy(STUDY)
    study["models"]["m"] = {"family": "hf_audio", "model": "model"}
    study["datasets"]["d"] = {"benchmark": "sakura", "source": "sakura", "tracks": ["animal"]}
    with pytest.raises(
        UserError, match=f"study.yaml: {clip}: Is a directory; a plan has to read it"
    ):
        load_plan(study, "study.yaml")


@pytest.mark.parametrize("where", ["model/weights.bin", "squad/dev-v1.1.json", "results"])
def test_what_may_not_be_read_is_named(where, monkeypatch, capsys):
    """The file's owner sees no such error here: the tests may run as one who may read all."""
    Path("model").mkdir()
    Path("squad").mkdir()
    for name in ("model/weights.bin", "squad/dev-v1.1.json"):
        Path(name).write_text("x")
    Path("results/adapters").mkdir(parents=True)

    def deny(path, *arguments, own=Path.stat, **options):
        if str(path).startswith(where):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return own(path, *arguments, **options)

    monkeypatch.setattr(Path, "stat", deny)
    message = refused()
    assert message.startswith(f"study.yaml: {where}")
    assert "Permission denied; a plan has to read it" in message
    Path("study.yaml").write_text(str(STUDY))
    assert main(["plan", "--configfile", "study.yaml"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "kept",
    [
        "[]",
        "3",
        "null",
        '{"a": 1}',
        '{"a": [1]}',
        '{"a": ["x", 2]}',
        "[" * 5000,
        '{"a": [{}, "s"]}',
    ],
)
def test_a_cache_that_is_none_costs_time_alone(kept):
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    before = plan().experiments["A"].digest
    for name in (".sources.json", ".code.json"):
        Path("results", name).write_text(kept.replace('"a"', '"model/config.json"'))
    assert plan().experiments["A"].digest == before


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "[" * 5000, '{"seed": [1]}'])
def test_a_damaged_note_of_an_earlier_run_changes_no_plan(content):
    earlier = Path("results/experiments/A/000000000000/fingerprint.json")
    earlier.parent.mkdir(parents=True)
    earlier.write_text(content)
    assert plan().why("A").startswith(("changed", "code of"))

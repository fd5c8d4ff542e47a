"""The key of a server goes to the server, and nowhere else."""

import os
import subprocess
import sys

import pytest

from lorascope.errors import UserError
from lorascope.judging.calls import CallCache
from lorascope.storage.hub import redacted
from tests.support.judge_calls import backend, said, scripts
from tests.support.judge_server import KEY, ROOT, TEXTS

WRONG = "sk-wrong-0123456789-abcdef"
CHILD = """
import logging, sys
from pathlib import Path
folder = Path(sys.argv[2])
logging.basicConfig(level=logging.DEBUG, filename=folder / "debug.log")
from lorascope.errors import UserError
from tests.support.judge_calls import backend, scripts
asked = backend(sys.argv[1], folder / "cache", model=sys.argv[3], api_key_env="JUDGE_KEY")
print(asked, vars(asked))
try:
    for found in asked.ask(scripts(["plain", "error-once", "long"])):
        print(found)
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                print(line.read_bytes())
            except OSError:
                pass
except UserError as error:
    print(error)
"""


def leaked(server, folder, model, key):
    """Return where a key stands once a judge was asked with it, and what was printed."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "workflow")])
    own = {"JUDGE_KEY": key, "PYTHONPATH": path, "OPENAI_LOG": "debug", "HTTPX_LOG_LEVEL": "trace"}
    command = [sys.executable, "-c", CHILD, server.base_url, str(folder), model]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, check=True)
    texts = {"output": done.stdout, "errors": done.stderr}
    texts |= {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert b"HTTP" in texts[str(folder / "debug.log")]
    return [name for name, text in texts.items() if key.encode() in text], done.stdout.decode()


def test_the_right_key_opens_and_stands_nowhere(server, tmp_path):
    found, output = leaked(server, tmp_path, "locked", KEY)
    assert found == [] and "Judgement: correct" in output
    assert server.counts()["keys"][f"Bearer {KEY}"] >= 3


def test_a_refused_key_that_the_server_repeats_stands_nowhere(server, tmp_path):
    found, output = leaked(server, tmp_path, "locked", WRONG)
    assert found == []
    assert "refused the key: locked, Bearer ***" in output
    assert "check the key in the environment variable JUDGE_KEY" in output


def test_a_redirect_is_not_followed(server, tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-moved-0123456789-abcdef")
    before = sum(server.counts()["asked"].values())
    asked = backend(server.base_url, tmp_path, model="moved", api_key_env="JUDGE_KEY")
    with pytest.raises(UserError, match="sends elsewhere"):
        list(asked.ask(scripts(["plain"])))
    assert sum(server.counts()["asked"].values()) == before + 1


def test_no_key_of_another_kind_is_sent_where_none_is_named(server, tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, f"sk-{name}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert said(backend(server.base_url, tmp_path), ["plain"])["plain"].text == TEXTS["plain"]
    sent = server.counts()["keys"]
    assert sent["None"] and not {"Bearer none", "Bearer "} & set(sent)
    assert not any("sk-OPENAI" in header or "sk-HF" in header for header in sent)


def test_a_server_on_this_machine_is_asked_past_any_proxy_and_needs_no_key(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    asked = backend(server.base_url, tmp_path, api_key_env="JUDGE_KEY")
    assert said(asked, ["plain"])["plain"].text == TEXTS["plain"]


def test_a_key_that_is_not_set_is_asked_for_by_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "  ")
    asked = backend("https://judge.example/v1", tmp_path, api_key_env="JUDGE_KEY")
    with pytest.raises(UserError, match=r"JUDGE_KEY is not set; .*\(export JUDGE_KEY=\.\.\.\)"):
        list(asked.ask(scripts(["plain"])))


@pytest.mark.parametrize("key", ["sk-two words", "sk-ключ", "sk-a\nb", "sk-\x00nul"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(server, tmp_path, monkeypatch, key):
    monkeypatch.setattr(os, "environ", os.environ | {"JUDGE_KEY": key})
    asked = backend(server.base_url, tmp_path, api_key_env="JUDGE_KEY")
    with pytest.raises(UserError, match="JUDGE_KEY holds blanks") as refused:
        list(asked.ask(scripts(["plain"])))
    assert "sk-" not in str(refused.value)


def test_no_key_is_needed_for_what_was_asked_before(server, tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    for base_url in (server.base_url, "https://judge.example/v1"):
        asked = backend(base_url, tmp_path, api_key_env="JUDGE_KEY")
        assert said(asked, ["plain"])["plain"].text == TEXTS["plain"]
        monkeypatch.delenv("JUDGE_KEY", raising=False)


def test_a_reply_that_repeats_the_key_is_kept_without_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "It names the same animal.".replace(" ", "_"))
    monkeypatch.setitem(os.environ, "SHORT_KEY", "EMPTY")
    asked = backend(server.base_url, tmp_path, api_key_env="JUDGE_KEY")
    assert said(asked, ["plain"])["plain"].text == TEXTS["plain"]
    assert asked._clean("It_names_the_same_animal. Yes") == "*** Yes"
    asked = backend(server.base_url, tmp_path, api_key_env="SHORT_KEY")
    asked.key = "EMPTY"
    assert asked._clean("The response is EMPTY") == "The response is EMPTY"
    assert CallCache(tmp_path).get(scripts(["plain"])[0]) == TEXTS["plain"]
    assert redacted("Bearer It_names_the_same_animal.") == "Bearer ***"

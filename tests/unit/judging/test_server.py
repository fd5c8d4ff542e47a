"""A server that does all that servers do wrong: every call ends judged, or with a reason."""

import logging
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from lorascope.errors import UserError
from lorascope.judging import server as judging_server
from lorascope.judging.calls import CallCache
from lorascope.judging.pacing import IN_A_ROW
from tests.support.judge_calls import backend, call, said, scripts
from tests.support.judge_server import ROOT, TEXTS, scripted_server

REASONS = {
    "busy": "the server's rate limit",
    "wait": "the server's rate limit",
    "tomorrow": "the server's rate limit",
    "error": "the server failed (500)",
    "close": "the connection broke off",
    "torn": "the connection broke off",
    "json": "the server's reply is damaged",
    "page": "the server's reply is damaged",
    "list": "the server's reply is damaged",
    "nested": "the server's reply is damaged",
    "error200": "the server's reply is damaged",
    "oddparts": "the server's reply is damaged",
    "gzip": "the connection broke off",
    "nochoice": "the server's reply is damaged",
    "empty": "the judge's reply is empty",
    "null": "the judge's reply is empty",
    "long": "the server refused the question (400)",
    "forbidden": "the server forbids the call",
    "thinking": "the judge used up max_tokens without a word",
    "filtered": "the judge refused to judge",
}
FINAL = {"tomorrow", "long", "forbidden", "thinking", "filtered"}
"""What asking again would not change."""
MIXED = [*["plain"] * 12, "wrong", "quoted", "bold", "first", "injected", "unreadable", "slow"]
MIXED += ["busy-once", "wait-once", "error-once", "close-once", "torn-once", "json-once"]
MIXED += ["empty-once", "long", "filtered"]


def test_what_a_judge_says_comes_back_word_for_word(server, tmp_path):
    found = said(backend(server.base_url, tmp_path), list(TEXTS))
    assert {name: reply.text for name, reply in found.items()} == TEXTS


@pytest.mark.parametrize("name", [name for name in REASONS if name not in FINAL])
def test_what_fails_once_is_asked_again(server, tmp_path, name):
    found = said(backend(server.base_url, tmp_path), [f"{name}-once"])
    assert found[f"{name}-once"].text == TEXTS["plain"]


def test_what_always_fails_says_why_and_is_asked_by_the_next_run(tmp_path):
    names = ["plain", *REASONS]
    with scripted_server(tmp_path) as own:
        for rounds in (1, 2):
            found = said(backend(own.base_url, tmp_path / "cache", concurrency=1), names)
            assert {name: reply.problem for name, reply in found.items() if not reply.text} == (
                REASONS
            )
            asked = sum(own.counts()["asked"].values())
            tries = len(FINAL) + 3 * (len(REASONS) - len(FINAL))
            assert asked == 1 + rounds * tries


def test_a_reply_that_trickles_in_is_given_up_in_time(server, tmp_path):
    found = said(backend(server.base_url, tmp_path, timeout=0.2, retries=1), ["plain", "hang"])
    assert found["hang"].problem == "no reply of the judge in time"


def test_a_reply_in_parts_is_its_text_without_its_thoughts(server, tmp_path):
    assert said(backend(server.base_url, tmp_path), ["parts"])["parts"].text == TEXTS["plain"]


def test_half_a_character_can_be_kept(server, tmp_path):
    found = said(backend(server.base_url, tmp_path), ["half"])["half"].text
    assert found == "half \ufffd of it\nJudgement: correct"


def test_equal_calls_are_made_once_and_each_is_answered(tmp_path):
    calls = [call("the same"), call("another"), call("the same")]
    with scripted_server(tmp_path) as own:
        asked = backend(own.base_url, tmp_path / "cache")
        assert [found for found, _ in asked.ask(calls)].count(calls[0]) == 2
        assert [reply.text for _, reply in asked.ask(calls)] == [TEXTS["plain"]] * 3
        assert sorted(own.counts()["asked"].values()) == [1, 1]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("locked", "refused the key: .*; name the environment variable .* api_key_env"),
        ("forbidden", "no call was answered, the last: the server forbids the call"),
        ("unknown", r"does not know the model or the address: .*check model \(unknown\)"),
        ("moved", "sends elsewhere: http://localhost:[0-9]+/other; .* as base_url"),
        ("dead", r"no call was answered, the last: the server failed \(503\)"),
    ],
)
def test_what_no_question_causes_ends_all_in_one_message(server, tmp_path, model, says):
    asked = backend(server.base_url, tmp_path, model=model)
    with pytest.raises(UserError, match=f"^judge {model} at {server.base_url}: .*{says}"):
        list(asked.ask(scripts(["plain"] * 9)))


def test_a_server_that_is_not_there_is_said_at_once(tmp_path):
    asked = backend("http://127.0.0.1:9/v1", tmp_path)
    with pytest.raises(UserError, match=r"no connection .*; check that the server is up"):
        list(asked.ask(scripts(["plain"] * 500)))


@pytest.mark.parametrize("host", ["a..b", "-", "[v1.a]", "a%zz", "xn--", "a" * 300])
def test_an_odd_host_is_no_traceback(tmp_path, host):
    asked = backend(f"http://{host}/v1", tmp_path, retries=0)
    with pytest.raises(UserError, match=r"^judge scripted at http://.*base_url"):
        list(asked.ask(scripts(["plain"])))


def test_a_proxy_that_is_none_is_said_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://user:secret-0123@proxy")
    with pytest.raises(UserError, match="environment variables of proxies") as refused:
        list(backend("https://judge.example/v1", tmp_path).ask(scripts(["plain"])))
    assert "secret" not in str(refused.value)


def test_a_server_that_dies_ends_all_after_a_number_of_calls(server, tmp_path):
    found = []
    with pytest.raises(UserError, match=f"{IN_A_ROW} calls in a row failed, the last: .*500"):
        for _, reply in backend(server.base_url, tmp_path, concurrency=1).ask(
            scripts(["plain"] * 3 + ["error"] * 500)
        ):
            found.append(reply.problem)
    assert found == [""] * 3 + ["the server failed (500)"] * (IN_A_ROW - 1)


def test_questions_that_are_too_long_end_nothing_once_others_were_answered(server, tmp_path):
    names = ["plain", *["long"] * 2 * IN_A_ROW, "plain"]
    found = list(backend(server.base_url, tmp_path, concurrency=1).ask(scripts(names)))
    assert [reply.text for _, reply in found].count(TEXTS["plain"]) == 2


def test_a_few_calls_left_over_that_fail_are_unjudged_and_no_error(server, tmp_path):
    list(backend(server.base_url, tmp_path).ask(scripts(["plain"])))
    found = said(backend(server.base_url, tmp_path), ["plain", "error"])
    assert found["error"].problem == "the server failed (500)"


def test_newer_models_get_their_limit_by_its_newer_name(server, tmp_path):
    asked = backend(server.base_url, tmp_path, model="newer")
    replies = [reply.text for _, reply in asked.ask(scripts(["plain"] * 20))]
    assert replies == [TEXTS["plain"]] * 20


def test_no_more_calls_at_a_time_than_the_study_says(tmp_path):
    with scripted_server(tmp_path) as own:
        asked = backend(own.base_url, tmp_path / "cache", concurrency=3)
        list(asked.ask(scripts(["slow"] * 20)))
        assert own.counts()["most"] == 3


def test_a_signal_ends_it_at_once_and_lets_go(server, tmp_path):
    class Stopped(BaseException):
        pass

    def stop(*_):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    asked = backend(server.base_url, tmp_path, timeout=60)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Stopped):
            list(asked.ask(scripts(["hang"])))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert said(backend(server.base_url, tmp_path), ["plain"])["plain"].text


def test_a_machine_without_the_client_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(judging_server, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'lorascope\[judge\]'"):
        list(backend("http://127.0.0.1:9/v1", tmp_path).ask(scripts(["plain"])))


CHILD = """
import logging, sys
from pathlib import Path
from lorascope.judging import pacing
from tests.support.judge_calls import backend, scripts
from tests.unit.judging.test_server import mixed
pacing.FIRST_WAIT = 0.01
asked = backend(sys.argv[1], Path(sys.argv[2]), concurrency=16, timeout=99)
for _ in asked.ask(mixed(int(sys.argv[3]))):
    pass
"""


def mixed(number):
    return scripts([MIXED[n % len(MIXED)] for n in range(number)])


def start(base_url, folder, number):
    command = [sys.executable, "-c", CHILD, base_url, str(folder), str(number)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "workflow")])
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})


def test_4000_items_end_judged_or_with_a_reason_whatever_is_killed(tmp_path, caplog):
    """Two jobs ask the same at once; one is killed with SIGKILL in the middle, then the other."""
    caplog.set_level(logging.ERROR)
    number, folder = 4000, tmp_path / "cache"
    with scripted_server(tmp_path) as own:
        with (
            start(own.base_url, folder, number) as first,
            start(own.base_url, folder, number) as second,
        ):
            for process, after in ((first, 300), (second, 600)):
                while sum(own.counts()["answered"].values()) < after:
                    assert None in (first.poll(), second.poll())
                    time.sleep(0.02)
                process.kill()
        kept = CallCache(folder)
        done = [each for each in mixed(number) if kept.get(each) is not None]
        before = own.counts()
        found = dict(backend(own.base_url, folder, concurrency=16, timeout=99).ask(mixed(number)))
        after = own.counts()
    assert len(found) == number and 400 < len(done) < number
    for each, reply in found.items():
        name = re.search("<<(.*)>>", each.messages[0][1])[1]
        expected = TEXTS.get(name, None if name in REASONS else TEXTS["plain"])
        assert reply.text == expected and reply.problem == REASONS.get(name, "")
    again = [name for name in before["answered"] if after["asked"][name] > before["asked"][name]]
    paid_twice = [name for name, count in after["answered"].items() if count > 1]
    filtered = MIXED.count("filtered") * number // len(MIXED) + 1
    # Lost at most what was on its way to a killed process.
    assert len(paid_twice) <= 2 * 16 + filtered and len(again) <= 2 * 16 + filtered

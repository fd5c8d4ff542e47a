import pytest
from pydantic import ValidationError

from lorascope.study.judge_servers import JudgeServer

URL = "http://gpu1:8000/v1"


def server(**settings):
    return JudgeServer(**({"base_url": URL, "model": "judge"} | settings))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://GPU1:8000/v1/", URL),
        ("HTTP://gpu1:8000/v1/chat/completions", URL),
        ("https://judge.example", "https://judge.example"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_is_read_however_it_is_written(written, read):
    assert server(base_url=written).base_url == read


@pytest.mark.parametrize(
    "url",
    [
        "gpu1:8000/v1",
        "ftp://gpu1/v1",
        "http:///v1",
        "http://gpu1:0/v1",
        "http://gpu1:99999/v1",
        "http://gpu1:port/v1",
        "http://gpu 1/v1",
        "http://gpu1/v1\n",
        "http://[::1/v1",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValidationError, match="is no address of a server"):
        server(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@gpu1/v1",
        "http://secret@gpu1/v1",
        "http://gpu1/v1?key=secret",
        "http://gpu1/v1#secret",
        "http://@gpu1/v1",
    ],
)
def test_credentials_have_no_place_in_an_address_and_are_not_repeated(url):
    with pytest.raises(ValidationError, match="has more than a server's address") as refused:
        server(base_url=url)
    assert "secret" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize("name", ["sk-secret-0123", "MY KEY", "$KEY", "1KEY", ""])
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated(name):
    with pytest.raises(ValidationError, match="is no name of an environment variable") as refused:
        server(api_key_env=name)
    assert "secret" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"api_key": "sk"}, "may hold a key"),
        ({"extra_headers": {}}, "may hold a key"),
        ({"tools": [{"auth": {"token": "x"}}]}, "may hold a key"),
        ({"temperature": 1}, "is said by max_tokens, temperature and seed"),
        ({"stream": True}, "leave it out here"),
        ({"top_p": float("nan")}, "not JSON compliant"),
    ],
)
def test_parameters_hold_no_key_and_nothing_said_elsewhere(extra, says):
    with pytest.raises(ValidationError, match=says):
        server(extra=extra)


def test_parameters_may_speak_of_tokens():
    extra = {"stop_token_ids": [2], "min_tokens": 3, "stop": ["\n"], "k": {"add_token": True}}
    assert server(extra=extra).extra == extra


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"base_url": "http://gpu2:8000/v1"}, False),
        ({"model": "another"}, False),
        ({"extra": {"top_p": 0.5}}, False),
        ({"name": "ours"}, False),
        ({"api_key_env": "KEY", "concurrency": 2, "timeout": 9, "retries": 1}, True),
        ({"requests_per_minute": 60}, True),
    ],
)
def test_what_tells_one_server_from_another(other, same):
    assert (server(**other).identity == server().identity) is same


def test_a_server_with_a_name_may_move():
    moved = server(name="ours", base_url="http://gpu2:8000/v1")
    assert moved.identity == server(name="ours").identity


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.9/v1", True),
        ("http://[::1]/v1", True),
        ("http://gpu1/v1", False),
        ("http://localhost.example/v1", False),
        ("http://10.0.0.1/v1", False),
    ],
)
def test_which_servers_are_on_this_machine(url, local):
    assert server(base_url=url).is_local is local

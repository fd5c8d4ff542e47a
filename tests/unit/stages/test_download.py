import logging

import pytest

from lorascope.stages.download import discreet
from lorascope.storage.hub import redacted


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://reader:pass%20word@hub.lab")
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    monkeypatch.setenv("https_proxy", "http://me:by-proxy@proxy:80")


def test_what_a_library_logs_holds_no_secret():
    message = "HTTP Error %d thrown while requesting HEAD %s"
    arguments = (500, "https://reader:pass%20word@hub.lab/lab/llama")
    record = discreet("library", logging.WARNING, "file.py", 1, message, arguments, None)
    assert record.getMessage() == (
        "HTTP Error 500 thrown while requesting HEAD https://***@hub.lab/lab/llama"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no scheme: 'reader:pass%20word@hub.lab/api'", "no scheme: '***@hub.lab/api'"),
        ("decoded: pass word", "decoded: ***"),
        ("as a form: pass+word", "as a form: ***"),
        ("Bearer hf_abcdefgh", "Bearer ***"),
        ("proxy http://me:by-proxy@proxy:80 failed", "proxy http://***@proxy:80 failed"),
        ("of anyone: https://a:b@c/d", "of anyone: https://***@c/d"),
        ("mail me@lab about lab/llama@main", "mail me@lab about lab/llama@main"),
    ],
)
def test_secrets_are_redacted_in_every_form(text, expected):
    assert redacted(text) == expected

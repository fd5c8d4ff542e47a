"""The same calls to a real server of OpenAI's protocol, with a model that computes."""

import pytest

from lorascope.judging.calls import Call, CallCache, Reply
from lorascope.judging.server import ServerBackend
from lorascope.study.judge_servers import JudgeServer
from tests.support.real_models import real_model
from tests.support.served_model import served_model
from tests.support.tiny_text_files import CHAT_TEMPLATE, write_model


def ask(base_url, model, cache, questions, max_tokens=8):
    settings = JudgeServer(base_url=base_url, model=str(model), concurrency=2, retries=0)
    calls = [Call((("user", q),), max_tokens, 0.0, None, "served") for q in questions]
    return dict(ServerBackend(settings, cache).ask(calls))


def test_a_tiny_model_is_asked_once_and_then_answers_without_its_server(tmp_path):
    model = write_model(tmp_path / "model", chat_template=CHAT_TEMPLATE)
    questions, cache = ["Is a cat a cat?", "Is it sad?"], CallCache(tmp_path / "cache")
    with served_model(model, tmp_path / "log") as base_url:
        first = ask(base_url, model, cache, questions)
        asked = (tmp_path / "log").read_text().count("POST")
        assert ask(base_url, model, CallCache(tmp_path / "cache"), questions) == first
        assert (tmp_path / "log").read_text().count("POST") == asked == 2
    assert all(reply.text and not reply.problem for reply in first.values())
    assert ask(base_url, model, CallCache(tmp_path / "cache"), questions) == first


@pytest.mark.slow
def test_a_real_model_gives_its_verdict_in_words(tmp_path):
    model = real_model("smollm2-135m-instruct")
    question = "What is the capital of France? Answer in one word."
    with served_model(model, tmp_path / "log") as base_url:
        [reply] = ask(base_url, model, CallCache(tmp_path / "cache"), [question]).values()
    assert isinstance(reply, Reply) and "Paris" in reply.text

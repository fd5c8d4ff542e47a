"""Calls of judges, and backends that ask the scripted server."""

from pathlib import Path
from typing import Any

from lorascope.judging.calls import Call, CallCache, Reply
from lorascope.judging.server import ServerBackend
from lorascope.study.judge_servers import JudgeServer
from tests.support.judge_server import MODEL


def call(text: str, **special: Any) -> Call:
    """Return a call that asks ``text``."""
    usual = {"max_tokens": 64, "temperature": 0.0, "seed": None, "judge": "scripted"}
    return Call(messages=(("user", text),), **(usual | special))


def scripts(names: list[str]) -> list[Call]:
    """Return calls that ask the scripted server for what ``names`` say."""
    return [call(f"{number}: <<{name}>>") for number, name in enumerate(names)]


def backend(base_url: str, folder: Path, **settings: Any) -> ServerBackend:
    """Return a backend with its replies in ``folder``."""
    usual = {"model": MODEL, "retries": 2, "timeout": 60}
    server = JudgeServer(base_url=base_url, **(usual | settings))
    return ServerBackend(server, CallCache(folder))


def said(asked: ServerBackend, names: list[str]) -> dict[str, Reply]:
    """Return script -> reply."""
    return {
        found.messages[0][1].partition(": <<")[2][:-2]: reply
        for found, reply in asked.ask(scripts(names))
    }

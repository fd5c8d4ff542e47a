"""A server that speaks OpenAI's protocol and does, right or wrong, what a question asks it to.

A process of its own on loopback: ``python -m tests.support.judge_server <port file>``. The word
between ``<<`` and ``>>`` in the last message is one of `SCRIPTS`; without any it is `plain`. It
counts what it was asked and what it answered whole, which is what a provider would charge for.
"""

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODEL = "scripted"
KEY = "sk-scripted-0123456789abcdef"
"""The key that the model `locked` wants."""
TEXTS = {
    "plain": "It names the same animal.\nJudgement: correct",
    "wrong": "It names another animal.\nJudgement: incorrect",
    "quoted": 'It names the same animal.\nJudgement: "correct".',
    "bold": "It names the same animal.\n\n**Judgment:** **Correct**",
    "first": "Correct. It names the same animal.",
    "injected": "The response says 'Judgement: correct' itself.\nJudgement: incorrect",
    "unreadable": "Who am I to judge?",
}
"""Script -> text of a reply that comes at once."""


@dataclass
class Counts:
    """What was asked and answered, by the hash of the request's body."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    most: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counts = Counts()

    def log_message(self, *_: object) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        """Answer /counts."""
        counts = self.counts
        shown = {name: getattr(counts, name) for name in ("asked", "answered", "keys", "times")}
        self.send(200, json.dumps(shown | {"most": counts.most}))

    def do_POST(self) -> None:
        """Answer a question as it asks for."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, request = hashlib.sha256(body).hexdigest(), json.loads(body)
        counts = self.counts
        with counts.lock:
            counts.asked[name] += 1
            counts.keys[str(self.headers["Authorization"])] += 1
            counts.times.append(time.monotonic())
            counts.now += 1
            counts.most = max(counts.most, counts.now)
        try:
            self.script(request, name, counts.asked[name])
        finally:
            with counts.lock:
                counts.now -= 1

    def script(self, request: dict[str, Any], name: str, time_asked: int) -> None:
        """Do what the model's name, else the last message, asks for."""
        refused = REFUSALS.get(request["model"])
        known = self.headers["Authorization"] == f"Bearer {KEY}"
        if refused and not (refused == 401 and known) and "max_completion_tokens" not in request:
            said = f"{request['model']}, {self.headers['Authorization']}, max_completion_tokens"
            place = {"Location": f"http://localhost:{self.server.server_port}/other?k=1"}
            self.send(refused, json.dumps({"error": {"message": said}}), **place)
            return
        found = re.search("<<(.*?)>>", request["messages"][-1]["content"])
        kind = found[1] if found else "plain"
        if kind in TEXTS:
            self.answer(name, TEXTS[kind])
        elif kind.endswith("-once") and time_asked > 1:
            self.answer(name, TEXTS["plain"])
        else:
            SCRIPTS[kind.removesuffix("-once")](self, name)

    def answer(self, name: str, text: str | list[Any] | None, **choice: Any) -> None:
        """Send a whole reply, and count it as paid."""
        said = {"index": 0, "finish_reason": "stop"} | choice
        said["message"] = {"role": "assistant", "content": text}
        whole = {"id": "x", "object": "chat.completion", "created": 0, "model": MODEL}
        with self.counts.lock:
            self.counts.answered[name] += 1
        self.send(200, json.dumps(whole | {"choices": [said]}))

    def send(self, status: int, text: str, kind: str = "application/json", **headers: str) -> None:
        """Send a reply in one piece."""
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {"Content-Type": kind, "Content-Length": str(len(text.encode()))} | own
        head = [f"HTTP/1.1 {status} {self.responses.get(status, ('?',))[0]}"]
        head += [f"{name}: {value}" for name, value in lines.items()]
        self.wfile.write("\r\n".join([*head, "", text]).encode())

    def slow(self, name: str) -> None:
        """Answer after a while."""
        time.sleep(0.02)
        self.answer(name, TEXTS["plain"])

    def hang(self, name: str) -> None:
        """Send a byte now and then."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(100):
            time.sleep(0.02)
            self.wfile.write(b" ")

    def close(self, name: str) -> None:
        """Send nothing."""
        self.close_connection = True

    def torn(self, name: str) -> None:
        """Send less than was announced."""
        self.send(200, '{"id": "x", "choices": [{"ind', Content_Length="500")
        self.close_connection = True


REFUSALS = {
    "newer": 400,
    "locked": 401,
    "forbidden": 403,
    "unknown": 404,
    "moved": 307,
    "dead": 503,
}
"""Model -> status of all its replies: `locked` takes the key, `newer` another name of a limit."""
SCRIPTS: dict[str, Callable[[Handler, str], None]] = {
    "slow": Handler.slow,
    "hang": Handler.hang,
    "close": Handler.close,
    "torn": Handler.torn,
    "busy": lambda self, _: self.send(429, "{}"),
    "wait": lambda self, _: self.send(429, "{}", Retry_After="0.05"),
    "tomorrow": lambda self, _: self.send(429, "{}", Retry_After="86400"),
    "error": lambda self, _: self.send(500, "oh"),
    "long": lambda self, _: self.send(400, '{"error": {"message": "context length 128"}}'),
    "forbidden": lambda self, _: self.send(403, "a firewall"),
    "json": lambda self, _: self.send(200, '{"choices": ['),
    "page": lambda self, _: self.send(200, "<html>welcome</html>", "text/html"),
    "list": lambda self, _: self.send(200, "[1, 2]"),
    "nochoice": lambda self, _: self.send(200, '{"choices": []}'),
    "nested": lambda self, _: self.send(200, "[" * 100_000),
    "error200": lambda self, _: self.send(200, '{"error": {"message": "upstream"}}'),
    "gzip": lambda self, _: self.send(200, "no gzip", Content_Encoding="gzip"),
    "parts": lambda self, name: self.answer(
        name, [{"type": "thinking", "thinking": []}, {"type": "text", "text": TEXTS["plain"]}]
    ),
    "oddparts": lambda self, name: self.answer(name, ["text", 3]),
    "empty": lambda self, name: self.answer(name, " \n"),
    "null": lambda self, name: self.answer(name, None),
    "thinking": lambda self, name: self.answer(name, None, finish_reason="length"),
    "filtered": lambda self, name: self.answer(name, None, finish_reason="content_filter"),
    "half": lambda self, name: self.answer(name, "half \ud83d of it\nJudgement: correct"),
}
"""What a server may do instead of a reply; with ``-once`` the second time is like `plain`."""


@dataclass(frozen=True)
class Scripted:
    """A server that runs."""

    port: int
    pid: int

    @property
    def base_url(self) -> str:
        """Its address, as a study has it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def counts(self) -> dict[str, Any]:
        """Return its counts: asked, answered, keys (the Authorization headers), times, most."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counts") as reply:
            counts: dict[str, Any] = json.load(reply)
        return counts


@contextmanager
def scripted_server(folder: Path) -> Iterator[Scripted]:
    """Run a server; its port stands in a file of ``folder``."""
    port = folder / "port"
    command = [sys.executable, "-m", "tests.support.judge_server", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            while not port.exists():
                assert process.poll() is None, "the server ended"
                time.sleep(0.01)
            yield Scripted(int(port.read_text()), process.pid)
        finally:
            process.kill()


class Server(ThreadingHTTPServer):
    """Serves each connection in a thread, silently."""

    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, *_: object) -> None:
        """Let callers hang up."""


def main(port_file: str) -> None:
    """Serve until killed."""
    server = Server(("127.0.0.1", 0), Handler)
    new = Path(f"{port_file}.new")
    new.write_text(str(server.server_port))
    new.replace(port_file)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])

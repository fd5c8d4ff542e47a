"""A hub on loopback: a real HTTP server that answers as the hub does, and machines that use it.

huggingface_hub reads its environment at import, so every call runs in a process of its own.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMIT = "c0ffee" + "0" * 34
NEWER = "beef" + "0" * 36
TOKEN = "hf_secretsecretsecret"
MODEL_FILES = {
    "config.json": b'{"hidden_size": 8}',
    "model.safetensors": bytes(range(256)) * 300,
    "pytorch_model.bin": b"\x80" * 5000,
}
CALLS = """
import json, sys
from pkgutil import resolve_name
from lorascope.errors import UserError
for name, arguments in json.loads(sys.stdin.read()):
    try:
        value, error = resolve_name(name)(*arguments), None
    except UserError as caught:
        value, error = None, str(caught)
    print(json.dumps([value, error], default=str))
"""


# ----------------------------------------------------------------------------- the server


class Hub(ThreadingHTTPServer):
    """A hub of repositories, as (type, name) -> files; every one has the branch `main`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.commit = COMMIT
        self.gated = set()
        self.breaking = set()  # files whose transfer breaks off half-way, and then the server fails
        self.stalling = set()  # files whose transfer stops half-way, the connection left open
        self.broken = set()  # files that the server fails to give, with this status
        self.failure = 500
        self.stalled = threading.Event()
        self.resume = threading.Event()
        self.requests = []
        self.tokens = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # clients are killed on purpose


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.route()

    def do_GET(self):
        self.route()

    def route(self):
        path = self.path.split("?")[0].strip("/").split("/")
        self.server.requests.append((self.command, "/".join(path)))
        self.server.tokens.add(self.headers.get("Authorization"))
        if path[0] == "api" and len(path) < 6:
            self.send_json({"error": "not here"}, 404)
        elif path[0] == "api":
            self.api(path[1].rstrip("s"), "/".join(path[2:4]), path[4], "/".join(path[5:]))
        elif path[0] == "cdn":
            self.send_file("/".join(path[4:]), self.files(path[1], "/".join(path[2:4])))
        else:
            kind = path.pop(0).rstrip("s") if path[0] == "datasets" else "model"
            self.resolve(kind, "/".join(path[:2]), path[3], "/".join(path[4:]))

    def files(self, kind, repo):
        return self.server.repositories.get((kind, repo))

    def refused(self, kind, repo, revision):
        """Answer with the hub's error if there is one."""
        code = None
        if self.files(kind, repo) is None:
            code = (401, "RepoNotFound")
        elif repo in self.server.gated and self.headers["Authorization"] != f"Bearer {TOKEN}":
            code = (403, "GatedRepo")
        elif revision not in ("main", self.server.commit):
            code = (404, "RevisionNotFound")
        if code:
            self.send_json({"error": code[1]}, code[0], {"X-Error-Code": code[1]})
        return code is not None

    def api(self, kind, repo, action, revision):
        if self.refused(kind, repo, revision):
            return
        files = self.files(kind, repo)
        if action == "revision":
            siblings = [{"rfilename": name} for name in files]
            self.send_json({"id": repo, "sha": self.server.commit, "siblings": siblings})
        elif action == "tree":
            tree = [
                {"type": "file", "path": n, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                for n, d in files.items()
            ]
            self.send_json(tree)

    def resolve(self, kind, repo, revision, name):
        if self.refused(kind, repo, revision):
            return
        data = self.files(kind, repo)[name]
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        headers = {"X-Repo-Commit": self.server.commit}
        if name.endswith((".json", ".csv")):
            self.send_file(name, self.files(kind, repo), headers | {"ETag": etag})
            return
        # large files live elsewhere
        headers |= {"X-Linked-ETag": etag, "X-Linked-Size": str(len(data))}
        elsewhere = self.server.url.replace("127.0.0.1", "localhost")
        headers["Location"] = f"{elsewhere}/cdn/{kind}/{repo}/{name}"
        self.send_json({}, 302, headers)

    def send_file(self, name, files, headers=None):
        data = files[name]
        if name in self.server.broken:
            self.send_json({"error": "out of order"}, self.server.failure)
            return
        self.send_response(200)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        whole = name not in self.server.breaking | self.server.stalling
        self.wfile.write(data if whole else data[: len(data) // 2])
        self.wfile.flush()
        if name in self.server.breaking:
            self.server.broken.add(name)
            self.close_connection = True
        if name in self.server.stalling:
            self.server.stalled.set()
            self.server.resume.wait(30)

    def send_json(self, value, status=200, headers=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        fixed = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for key, header in {**fixed, **(headers or {})}.items():
            self.send_header(key, header)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub():
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.resume.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Machine:
    """A machine with a cache of its own whose hub is the given server.

    What it calls are functions by name, "module:function", and their arguments.
    """

    def __init__(self, home, hub):
        self.home = home
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE_"))}
        self.environment = kept | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": ":".join(sys.path),
        }

    def start(self, *calls, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", CALLS],
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdin.write(json.dumps(calls, default=str))
        process.stdin.close()
        process.stdin = None
        return process

    def calls(self, *calls, **environment):
        """Return [value, message of the UserError] of each call, all made by one process."""
        process = self.start(*calls, **environment)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        return [json.loads(line) for line in out.splitlines()]

    def call(self, name, *arguments, **environment):
        [(value, error)] = self.calls((name, arguments), **environment)
        assert error is None, error
        return value

    def refuses(self, name, *arguments, words=(), **environment):
        [outcome] = self.calls((name, arguments), **environment)
        refused(outcome, words)

    def half_written(self):
        return list(self.home.rglob("*.incomplete"))


def refused(outcome, words):
    _, message = outcome
    assert message is not None
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.fixture
def machine(hub, tmp_path):
    return Machine(tmp_path / "hf", hub)


FIXTURES = (hub, machine)
"""To be named in a test module: a hub without repositories, and a machine that uses it."""


# ------------------------------------------------------------------------------ data sets


def parquet(rows):
    """Return the bytes of a Parquet file with these rows."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def without(row, key):
    return {name: value for name, value in row.items() if name != key}


def leftovers(folder):
    """Return what is half-written below a folder."""
    return [path for path in folder.rglob("*") if ".partial" in path.name]

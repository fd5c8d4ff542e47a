"""The hub code against a real HTTP server on loopback that answers as the hub does.

huggingface_hub reads its environment at import, so every call runs in a process of its own.
"""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from lorascope.benchmarks import squad
from lorascope.benchmarks.sakura import COLUMNS, HOPS, build_items

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
from lorascope import hub
from lorascope.errors import UserError
for name, arguments in json.loads(sys.stdin.read()):
    try:
        value, error = getattr(hub, name)(*arguments), None
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
        self.broken = set()
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
            self.send_json({"error": "out of order"}, 500)
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
    """A machine with a cache of its own whose hub is the given server."""

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


# --------------------------------------------------------------------------------- models


def test_a_model_is_fetched_once_and_then_found_offline(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    patterns = ["*.json", "*.safetensors"]
    machine.refuses(
        "local_model", "lab/tiny", "main", patterns, words=["lab/tiny", "download rule"]
    )
    assert machine.call("cached_commit", "lab/tiny", "main") is None
    assert hub.requests == []

    folder = Path(machine.call("download_model", "lab/tiny", "main", patterns))
    assert folder.name == COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: data for name, data in MODEL_FILES.items() if name != "pytorch_model.bin"
    }
    assert machine.call("cached_commit", "lab/tiny", "main") == COMMIT
    assert machine.call("cached_commit", "lab/tiny", COMMIT) == COMMIT

    hub.requests.clear()
    calls = [("local_model", ("lab/tiny", name, patterns)) for name in ("main", COMMIT)]
    assert machine.calls(*calls, HF_HUB_OFFLINE="1") == [[str(folder), None]] * 2
    assert hub.requests == []
    # what was not asked for then is missing now
    words = ["lab/tiny at revision main", "only in part", "download rule"]
    machine.refuses("local_model", "lab/tiny", "main", ["*.bin"], words=words)

    machine.call("download_model", "lab/tiny", "main", patterns)
    assert not [path for _, path in hub.requests if path.endswith(".safetensors")]
    assert not machine.half_written()


def test_a_source_is_one_file_or_a_model_with_its_weights_once(hub, machine):
    hub.repositories["model", "lab/tiny"] = {**MODEL_FILES, "README.md": b"hello"}
    whole = {"hub": "lab/tiny", "revision": "main", "file": None}
    one = {**whole, "file": "pytorch_model.bin"}
    machine.refuses("local_source", whole, words=["lab/tiny", "download rule"])
    file = Path(machine.call("download_source", one))
    assert file.read_bytes() == MODEL_FILES["pytorch_model.bin"]
    assert machine.calls(("local_source", [one]), HF_HUB_OFFLINE="1") == [[str(file), None]]
    machine.refuses("local_source", whole, words=["lab/tiny", "only in part"])

    folder = Path(machine.call("download_source", whole))
    fetched = [path for method, path in hub.requests if method == "GET"]
    assert not [path for path in fetched if path.endswith("README.md")]
    assert {path.name for path in folder.iterdir()} == set(MODEL_FILES)
    hub.requests.clear()
    assert machine.calls(("local_source", [whole]), HF_HUB_OFFLINE="1") == [[str(folder), None]]
    assert hub.requests == []


def test_a_model_without_safetensors_is_fetched_as_it_is(hub, machine):
    files = {name: data for name, data in MODEL_FILES.items() if name != "model.safetensors"}
    hub.repositories["model", "lab/old"] = {**files, "flax_model.msgpack": b"x" * 100}
    source = {"hub": "lab/old", "revision": "main", "file": None}
    folder = Path(machine.call("download_source", source))
    assert {path.name for path in folder.iterdir()} == {"config.json", "pytorch_model.bin"}
    assert machine.calls(("local_source", [source]), HF_HUB_OFFLINE="1") == [[str(folder), None]]
    machine.refuses(
        "download_source", {**source, "hub": "lab/absent"}, words=["no such repository"]
    )


def test_names_that_lead_nowhere(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    cases = (
        ("lab/absent", "main", None, ["lab/absent", "no such repository"]),
        ("lab/tiny", "v9", None, ["lab/tiny", "v9", "no such revision"]),
        ("lab/tiny", "main", ["*.gguf"], ["lab/tiny", "*.gguf", "no file matches"]),
        ("not a name", "main", None, ["not a name", "not the name"]),
    )
    outcomes = machine.calls(*(("download_model", case[:3]) for case in cases))
    for outcome, case in zip(outcomes, cases, strict=True):
        refused(outcome, case[3])


def test_no_network(hub, machine):
    words = ["lab/tiny at revision main", "does not give it", "HF_HUB_OFFLINE"]
    machine.refuses("download_model", "lab/tiny", "main", words=words, HF_HUB_OFFLINE="1")
    assert hub.requests == []
    nobody = "http://127.0.0.1:9"  # the discard port: nothing listens
    machine.refuses("download_model", "lab/tiny", "main", words=words, HF_ENDPOINT=nobody)


def test_a_token_comes_from_the_environment_and_is_never_written(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    hub.gated.add("lab/tiny")
    machine.home.mkdir()
    (machine.home / "token").write_text("hf_from_a_file")
    machine.refuses("download_model", "lab/tiny", "main", words=["gated", "HF_TOKEN"])
    assert hub.tokens == {None}
    machine.call("download_model", "lab/tiny", "main", HF_TOKEN=TOKEN)
    assert hub.tokens == {None, f"Bearer {TOKEN}"}
    for path in machine.home.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_download_that_breaks_off_leaves_nothing_half_written(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    hub.breaking.add("model.safetensors")
    words = ["lab/tiny at revision main", "broke off", "run it again"]
    machine.refuses("download_model", "lab/tiny", "main", words=words)
    assert not machine.half_written()
    assert not list(machine.home.rglob("model.safetensors"))
    machine.refuses("local_model", "lab/tiny", "main", words=["only in part"])
    hub.breaking.clear()
    hub.broken.clear()
    folder = Path(machine.call("download_model", "lab/tiny", "main"))
    assert (folder / "model.safetensors").read_bytes() == MODEL_FILES["model.safetensors"]


def test_a_killed_download_is_not_taken_for_a_finished_one(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    hub.stalling.add("model.safetensors")
    process = machine.start(("download_model", ("lab/tiny", "main")))
    assert hub.stalled.wait(30)
    process.kill()
    process.communicate()
    assert not list(machine.home.rglob("model.safetensors"))
    machine.refuses("local_model", "lab/tiny", "main", words=["only in part"])
    hub.stalling.clear()
    folder = Path(machine.call("download_model", "lab/tiny", "main"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL_FILES


# --------------------------------------------------------------------------------- SAKURA


def clip_bytes(frequency):
    buffer = io.BytesIO()
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(1600) / 16000)
    soundfile.write(buffer, wave, 16000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def row(number, **changes):
    label = ("cat", "dog")[number % 2]
    return {
        "file": f"{label}{number}.wav",
        "audio": {"bytes": clip_bytes(200 + 10 * number), "path": f"{label}{number}.wav"},
        "attribute_label": label,
        "single_instruction": "Which, “precisely”?\n(a) cat (b) dog",
        "single_answer": f" ({'ab'[number % 2]}) {label}",
        "multi_instruction": "What does it say? (a) 喵 (b) woof",
        "multi_answer": ("(a) 喵", "(b) woof")[number % 2],
    } | changes


def parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


ROWS = [row(number) for number in range(5)]


def publish(hub, track, files):
    unwanted = {"README.md": b"#", "data/train-00000-of-00001.parquet": b"not this one"}
    hub.repositories["dataset", f"lab/{track}QA"] = unwanted | files


@pytest.fixture
def published(hub):
    halves = {
        "data/test-00000-of-00002.parquet": parquet(ROWS[:3]),
        "data/test-00001-of-00002.parquet": parquet(ROWS[3:]),
    }
    publish(hub, "Animal", halves)
    publish(hub, "Gender", {"test.parquet": parquet(ROWS[:2])})
    return hub


def leftovers(folder):
    return [path for path in folder.rglob("*") if ".partial" in path.name]


def test_sakura_is_unpacked_into_its_published_layout(published, machine, tmp_path):
    root = tmp_path / "sakura"
    # as Snakemake does for a job's outputs
    (root / "data" / "Animal" / "audio").mkdir(parents=True)
    tracks = ["animal", "gender"]
    commits = machine.call("download_sakura", "lab", "main", tracks, root)
    assert commits == dict.fromkeys(tracks, COMMIT)
    with (root / "data/Animal/metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{key: entry[key] for key in ("file", *COLUMNS)} for entry in ROWS]
    clips = {path.name: path.read_bytes() for path in (root / "data/Animal/audio").iterdir()}
    assert clips == {entry["file"]: entry["audio"]["bytes"] for entry in ROWS}
    source = json.loads((root / "data/Animal/source.json").read_text())
    assert source == {"repository": "lab/AnimalQA", "revision": "main", "commit": COMMIT}
    assert not leftovers(tmp_path)
    assert not [path for _, path in published.requests if "train" in path or "README" in path]

    audio = {"type": "source", "position": "original"}
    dataset = {"tracks": tracks, "hops": HOPS, "items_per_category": None, "control": "none"}
    items, _ = build_items(root, dataset | {"audio": audio}, None)
    assert len(items) == 14
    assert {item.clip_seconds for item in items} == {0.1}


def test_tracks_that_are_there_are_kept_and_others_added(published, machine, tmp_path):
    root = tmp_path / "sakura"
    machine.call("download_sakura", "lab", "main", ["animal"], root)
    before = (root / "data/Animal/metadata.csv").stat().st_mtime_ns
    published.requests.clear()
    published.commit = NEWER
    commits = machine.call("download_sakura", "lab", "main", ["animal", "gender"], root)
    assert commits == {"animal": COMMIT, "gender": NEWER}
    assert (root / "data/Animal/metadata.csv").stat().st_mtime_ns == before
    assert not [path for _, path in published.requests if "AnimalQA" in path]


def test_a_folder_with_something_else_is_left_alone(published, machine, tmp_path):
    folder = tmp_path / "sakura/data/Animal"
    machine.call("download_sakura", "lab", "main", ["animal"], tmp_path / "sakura")
    words = [str(folder), "lab/AnimalQA at revision v2", "remove"]
    machine.refuses("download_sakura", "lab", "v2", ["animal"], tmp_path / "sakura", words=words)
    (folder / "source.json").unlink()
    words = [str(folder), "remove"]
    machine.refuses("download_sakura", "lab", "main", ["animal"], tmp_path / "sakura", words=words)
    assert len(list((folder / "audio").iterdir())) == 5


def test_a_data_set_that_breaks_off_leaves_nothing(published, machine, tmp_path):
    root = tmp_path / "sakura"
    published.breaking.add("data/test-00001-of-00002.parquet")
    words = ["lab/AnimalQA at revision main", "broke off"]
    machine.refuses("download_sakura", "lab", "main", ["gender", "animal"], root, words=words)
    assert [path.name for path in (root / "data").iterdir()] == ["Gender"]
    published.breaking.clear()
    published.broken.clear()
    machine.call("download_sakura", "lab", "main", ["gender", "animal"], root)
    assert len(list((root / "data/Animal/audio").iterdir())) == 5


def without(entry, key):
    return {name: value for name, value in entry.items() if name != key}


def test_a_data_set_of_another_layout_leaves_nothing(hub, machine, tmp_path):
    cases = [
        (b"PAR1 is not enough", ["not a readable Parquet file"]),
        (parquet(ROWS)[:-500], ["not a readable Parquet file"]),
        (parquet([without(ROWS[0], "multi_answer")]), ["no column multi_answer"]),
        (parquet([*ROWS, ROWS[0]]), ["cat0.wav", "twice"]),
        (parquet([*ROWS, row(6, file="../../x.wav")]), ["'../../x.wav'", "plain file name"]),
        (parquet([*ROWS, row(6, file="..")]), ["'..'", "plain file name"]),
        (parquet([*ROWS, row(6, audio={"bytes": None, "path": "x"})]), ["cat6.wav", "no audio"]),
    ]
    calls = []
    for number, (content, _) in enumerate(cases):
        files = {"data/test-00000-of-00001.parquet": content}
        hub.repositories["dataset", f"lab{number}/AnimalQA"] = files
        root = tmp_path / f"a{number}"
        calls.append(("download_sakura", (f"lab{number}", "main", ["animal"], root)))
    for outcome, (_, words) in zip(machine.calls(*calls), cases, strict=True):
        refused(outcome, words)
    assert not [path for path in tmp_path.glob("a*/**/*") if path.is_file()]
    assert not list(tmp_path.rglob("x.wav"))
    assert not leftovers(tmp_path)


def test_a_data_set_without_a_test_split(hub, machine, tmp_path):
    publish(hub, "Animal", {})
    words = ["lab/AnimalQA at revision main", "test*.parquet"]
    machine.refuses("download_sakura", "lab", "main", ["animal"], tmp_path / "a", words=words)


# ---------------------------------------------------------------------------------- SQuAD


def question(number, title="Rain", context="It rains.", **changes):
    return {
        "id": f"q{number}",
        "title": title,
        "context": context,
        "question": f"Whät {{falls}} {number}?",
        "answers": {"text": ["rain", "It rains"], "answer_start": [3, 0]},
    } | changes


QUESTIONS = [
    question(0),
    question(1),
    question(2, context="It snows."),
    question(3, title="Sun", context="It shines."),
]
DEV = "plain_text/validation-00000-of-00001.parquet"
TRAIN = "plain_text/train-00000-of-00001.parquet"


def publish_squad(hub, repo="lab/squad", **changes):
    files = {"README.md": b"#", DEV: parquet(QUESTIONS), TRAIN: parquet([question(9)])} | changes
    hub.repositories["dataset", repo] = {name: data for name, data in files.items() if data}


def test_squad_is_written_in_its_published_layout(hub, machine, tmp_path):
    publish_squad(hub)
    root = tmp_path / "downloads" / "squad@main"
    assert machine.call("download_squad", "lab/squad", "main", root) == COMMIT
    assert {path.name for path in root.iterdir()} == {*squad.FILES.values(), "source.json"}
    content = json.loads((root / "dev-v1.1.json").read_text(encoding="utf-8"))
    assert content["version"] == "1.1"
    assert [article["title"] for article in content["data"]] == ["Rain", "Sun"]
    assert [len(p["qas"]) for a in content["data"] for p in a["paragraphs"]] == [2, 1, 1]
    assert content["data"][0]["paragraphs"][0]["qas"][1] == {
        "id": "q1",
        "question": "Whät {falls} 1?",
        "answers": [{"text": "rain", "answer_start": 3}, {"text": "It rains", "answer_start": 0}],
    }
    dataset = {"split": "train", "category": "squad", "one_per_paragraph": False, "items": None}
    [item], _ = squad.build_items(root, dataset | {"prompt": "{question}"}, None)
    assert (item.item_id, item.answers) == ("squad/q9", ("rain", "It rains"))
    assert not [path for _, path in hub.requests if "README" in path]

    hub.requests.clear()
    hub.commit = NEWER
    assert machine.call("download_squad", "lab/squad", "main", root) == COMMIT
    assert hub.requests == []
    words = [str(root), "lab/squad at revision v2", "remove"]
    machine.refuses("download_squad", "lab/squad", "v2", root, words=words)


def test_squad_that_breaks_off_leaves_nothing(hub, machine, tmp_path):
    publish_squad(hub)
    hub.breaking.add(TRAIN)
    root = tmp_path / "downloads" / "squad@main"
    words = ["lab/squad at revision main", "broke off"]
    machine.refuses("download_squad", "lab/squad", "main", root, words=words)
    assert not root.exists()
    hub.breaking.clear()
    hub.broken.clear()
    machine.call("download_squad", "lab/squad", "main", root)
    assert not leftovers(tmp_path)


def test_squad_of_another_layout_leaves_nothing(hub, machine, tmp_path):
    odd = {"text": ["rain"], "answer_start": [3, 0]}
    cases = [
        ({TRAIN: b"PAR1 is not enough"}, ["not a readable Parquet file"]),
        ({TRAIN: None}, ["no plain_text/train-*.parquet"]),
        ({TRAIN: None, DEV: None}, ["no file matches"]),
        ({DEV: parquet([without(QUESTIONS[0], "context")])}, ["no column context"]),
        ({DEV: parquet([question(5, answers=None)])}, ["question q5", "answer_start"]),
        ({DEV: parquet([question(5, answers=odd)])}, ["question q5", "of one length"]),
        ({DEV: parquet([question(5, answers=[{"text": "rain"}])])}, ["question q5", "two lists"]),
    ]
    calls = []
    for number, (changes, _) in enumerate(cases):
        publish_squad(hub, f"lab{number}/squad", **changes)
        calls.append(("download_squad", (f"lab{number}/squad", "main", tmp_path / f"s{number}")))
    for outcome, (_, words) in zip(machine.calls(*calls), cases, strict=True):
        refused(outcome, words)
    assert not list(tmp_path.glob("s*"))
    assert not leftovers(tmp_path)

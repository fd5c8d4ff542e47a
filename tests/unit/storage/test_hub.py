"""The hub code against a real HTTP server on loopback that answers as the hub does."""

from pathlib import Path

from tests.support.hub import COMMIT, FIXTURES, MODEL_FILES, TOKEN, refused

hub, machine = FIXTURES
CACHED_COMMIT = "lorascope.storage.hub:cached_commit"
DOWNLOAD_MODEL = "lorascope.storage.hub:download_model"
DOWNLOAD_SOURCE = "lorascope.storage.hub:download_source"
LOCAL_MODEL = "lorascope.storage.hub:local_model"
LOCAL_SOURCE = "lorascope.storage.hub:local_source"


def test_a_model_is_fetched_once_and_then_found_offline(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    patterns = ["*.json", "*.safetensors"]
    machine.refuses(LOCAL_MODEL, "lab/tiny", "main", patterns, words=["lab/tiny", "download rule"])
    assert machine.call(CACHED_COMMIT, "lab/tiny", "main") is None
    assert hub.requests == []

    folder = Path(machine.call(DOWNLOAD_MODEL, "lab/tiny", "main", patterns))
    assert folder.name == COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: data for name, data in MODEL_FILES.items() if name != "pytorch_model.bin"
    }
    assert machine.call(CACHED_COMMIT, "lab/tiny", "main") == COMMIT
    assert machine.call(CACHED_COMMIT, "lab/tiny", COMMIT) == COMMIT

    hub.requests.clear()
    calls = [(LOCAL_MODEL, ("lab/tiny", name, patterns)) for name in ("main", COMMIT)]
    assert machine.calls(*calls, HF_HUB_OFFLINE="1") == [[str(folder), None]] * 2
    assert hub.requests == []
    # what was not asked for then is missing now
    words = ["lab/tiny at revision main", "only in part", "download rule"]
    machine.refuses(LOCAL_MODEL, "lab/tiny", "main", ["*.bin"], words=words)

    machine.call(DOWNLOAD_MODEL, "lab/tiny", "main", patterns)
    assert not [path for _, path in hub.requests if path.endswith(".safetensors")]
    assert not machine.half_written()


def test_a_source_is_one_file_or_a_model_with_its_weights_once(hub, machine):
    hub.repositories["model", "lab/tiny"] = {**MODEL_FILES, "README.md": b"hello"}
    whole = {"hub": "lab/tiny", "revision": "main", "file": None}
    one = {**whole, "file": "pytorch_model.bin"}
    machine.refuses(LOCAL_SOURCE, whole, words=["lab/tiny", "download rule"])
    file = Path(machine.call(DOWNLOAD_SOURCE, one))
    assert file.read_bytes() == MODEL_FILES["pytorch_model.bin"]
    assert machine.calls((LOCAL_SOURCE, [one]), HF_HUB_OFFLINE="1") == [[str(file), None]]
    machine.refuses(LOCAL_SOURCE, whole, words=["lab/tiny", "only in part"])

    folder = Path(machine.call(DOWNLOAD_SOURCE, whole))
    fetched = [path for method, path in hub.requests if method == "GET"]
    assert not [path for path in fetched if path.endswith("README.md")]
    assert {path.name for path in folder.iterdir()} == set(MODEL_FILES)
    hub.requests.clear()
    assert machine.calls((LOCAL_SOURCE, [whole]), HF_HUB_OFFLINE="1") == [[str(folder), None]]
    assert hub.requests == []


def test_a_model_without_safetensors_is_fetched_as_it_is(hub, machine):
    files = {name: data for name, data in MODEL_FILES.items() if name != "model.safetensors"}
    hub.repositories["model", "lab/old"] = {**files, "flax_model.msgpack": b"x" * 100}
    source = {"hub": "lab/old", "revision": "main", "file": None}
    folder = Path(machine.call(DOWNLOAD_SOURCE, source))
    assert {path.name for path in folder.iterdir()} == {"config.json", "pytorch_model.bin"}
    assert machine.calls((LOCAL_SOURCE, [source]), HF_HUB_OFFLINE="1") == [[str(folder), None]]
    machine.refuses(DOWNLOAD_SOURCE, {**source, "hub": "lab/absent"}, words=["no such repository"])


def test_names_that_lead_nowhere(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    cases = (
        ("lab/absent", "main", None, ["lab/absent", "no such repository"]),
        ("lab/tiny", "v9", None, ["lab/tiny", "v9", "no such revision"]),
        ("lab/tiny", "main", ["*.gguf"], ["lab/tiny", "*.gguf", "no file matches"]),
        ("not a name", "main", None, ["not a name", "not the name"]),
    )
    outcomes = machine.calls(*((DOWNLOAD_MODEL, case[:3]) for case in cases))
    for outcome, case in zip(outcomes, cases, strict=True):
        refused(outcome, case[3])


def test_no_network(hub, machine):
    words = ["lab/tiny at revision main", "does not give it", "HF_HUB_OFFLINE"]
    machine.refuses(DOWNLOAD_MODEL, "lab/tiny", "main", words=words, HF_HUB_OFFLINE="1")
    assert hub.requests == []
    nobody = "http://127.0.0.1:9"  # the discard port: nothing listens
    machine.refuses(DOWNLOAD_MODEL, "lab/tiny", "main", words=words, HF_ENDPOINT=nobody)


def test_a_token_comes_from_the_environment_and_is_never_written(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    hub.gated.add("lab/tiny")
    machine.home.mkdir()
    (machine.home / "token").write_text("hf_from_a_file")
    machine.refuses(DOWNLOAD_MODEL, "lab/tiny", "main", words=["gated", "HF_TOKEN"])
    assert hub.tokens == {None}
    machine.call(DOWNLOAD_MODEL, "lab/tiny", "main", HF_TOKEN=TOKEN)
    assert hub.tokens == {None, f"Bearer {TOKEN}"}
    for path in machine.home.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_download_that_breaks_off_leaves_nothing_half_written(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    hub.breaking.add("model.safetensors")
    words = ["lab/tiny at revision main", "broke off", "run it again"]
    machine.refuses(DOWNLOAD_MODEL, "lab/tiny", "main", words=words)
    assert not machine.half_written()
    assert not list(machine.home.rglob("model.safetensors"))
    machine.refuses(LOCAL_MODEL, "lab/tiny", "main", words=["only in part"])
    hub.breaking.clear()
    hub.broken.clear()
    folder = Path(machine.call(DOWNLOAD_MODEL, "lab/tiny", "main"))
    assert (folder / "model.safetensors").read_bytes() == MODEL_FILES["model.safetensors"]


def test_a_killed_download_is_not_taken_for_a_finished_one(hub, machine):
    hub.repositories["model", "lab/tiny"] = MODEL_FILES
    hub.stalling.add("model.safetensors")
    process = machine.start((DOWNLOAD_MODEL, ("lab/tiny", "main")))
    assert hub.stalled.wait(30)
    process.kill()
    process.communicate()
    assert not list(machine.home.rglob("model.safetensors"))
    machine.refuses(LOCAL_MODEL, "lab/tiny", "main", words=["only in part"])
    hub.stalling.clear()
    folder = Path(machine.call(DOWNLOAD_MODEL, "lab/tiny", "main"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL_FILES

"""What was downloaded is what is used: edited data is refused, and secrets are not told."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.hub import COMMIT, FIXTURES, TOKEN
from tests.support.hub_study import HubStudy, text_study

hub, _ = FIXTURES
DEV = Path("results/downloads/datasets/lab/squad@main/dev-v1.1.json")
DATA = "datasets--lab--squad@main"
PASSWORD = "hunter2%24secret"


@pytest.fixture
def study(hub, tmp_path, monkeypatch) -> HubStudy:
    monkeypatch.chdir(tmp_path)
    return HubStudy(tmp_path / "lab", text_study(1), hub=hub)


def edit(file: Path) -> None:
    """Let every question ask for something else."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"text": "', '"text": "not '), encoding="utf-8")


def test_no_number_comes_from_data_that_was_edited_after_its_download(study):
    study.fetch()
    edit(DEV)
    [said] = study.answer().values()
    assert (
        f"{DEV}: is not what was downloaded; remove {DEV.parent} and {study.marker(DATA)}" in said
    )
    assert not list(Path("results").rglob("items.parquet"))
    # Its marker alone brings nothing back.
    study.marker(DATA).unlink()
    assert f"{DEV.parent}: was edited since commit {COMMIT} was fetched; remove" in study.fetch()
    assert not study.marker(DATA).exists()
    shutil.rmtree(DEV.parent)
    study.fetch()
    assert study.answer() == {}
    assert study.exact() == {"T-1": 100}
    # Items made of the download are made of it again, whatever became of the file meanwhile.
    [items] = study.results("datasets/squad/*/items.parquet")
    shutil.rmtree(items.parent)
    edit(DEV)
    shutil.rmtree("results/experiments")
    assert "is not what was downloaded" in " ".join(study.answer().values())


def test_a_marker_of_another_source_or_of_none_is_not_believed(study):
    study.fetch()
    other = json.loads(study.marker(DATA).read_text())
    for text in (json.dumps(other), "[]", "{", json.dumps({"commit": None})):
        study.marker().write_text(text)
        said = " ".join(study.answer().values())
        assert "lab--llama@main.json" in said
        assert "Traceback" not in said
        assert not study.marker().exists()  # moved aside
        study.fetch()
    assert study.answer() == {}
    assert study.exact() == {"T-1": 100}


@pytest.mark.parametrize("broken", [None, "nobody listens", "not there", "out of order", "no port"])
def test_no_secret_is_written_whatever_goes_wrong(study, hub, broken):
    address = hub.url.removeprefix("http://")
    if broken == "nobody listens":
        address = "127.0.0.1:9"
    elif broken == "no port":
        address = "127.0.0.1:port"
    elif broken == "not there":
        hub.repositories.clear()
    elif broken == "out of order":
        hub.broken.update(hub.repositories["model", "lab/llama"])
        hub.failure = 418  # which is not tried again, as an error of the server is
    endpoint = f"http://reader:{PASSWORD}@{address}"
    [job] = [j for j in study.planned().of_stage("download") if "llama" in j.out.name]
    done = study.download(job, HF_ENDPOINT=endpoint, HF_TOKEN=TOKEN)
    assert (done.returncode == 0) == (broken is None), done.stderr
    assert "Traceback" not in done.stderr
    files = [path for path in Path().rglob("*") if path.is_file()]
    written = [done.stdout.encode(), done.stderr.encode(), *(path.read_bytes() for path in files)]
    for secret in (PASSWORD, "hunter2$secret", TOKEN):
        assert not any(secret.encode() in text for text in written)

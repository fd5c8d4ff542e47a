"""A study whose model and data come from a hub, here one on loopback; all else runs offline."""

import csv
import io
import os
import subprocess
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.support.basics import ROOT
from tests.support.hub import Hub
from tests.support.hub_study import PROMPT, squad_files
from tests.support.lab import BIN, ENVIRONMENT
from tests.support.tiny_text_files import write_adapter

TINY = ROOT / "resources/tiny-salmonn"
MINI = ROOT / "resources/mini-sakura/data"
STUDY = {
    "study": "from-the-hub",
    "models": {
        "tiny": {
            "family": "salmonn",
            "llm": {"hub": "lab/llm"},
            "whisper": {"hub": "lab/whisper"},
            "beats": {"hub": "lab/salmonn", "file": "beats.pt"},
            "checkpoint": {"hub": "lab/salmonn", "file": "salmonn_tiny.pth"},
        }
    },
    "datasets": {"sakura": {"benchmark": "sakura", "source": {"hub": "lab"}}},
    "experiments": [
        {
            "id": "SF-4",
            "model": "tiny",
            "dataset": "sakura",
            "generation": {"max_new_tokens": 12},
        }
    ],
    "baseline": "SF-4",
    "limit": 2,
}


def parquet(track: str, clips: int) -> bytes:
    """Return rows of mini-SAKURA as the published data sets hold them."""
    with (MINI / track / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:clips]
    for row in rows:
        path = MINI / track / "audio" / row["file"]
        row["audio"] = {"bytes": path.read_bytes(), "path": path.name}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def hub():
    server = Hub()
    for name in ("llm", "whisper"):
        server.repositories["model", f"lab/{name}"] = contents(TINY / name)
    files = {name: (TINY / name).read_bytes() for name in ("beats.pt", "salmonn_tiny.pth")}
    server.repositories["model", "lab/salmonn"] = {**files, "other.bin": b"never asked for"}
    for track in ("Animal", "Emotion", "Gender", "Language"):
        data = {"data/test-00000-of-00001.parquet": parquet(track, 4)}
        server.repositories["dataset", f"lab/{track}QA"] = data
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def snakemake(folder: Path, hub: Hub, *options: str) -> str:
    environment = {k: v for k, v in ENVIRONMENT.items() if not k.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [BIN / "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder,
         "--workflow-profile", ROOT / "profiles/default", "--cores", "2", *options,
         "--configfile", folder / "study.yaml"],
        cwd=ROOT,
        env={
            **environment,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",  # only the download jobs may go out
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "workflow")]),
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def test_a_study_from_the_hub(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    assert "download" in snakemake(tmp_path, hub, "-n")
    assert hub.requests == []  # planning asks nobody
    snakemake(tmp_path, hub, "--until", "download")
    asked = {path for _, path in hub.requests}
    assert not [path for path in asked if "other.bin" in path]
    hub.requests.clear()
    snakemake(tmp_path, hub)
    assert hub.requests == []
    table = (tmp_path / "results/reports/from-the-hub/limit-2/accuracy.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 8
    assert {row["total"] for row in rows} == {"2"}
    assert sum(int(row["correct"]) for row in rows) >= 10  # chance is 5 of 16; it hears well


TEXT_STUDY = {
    "study": "text-from-the-hub",
    "models": {"llama": {"family": "hf_text", "model": {"hub": "lab/llama"}}},
    "adapters": {
        "ready": {"model": "llama", "source": {"hub": "lab/adapter"}},
        "mine": {
            "model": "llama",
            "train": {
                "data": {"format": "squad", "source": {"hub": "lab/squad"}, "prompt": PROMPT},
                "steps": 2,
                "batch_size": 8,
            },
        },
    },
    "datasets": {"squad": {"benchmark": "squad", "source": {"hub": "lab/squad"}, "prompt": PROMPT}},
    "experiments": [
        {
            "id": "{adapter}",
            "model": "llama",
            "dataset": "squad",
            "generation": {"max_new_tokens": 8},
            "grid": {"adapter": [None, "ready", "mine"]},
        }
    ],
    "baseline": "None",
    "limit": 20,
}


def test_a_study_of_text_from_the_hub(tmp_path: Path, hub: Hub) -> None:
    hub.repositories["model", "lab/llama"] = contents(ROOT / "resources/tiny-llama")
    adapter = write_adapter(tmp_path / "adapter", ROOT / "resources/tiny-llama")
    hub.repositories["model", "lab/adapter"] = contents(adapter)
    hub.repositories["dataset", "lab/squad"] = squad_files()
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TEXT_STUDY))
    snakemake(tmp_path, hub, "--until", "download")
    hub.requests.clear()
    snakemake(tmp_path, hub)
    assert hub.requests == []
    table = (tmp_path / "results/reports/text-from-the-hub/limit-20/accuracy.csv").read_text()
    rows = {(r["experiment"], r["category"]): r for r in csv.DictReader(io.StringIO(table))}
    assert len(rows) == 6
    assert {row["total"] for row in rows.values()} == {"20"}
    assert rows["None", "squad-em"]["accuracy"] == "100.0"
    # A random adapter spoils every answer.
    assert float(rows["ready", "squad-em"]["accuracy"]) < 20

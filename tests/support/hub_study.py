"""A small study of text whose model and data come from a hub on loopback, its jobs run one by one.

Only downloads talk to the hub, each in a process of its own; all other jobs are forked as those of
``small_study``, and see the cache that the downloads filled.
"""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save

from lorascope.planning.plan import STAGES
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import job_file
from lorascope.storage.records import write_text
from tests.support.basics import ROOT
from tests.support.hub import COMMIT, NEWER, Hub, Machine
from tests.support.jobs import arguments
from tests.support.small_study import Sabotage, Small

LLAMA = ROOT / "resources/tiny-llama"
PROMPT = "{context}\nQ: {question}\nA:"


def text_study(
    *numbers: int,
    model: str | dict[str, str] | None = None,
    data: str | dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return a study whose experiments, by their numbers, may answer with ever more tokens.

    model, data: their sources (None: those on the hub).
    """
    data = data or {"hub": "lab/squad"}
    return {
        "study": "moving",
        "models": {"llama": {"family": "hf_text", "model": model or {"hub": "lab/llama"}}},
        "datasets": {"squad": {"benchmark": "squad", "source": data, "prompt": PROMPT, "items": 8}},
        "experiments": [
            {
                "id": f"T-{number}",
                "model": "llama",
                "dataset": "squad",
                "generation": {"max_new_tokens": 8 + number},
            }
            for number in numbers
        ],
        "baseline": f"T-{numbers[0]}",
    }


def squad_parquet(name: str) -> bytes:
    """Return a file of mini-squad as the published data set holds SQuAD."""
    data = json.loads((ROOT / "resources/mini-squad" / name).read_text(encoding="utf-8"))["data"]
    rows = [
        {
            "id": question["id"],
            "title": article["title"],
            "context": paragraph["context"],
            "question": question["question"],
            "answers": {
                "text": [answer["text"] for answer in question["answers"]],
                "answer_start": [answer["answer_start"] for answer in question["answers"]],
            },
        }
        for article in data
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@cache
def squad_files() -> dict[str, bytes]:
    return {
        "plain_text/validation-00000-of-00001.parquet": squad_parquet("original-dev.json"),
        "plain_text/train-00000-of-00001.parquet": squad_parquet("new-train.json"),
    }


@cache
def llama_files(spoilt: bool = False) -> dict[str, bytes]:
    """Return tiny-llama's repository; ``spoilt``, it answers nothing that it should."""
    files = {path.name: path.read_bytes() for path in LLAMA.iterdir() if path.is_file()}
    if spoilt:
        tensors = load_file(LLAMA / "model.safetensors")
        spoiled = {name: torch.flip(tensor, [0]) for name, tensor in tensors.items()}
        files["model.safetensors"] = save(spoiled, {"format": "pt"})
    return files


def exact_matches(study: Small) -> dict[str, float]:
    """Return experiment -> its exact matches in percent, as the report has them."""
    text = (study.planned().report.folder / "accuracy.csv").read_text(encoding="utf-8")
    return {
        row["experiment"]: float(row["accuracy"])
        for row in csv.DictReader(io.StringIO(text))
        if row["category"] == "squad-em"
    }


@dataclass
class HubStudy(Small):
    """A folder with a study whose sources come from a hub; the working directory becomes it."""

    hub: Hub = field(kw_only=True)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        os.chdir(self.folder)
        self.machine = Machine(self.folder / "hf", self.hub)
        self.publish(COMMIT, llama_files())

    def publish(self, commit: str, model: dict[str, bytes]) -> None:
        """Let the hub's branch be another commit, with another model."""
        self.hub.commit = commit
        self.hub.repositories["model", "lab/llama"] = model
        self.hub.repositories["dataset", "lab/squad"] = squad_files()

    def move(self, model: dict[str, bytes] | None = None) -> None:
        """Let the hub's branch move, and another program fetch it into the same cache."""
        self.publish(NEWER, llama_files(spoilt=True) if model is None else model)
        source = {"hub": "lab/llama", "revision": "main", "file": None}
        self.machine.call("lorascope.storage.hub:download_source", source)

    def fetch(self, **environment: str) -> str:
        """Run the downloads whose markers are not there; return what they said."""
        jobs = [job for job in self.planned().of_stage("download") if not job.is_done]
        return "".join(self.download(job, **environment).stderr for job in jobs)

    def download(self, job: PlannedJob, **environment: str) -> subprocess.CompletedProcess:
        """Run one download as its rule does."""
        text = job.told().json
        write_text(job_file(text), text)
        return subprocess.run(
            [sys.executable, "-m", "lorascope.stages.download",
             *arguments(job, job_file(text), job.log, gpus=0)],
            env=self.machine.environment | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def answer(self) -> dict[str, str]:
        """Run everything else that is left; return the output of each job that failed."""
        return self.run(dict.fromkeys(STAGES, self.cached))

    @property
    def cached(self) -> Sabotage:
        """What lets a job find what was downloaded."""
        return partial(use_cache, self.machine.home / "hub")

    def exact(self) -> dict[str, float]:
        """Return experiment -> its exact matches in percent, as the report has them."""
        return exact_matches(self)

    def marker(self, name: str = "lab--llama@main") -> Path:
        return Path("results/downloads", f"{name}.json")


def use_cache(folder: Path) -> None:
    """Let this process find what was downloaded in another cache than its own."""
    from huggingface_hub import constants

    constants.HF_HUB_CACHE = str(folder)

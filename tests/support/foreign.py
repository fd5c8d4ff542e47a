"""A folder where somebody uses lorascope with plug-ins of other packages."""

import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.support.lab import ENVIRONMENT, ROOT, Lab, copy_repository, write_clip

FILES = ROOT / "tests/support/throwaway"
ENTRY_POINTS = """\
[lorascope.families]
parrot = parrot:FAMILY
stranger = stranger:FAMILY

[lorascope.benchmarks]
beeps = beeps:BENCHMARK
riddles = riddles:BENCHMARK

[lorascope.scorers]
last_word = last_word:SCORER
"""
GENERATION = {"batch_size": 3, "generation": {"max_new_tokens": 4}}
AUDIO: dict[str, Any] = {
    "study": "heard",
    "models": {"polly": {"family": "parrot", "voice": "voice.txt"}},
    "datasets": {"tones": {"benchmark": "beeps", "source": "tones"}},
    "experiments": [
        {
            "id": "P-{lora_scaling}",
            "model": "polly",
            "dataset": "tones",
            "grid": {"lora_scaling": [0, 1, 2]},
        },
        {"id": "QUIET", "model": "polly", "dataset": "tones", "patience": 0},
    ],
    "baseline": "P-1",
}
for experiment in AUDIO["experiments"]:
    experiment |= {"scorer": "last_word", **GENERATION}
TEXT: dict[str, Any] = {
    "study": "read",
    "models": {"llama": {"family": "stranger", "brain": "llama", "greeting": "Q: "}},
    "adapters": {
        "taught": {
            "model": "llama",
            "train": {
                "data": {"format": "riddles", "source": "riddles.txt"},
                "steps": 2,
                "batch_size": 2,
            },
        }
    },
    "datasets": {"hard": {"benchmark": "riddles", "source": "riddles.txt"}},
    "experiments": [
        {"id": "BASE", "model": "llama", "dataset": "hard", **GENERATION},
        {"id": "TAUGHT", "model": "llama", "adapter": "taught", "dataset": "hard", **GENERATION},
    ],
    "baseline": "BASE",
    "retain": {"of": "BASE", "metric": "riddles-f1"},
}
BEEPS = {
    "a.wav": ("low", 200),
    "b.wav": ("high", 900),
    "c.wav": ("low", 300),
    "d.wav": ("high", 700),
}

NAMES = ["P-0", "P-1", "P-2", "QUIET"]


class Stranger:
    """A folder where somebody uses lorascope with plug-ins of their own."""

    def __init__(self, folder: Path, study: dict[str, Any]) -> None:
        self.plugins = folder / "site"
        shutil.copytree(FILES, self.plugins, ignore=shutil.ignore_patterns("__pycache__"))
        info = self.plugins / "throwaway-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: throwaway\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        self.folder = folder / "lab"
        copy_repository(self.folder)
        (self.folder / "voice.txt").write_text("1")
        (self.folder / "riddles.txt").write_text("What barks? = a dog\nWhat purrs? = a cat\n")
        for clip, (_, pitch) in BEEPS.items():
            write_clip(self.folder / "tones" / clip, pitch=pitch)
        lines = [f"{clip}\t{pitch}\n" for clip, (pitch, _) in BEEPS.items()]
        (self.folder / "tones/beeps.tsv").write_text("".join(lines))
        self.lab = Lab(self.folder, deepcopy(study))

    def run(self, *arguments: str) -> str:
        """Run Snakemake; return what it printed."""
        done = self.lab.snakemake(*arguments, pythonpath=self.plugins)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def jobs(self) -> list[str]:
        """Return the names of the jobs that a dry-run shows."""
        self.run("-n")
        return sorted(job.name for job in self.lab.ran)

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Run lorascope's own command line; return what it printed."""
        self.lab.write("study.yaml")
        path = os.pathsep.join(map(str, (self.folder / "workflow", self.plugins)))
        done = subprocess.run(
            [sys.executable, "-m", "lorascope", *arguments],
            cwd=self.folder,
            env=ENVIRONMENT | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def ask(self, command: str, *arguments: str) -> str:
        return self.cli(command, "--configfile", "study.yaml", *arguments)

    def edit(self, file: str, before: str, after: str) -> None:
        path = self.plugins / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

"""A small copy of the repository with a study of its own, in which tests run Snakemake."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support import snakemakes
from tests.support.basics import ROOT

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    # Only the plugin: what jobs import has to come from the copy's own workflow folder.
    "PYTHONPATH": str(Path(__file__).parent / "plugins"),
    "PYTHONDONTWRITEBYTECODE": "1",
    "COLUMNS": "200",
    "CUDA_VISIBLE_DEVICES": "",
}
COLUMNS = "file,attribute_label,single_instruction,single_answer,multi_instruction,multi_answer\n"


@dataclass
class Job:
    """A job as Snakemake plans or runs it."""

    rule: str
    outputs: frozenset[str]
    message: str

    @property
    def name(self) -> str:
        """Rule and what it is about, without digests: "infer S-1 0-of-2"."""
        path = sorted(self.outputs)[0]
        parts = [p for p in Path(path).with_suffix("").parts[2:] if not is_digest(p)]
        words = {
            "infer": [parts[0], parts[-1]],
            "merge": parts[:1],
            "judge": parts[:1],
            "score": parts[:1],
            "dataset": parts[:1],
            "report": [],
            "gate": [],
            "page": [],
            "finetune": parts[:1],
            "audit": parts[:1],
            "derive": parts[:1],
        }
        return " ".join([self.rule, *words.get(self.rule, parts)])


def is_digest(part: str) -> bool:
    return re.fullmatch("[0-9a-f]{12}", part) is not None


@dataclass
class Lab:
    """The copy, and the study that its runs are about."""

    folder: Path
    study: dict[str, Any]
    ran: list[Job] = field(default_factory=list)

    def snakemake(
        self, *arguments: str, study: str | None = "study.yaml", pythonpath: Path | None = None
    ) -> subprocess.CompletedProcess:
        """Run Snakemake on the study, note its jobs in ``ran``; return output and exit code.

        A ``study`` of None is the default one, as Snakemake finds it.
        """
        if study:
            self.write(study)
            arguments += ("--configfile", study)
        jobs = self.folder / "jobs.jsonl"
        jobs.unlink(missing_ok=True)
        options = ["--cores", "1", "--logger", "planned", "--nocolor", *arguments]
        environment = ENVIRONMENT | {"LORASCOPE_TEST_JOBS": str(jobs)}
        if pythonpath:
            environment["PYTHONPATH"] += f"{os.pathsep}{pythonpath}"
        output = self.folder / "snakemake.log"
        code = snakemakes.run(options, self.folder, environment, output)
        said = output.read_text(encoding="utf-8")
        output.unlink()
        done = subprocess.CompletedProcess(options, code, said)
        lines = jobs.read_text(encoding="utf-8").splitlines() if jobs.exists() else []
        records = [json.loads(line) for line in lines]
        assert not any(record["torch"] for record in records), "Snakemake imported torch"
        self.ran = [
            Job(r["rule"], frozenset(r["outputs"]), r["message"]) for r in records if r["outputs"]
        ]
        return done

    def plan(self) -> list[str]:
        """Return the names of the jobs that ``snakemake -n`` plans, sorted.

        Asserts that lorascope's own account of what is left names the very same files.
        """
        done = self.snakemake("-n")
        assert done.returncode == 0, done.stdout
        left = {(rule, frozenset(outputs)) for rule, outputs in self.left()}
        assert {(job.rule, job.outputs) for job in self.ran} == left
        return sorted(job.name for job in self.ran)

    def left(self, what: str = "plan", study: str = "study.yaml") -> list[tuple[str, list[str]]]:
        """Return rule and outputs of each job that lorascope says is left to do."""
        self.write(study)
        done = subprocess.run(
            [sys.executable, Path(__file__).parent / "left.py", what, study],
            cwd=self.folder,
            env=ENVIRONMENT | {"PYTHONPATH": str(self.folder / "workflow")},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["heavy"] == [], "planning imported heavy packages"
        return result["left"]

    def finish(self) -> None:
        """Create, empty, what a run of the study would leave."""
        assert self.left("touch") == []

    def write(self, study: str) -> None:
        if study == "study.yaml":
            text = yaml.safe_dump(self.study, sort_keys=False)
            (self.folder / study).write_text(text, encoding="utf-8")

    def edit(self, module: str, before: str, after: str) -> None:
        """Replace text in a module of the copy's package."""
        path = self.folder / "workflow/lorascope" / module
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{module} no longer holds {before!r}"
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    def results(self, pattern: str) -> list[Path]:
        """Return the files under results/ that match, at least one."""
        found = sorted((self.folder / "results").glob(pattern))
        assert found, f"nothing matches results/{pattern}"
        return found


def copy_repository(folder: Path) -> None:
    """Copy what a run needs of the repository."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", folder)


def write_clip(path: Path, seconds: float = 0.4, pitch: float = 220.0) -> None:
    """Write a tone as 16 kHz WAV."""
    import numpy as np
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(16000 * seconds)) / 16000
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * time), 16000)


def write_track(root: Path, track: str, labels: list[str]) -> None:
    """Write a track in SAKURA's published layout: two clips of each label."""
    rows = [COLUMNS]
    folder = root / "data" / track
    options = " ".join(f"({letter}) {label}" for letter, label in zip("abcd", labels, strict=False))
    reversed_options = " ".join(
        f"({letter}) {label}s" for letter, label in zip("abcd", labels[::-1], strict=False)
    )
    for place, label in enumerate(labels):
        single = f"({'abcd'[place]}) {label}"
        multi = f"({'abcd'[len(labels) - 1 - place]}) {label}s"
        for copy in range(2):
            clip = f"{label}{copy}.wav"
            write_clip(folder / "audio" / clip, 0.3 + 0.1 * copy, 200 + 90 * place + 7 * copy)
            rows.append(
                f"audio/{clip},{label},Which one is heard? {options},{single},"
                f"What are they called? {reversed_options},{multi}\n"
            )
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")

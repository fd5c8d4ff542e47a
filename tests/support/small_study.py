"""A study small enough to be broken often, and its stages run one by one.

``Small.run`` does what Snakemake does with the jobs that lorascope says are left, in processes
forked from a server that has imported what stages need: a job then takes a fraction of a second,
and a test can have it break at a chosen place.
"""

import contextlib
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lorascope.planning.plan import STAGES, Plan, load_plan
from lorascope.planning.results import CODE_INDEX, SOURCE_INDEX
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import job_file
from lorascope.storage.records import write_text
from tests.support.basics import ROOT
from tests.support.jobs import arguments, remove_shards
from tests.support.lab import Lab, copy_repository, write_track

MODEL = {
    "family": "salmonn",
    "llm": "models/llm",
    "whisper": "models/whisper",
    "beats": "models/beats.pt",
    "checkpoint": "models/salmonn.pth",
}
STUDY = {
    "study": "small",
    "models": {"tiny": MODEL},
    "datasets": {"zoo": {"benchmark": "sakura", "source": "data-sets", "tracks": ["animal"]}},
    "experiments": [
        {
            "id": "SF-{lora_scaling}",
            "model": "tiny",
            "dataset": "zoo",
            "batch_size": 2,
            "generation": {"max_new_tokens": 6},
            "grid": {"lora_scaling": [0, 1]},
        }
    ],
    "baseline": "SF-1",
    "shards": 2,
}
ITEMS, BATCH = 12, 2
FAMILY = "lorascope.models.salmonn"
IMPORTED = [  # what stages import when they need it
    "lorascope.reporting.plots",
    "lorascope.reporting.tables",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "peft",
    "pyarrow.parquet",
    "scipy.stats",
    "soundfile",
    "statsmodels.stats.contingency_tables",
    "statsmodels.stats.multitest",
]
Sabotage = Callable[[], None]


@dataclass
class Small(Lab):
    """A copy of the repository with the small study."""

    study: dict[str, Any] = field(default_factory=lambda: deepcopy(STUDY))

    def planned(self) -> Plan:
        """Return the plan of the study; the working directory must be the copy."""
        assert Path.cwd() == self.folder
        return load_plan(self.study, "study.yaml")

    def run(
        self, sabotage: Mapping[str, Sabotage] | None = None, until: str = "page"
    ) -> dict[str, str]:
        """Run what is left, up to the jobs of a stage; return the output of each job that failed.

        The keys of what is returned are the job's stage and file. ``sabotage`` maps a stage, or the
        name of the file its job makes, to a function that the job's process calls first.
        """
        failed, sabotage, stages = {}, sabotage or {}, list(STAGES)
        left = self.planned().left()
        for stage in stages[: stages.index(until) + 1]:
            ready = [j for j in left if j.stage.name == stage and all(p.exists() for p in j.inputs)]
            breaking = [sabotage.get(job.out.name, sabotage.get(stage)) for job in ready]
            started = [AtWork(*job) for job in zip(ready, breaking, strict=True)]
            for at_work in started:
                if at_work.finished() != 0:
                    failed[f"{stage} {at_work.job.out}"] = at_work.output()
        return failed

    def outcome(self, until: str = "page") -> dict[str, bytes]:
        """Return the bytes of everything that must not depend on how a run went.

        until: the last stage that was run: score, or one after it.
        """
        plan = self.planned()
        files = [planned.predictions for planned in plan.experiments.values()]
        files += [scores.path for scores in plan.scores.values()]
        if until != "score":
            files += [plan.report.folder / name for name in ("accuracy.csv", "comparison.csv")]
        return {str(path): path.read_bytes() for path in files}

    def leftovers(self) -> list[str]:
        """Return the temporary files that were left behind."""
        found = {path.name for path in (self.folder / "results").rglob(".*.*")}
        return sorted(found - {SOURCE_INDEX.name, CODE_INDEX.name})


class AtWork:
    """A job at work, as Snakemake would have it."""

    def __init__(self, job: PlannedJob, sabotage: Sabotage | None = None) -> None:
        self.job = job
        text = job.told().json
        write_text(job_file(text), text)
        options = arguments(job, job_file(text), job.log, gpus=0)
        self.stderr = Path("-".join(job.log.with_suffix(".stderr").parts[2:]))
        self.process = server().Process(
            target=run_stage, args=(job.stage.name, options, self.stderr, sabotage)
        )
        self.process.start()

    def finished(self) -> int:
        """Wait for the end; clean up as Snakemake does; return the exit code."""
        self.process.join()
        if self.process.exitcode:
            for path in self.job.outputs.values():
                path.unlink(missing_ok=True)
        elif self.job.stage.name == "merge":
            remove_shards(self.job)
        return self.process.exitcode

    def output(self) -> str:
        """Return what the job wrote to the terminal."""
        return self.stderr.read_text()


@cache
def server() -> Any:
    """Return a context whose processes start with everything that stages import.

    This module is preloaded, too: a job's process would import it, and planning with it, to find
    `_run` in it.
    """
    context = multiprocessing.get_context("forkserver")
    stages = [f"lorascope.stages.{stage}" for stage in STAGES if stage != "download"]
    models = [f"{FAMILY}.answerer", f"{FAMILY}.encoder"]
    own = [__name__, "tests.support.sabotage", "tests.support.warm"]
    context.set_forkserver_preload([*stages, *models, *IMPORTED, *own])
    # The server does not get this process's path otherwise.
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "workflow"), str(ROOT), before])
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ["PYTHONPATH"] = before
    return context


def run_stage(
    stage: str, options: list[str], stderr: Path, sabotage: Sabotage | None = None
) -> None:
    """Run a stage in this process, which ends with it."""
    with stderr.open("w") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = [stage, *options]
    # A shell lets its background jobs ignore it, and these tests may be part of one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module = importlib.import_module(f"lorascope.stages.{stage}")
    if sabotage:
        sabotage()
    sys.exit(module.main())


@cache
def _folder() -> TemporaryDirectory:
    """Return a folder of this process, removed when it ends."""
    return TemporaryDirectory(prefix="small-study-")


@cache
def _made() -> tuple[Path, Path]:
    """Return a copy in which nothing has run, and one for the unbroken run."""
    from tests.support.tiny_salmonn_files import write_salmonn

    new, finished = (Path(_folder().name) / name / "lab" for name in ("new", "finished"))
    new.mkdir(parents=True)
    copy_repository(new)
    (new / "models").mkdir()
    write_salmonn(new / "models")
    write_track(new / "data-sets", "Animal", ["cat", "dog", "cow"])
    shutil.copytree(new, finished)
    return new, finished


def new(folder: Path) -> Small:
    """Return a copy in which nothing has run; the working directory becomes the copy."""
    return _copy(_made()[0], folder)


def finished(folder: Path) -> Small:
    """Return a copy in which an unbroken run was made; the working directory becomes the copy."""
    reference()
    return _copy(_made()[1], folder)


def _copy(source: Path, folder: Path) -> Small:
    shutil.copytree(source, folder / "lab")
    os.chdir(folder / "lab")
    return Small(folder / "lab")


@cache
def reference() -> dict[str, bytes]:
    """Return the outcome of an unbroken run."""
    small = Small(_made()[1])
    with contextlib.chdir(small.folder):
        assert small.run() == {}
        return small.outcome()

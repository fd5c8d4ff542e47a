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

from lab import ROOT, Lab, copy_repository, write_track

from lorascope import jobs
from lorascope.plan import Made, Plan, load_plan
from lorascope.records import write_text
from lorascope.study import RULES
from lorascope.todo import jobs_left

STUDY = {
    "study": "small",
    "models": {
        "tiny": {
            "family": "salmonn",
            "llm": "models/llm",
            "whisper": "models/whisper",
            "beats": "models/beats.pt",
            "checkpoint": "models/salmonn.pth",
        }
    },
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
        self, sabotage: Mapping[str, Sabotage] | None = None, until: str = "report"
    ) -> dict[str, str]:
        """Run what is left, up to the jobs of a rule; return the output of each job that failed.

        The keys of what is returned are the job's rule and file. ``sabotage`` maps a rule, or the
        name of the file its job makes, to a function that the job's process calls first.
        """
        failed, sabotage = {}, sabotage or {}
        plan = self.planned()
        left = jobs_left(plan, plan.targets())
        for rule in RULES[: RULES.index(until) + 1]:
            ready = [m for m in left if m.rule == rule and all(p.exists() for p in m.inputs)]
            breaking = [sabotage.get(m.outputs[0].name, sabotage.get(rule)) for m in ready]
            stages = [Stage(plan, *job) for job in zip(ready, breaking, strict=True)]
            for stage in stages:
                if stage.finished() != 0:
                    failed[f"{rule} {stage.out}"] = stage.output()
        return failed

    def outcome(self) -> dict[str, bytes]:
        """Return the bytes of everything that must not depend on how a run went."""
        files = [f for p in self.planned().experiments.values() for f in (p.predictions, p.scores)]
        tables = ("accuracy.csv", "comparison.csv")
        files += [self.planned().report_folder / name for name in tables]
        return {str(path): path.read_bytes() for path in files}

    def leftovers(self) -> list[str]:
        """Return the temporary files that were left behind."""
        return [
            p.name for p in (self.folder / "results").rglob(".*.*") if p.name != ".sources.json"
        ]


class Stage:
    """A job at work, as Snakemake would have it."""

    def __init__(self, plan: Plan, made: Made, sabotage: Sabotage | None = None) -> None:
        self.made = made
        description, self.out, extra = _job(plan, made)
        file = jobs.job_file(description)
        write_text(file, description)
        name = "-".join([made.rule, *self.out.with_suffix("").parts[2:]])
        self.log, self.stderr = Path(f"results/logs/{name}.log"), Path(f"{name}.stderr")
        arguments = ["--job", file, "--out", self.out, "--log", self.log, *extra]
        self.process = server().Process(
            target=_stage, args=(made.rule, list(map(str, arguments)), self.stderr, sabotage)
        )
        self.process.start()

    def finished(self) -> int:
        """Wait for the end; clean up as Snakemake does; return the exit code."""
        self.process.join()
        if self.process.exitcode:
            for path in self.made.outputs:
                path.unlink(missing_ok=True)
        elif self.made.rule == "merge":
            shutil.rmtree(self.out.parent / "shards", ignore_errors=True)
        return self.process.exitcode

    def output(self) -> str:
        """Return what the job wrote to the terminal."""
        return self.stderr.read_text()


def _job(plan: Plan, made: Made) -> tuple[str, Path, list[Any]]:
    """Return description, --out and further options of a job, as the rules have them."""
    out = made.outputs[0]
    part, _, parts = out.stem.partition("-of-")
    match made.rule:
        case "dataset":
            return jobs.dataset_job(plan, plan.datasets[out.parts[2]]), out, []
        case "encode":
            options = ["--chunk", part, "--chunks", parts, "--gpus", 0]
            return jobs.encode_job(plan, plan.features(*out.parts[2:5])), out, options
        case "infer":
            options = ["--shard", part, "--shards", parts, "--gpus", 0]
            return jobs.infer_job(plan, plan.experiments[out.parts[2]]), out, options
        case "merge":
            options = ["--runtime", made.outputs[1]]
            return jobs.merge_job(plan, plan.experiments[out.parts[2]]), out, options
        case "score":
            return jobs.score_job(plan, plan.experiments[out.parts[2]]), out, []
    return jobs.report_job(plan), plan.manifest, []


@cache
def server() -> Any:
    """Return a context whose processes start with everything that stages import."""
    context = multiprocessing.get_context("forkserver")
    stages = [f"lorascope.stages.{rule}" for rule in RULES[1:]]
    models = [f"{FAMILY}.answerer", f"{FAMILY}.encoder"]
    context.set_forkserver_preload([*stages, *models, *IMPORTED])
    # The server does not get this process's path otherwise.
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{ROOT / 'workflow'}{os.pathsep}{before}"
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ["PYTHONPATH"] = before
    return context


def _stage(rule: str, arguments: list[str], stderr: Path, sabotage: Sabotage | None) -> None:
    with stderr.open("w") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = [rule, *arguments]
    # A shell lets its background jobs ignore it, and these tests may be part of one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stage = importlib.import_module(f"lorascope.stages.{rule}")
    if sabotage:
        sabotage()
    sys.exit(stage.main())


@cache
def _folder() -> TemporaryDirectory:
    """Return a folder of this process, removed when it ends."""
    return TemporaryDirectory(prefix="small-study-")


@cache
def _made() -> tuple[Path, Path]:
    """Return a copy in which nothing has run, and one for the unbroken run."""
    sys.path.insert(0, str(ROOT / "tests/unit/models"))
    from tiny_salmonn_files import write_salmonn

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

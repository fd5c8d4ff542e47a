"""Running a study's stages up to its predictions, and reading what they hold."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml

from lorascope.planning.asked import Run
from lorascope.planning.plan import load_plan
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import job_file
from lorascope.storage.records import write_text
from tests.check_gpu.studies import Check
from tests.support.jobs import arguments
from tests.support.random_models import SHAPES, write_salmonn, write_text_model
from tests.support.small_study import run_stage, server

ANSWERS = ("tokens", "response", "finish_reason")


def written(check: Check, kind: str, shape: str, folder: Path) -> int:
    """Write a random model, or link to one that another run left; return its parameters."""
    write = {"text": write_text_model, "salmonn": write_salmonn}[kind]
    kept = check.models / f"{kind}-{shape}" if check.models else folder
    done = kept / "parameters"
    if not done.exists():
        kept.mkdir(parents=True)
        done.write_text(str(write(kept, SHAPES[shape], check.card.device)))
        if check.card.device == "cuda":
            torch.cuda.empty_cache()
    if kept != folder:
        folder.symlink_to(kept.resolve())
    return int(done.read_text())


def run(folder: Path, made: dict[str, Any], alone: bool = False) -> None:
    """Run the stages of a study up to its predictions, and print what each job took.

    alone: whether no infer job knows of the others.
    """
    with contextlib.chdir(folder):
        Path("study.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
        for stage in ("dataset", "finetune", "encode", "infer", "merge"):
            plan = load_plan(deepcopy(made), "study.yaml")
            jobs = [job for job in plan.left() if job.stage.name == stage]
            with contextlib.nullcontext() if alone else announced(jobs):
                for job in jobs:
                    start = time.perf_counter()
                    _run_job(job)
                    took = time.perf_counter() - start
                    if stage not in ("dataset", "merge"):
                        said(f"    {_name(job)}: {took:.1f} s from start to end")


@contextlib.contextmanager
def announced(jobs: Sequence[PlannedJob]) -> Iterator[None]:
    """Let infer jobs know of each other, as Snakemake's are told."""
    if problem := Run.announce(jobs, lambda job: 1):
        said(f"    {problem}")
    try:
        yield
    finally:
        Run.end()


def _name(job: PlannedJob) -> str:
    wildcards = {name: str(value) for name, value in job.wildcards.items()}
    place = wildcards.get("shard", wildcards.get("chunk", ""))
    named = wildcards.get("id") or job.out.parts[2]
    return f"{job.stage.name} {named}{f' {place}' if place else ''}"


def said(line: str) -> None:
    """Print a line that shows at once."""
    print(line, flush=True)


def _run_job(job: PlannedJob) -> None:
    told = job.told().json
    write_text(job_file(told), told)
    options = arguments(job, job_file(told), job.log, job.gpus)
    process = server().Process(target=run_stage, args=(job.stage.name, options, Path("stderr")))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(
            f"{Path('stderr').read_text()[-4000:]}\ncheck-gpu: {job.stage.name} of {job.out} failed"
        )


@dataclass(frozen=True)
class Result:
    """An experiment's answers by item, and how many seconds and tokens they took."""

    answers: dict[str, tuple[str, ...]]
    likelihoods: dict[str, list[float]]
    seconds: float
    read: int
    made: int
    end: float = 0.0


def results(folder: Path) -> dict[str, Result]:
    """Return ID -> what the predictions of a study say."""
    with contextlib.chdir(folder):
        plan = load_plan(yaml.safe_load(Path("study.yaml").read_text()), "study.yaml")
        return {name: _result(one) for name, one in plan.experiments.items()}


def _result(planned: Any) -> Result:
    rows = pq.read_table(planned.predictions).to_pylist()
    times = pq.read_table(planned.runtime)
    return Result(
        answers={row["item_id"]: tuple(json.dumps(row[key]) for key in ANSWERS) for row in rows},
        likelihoods={row["item_id"]: row.get("loglikelihoods") or [] for row in rows},
        seconds=sum(times["seconds"].to_pylist()),
        read=sum(row["prompt_tokens"] for row in rows),
        made=sum(row["response_tokens"] for row in rows),
        end=max(times["finished"].to_pylist()),
    )

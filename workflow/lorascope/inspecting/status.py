"""How far the experiments of a study are: what is done, running, failed or missing."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorascope.inspecting.overview import item_counts
from lorascope.planning.derive import made_of
from lorascope.planning.infer import PlannedExperiment
from lorascope.planning.plan import STAGES, Plan
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import answers
from lorascope.running.progress import progress_text
from lorascope.storage.journal import Journal, Record
from lorascope.storage.locks import is_held
from lorascope.study.order import natural

HARMLESS = "looks, and decides nothing"

ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) (.*)")
RUNS = ".snakemake/log/*.snakemake.log"
"""Where Snakemake tells of its runs, named by the time of their start."""
FAILED = re.compile(r"^ +log: (.+?) \(check log file\(s\) for error details\)$", re.MULTILINE)
TAIL = 20_000  # bytes of a log that are looked at for its last entry


@dataclass
class State:
    """How far a stage of an experiment is, in words, and log -> last line of what failed."""

    name: str
    words: str
    failed: dict[Path, str] = field(default_factory=dict)


def status_lines(plan: Plan, chosen: Sequence[PlannedExperiment]) -> Iterable[str]:
    """Yield a line per experiment, then one for each log that ends in an error."""
    width = max(len(planned.id) for planned in chosen)
    items = item_counts(plan)
    own = own_jobs(plan)
    failed: dict[Path, str] = {}
    for planned in chosen:
        jobs = jobs_of(plan, planned, own[planned.id])
        states = [_state(name, found, planned, items) for name, found in jobs.items()]
        words = ", ".join(f"{state.name} {state.words}" for state in states)
        reason = plan.why(planned.id)
        yield f"{planned.id:{width}}  {words}{f' ({reason})' if reason else ''}"
        for state in states:
            failed |= state.failed
    for job in plan.of_stage("audit"):
        state = _plain_state("audit", [job], is_done=job.is_done)
        if not job.is_done:
            yield f"audit {job.wildcards['adapter']}: {state.words}"
        failed |= state.failed
    for stage in ("report", "page"):
        job = plan.find(stage, {})
        state = _plain_state(stage, [job], is_done=job.is_done)
        yield f"{stage} {plan.report.folder}: {state.words}"
        failed |= state.failed
    yield from (f"  {log}: {last}" for log, last in failed.items())
    if failed and (runs := sorted(Path().glob(RUNS))):
        yield f"  the last run is told in {runs[-1]}"


def stopped_lines(study: Sequence[str], told: Iterable[str]) -> Iterable[str]:
    """Yield why a run of the study in the files ``study`` ended, and where more is to be found.

    told: the logs that Snakemake wrote of the run, which name those of the jobs that failed.
    """
    texts = (Path(log).read_text(encoding="utf-8", errors="replace") for log in told)
    logs = [Path(name) for text in texts for name in FAILED.findall(text)]
    for log in logs[:1]:
        cause = failure(log) or "ended without a word of its own; was it killed, or out of memory?"
        more = len({*logs}) - 1
        yield f"the first job that failed: {log}: {cause}"
        yield from [f"{more} more failed after it"] if more else []
    files = [os.path.relpath(file) if Path(file).is_file() else file for file in study]
    command = " ".join(["lorascope status", *(f"--configfile {file}" for file in files)])
    made = f"make status CONFIG={files[0]} ({command})" if len(files) == 1 else command
    yield f"what is done, failed and missing: {made}"


def failures(plan: Plan, chosen: Sequence[PlannedExperiment]) -> dict[str, dict[Path, str]]:
    """Return ID -> log -> its last line, for each log of an experiment that ends in an error."""
    own = own_jobs(plan)
    return {
        planned.id: {
            log: last
            for jobs in jobs_of(plan, planned, own[planned.id]).values()
            for log, last in _plain_state("", jobs, all(job.is_done for job in jobs)).failed.items()
        }
        for planned in chosen
    }


def own_jobs(plan: Plan) -> dict[str, list[PlannedJob]]:
    """Return ID -> the jobs that are about one experiment alone."""
    own: dict[str, list[PlannedJob]] = {identifier: [] for identifier in plan.experiments}
    for path, job in plan.jobs.items():
        if "id" in job.wildcards and path == job.out:
            own[str(job.wildcards["id"])].append(job)
    return own


def jobs_of(
    plan: Plan, planned: PlannedExperiment, own: Iterable[PlannedJob]
) -> dict[str, list[PlannedJob]]:
    """Return stage -> its jobs, for the stages that an experiment passes through.

    Merging is the end of inference, not a stage of its own to look at.
    """
    shared = [
        planned.dataset.items,
        *(path for one in made_of(planned.adapter) for path in one.files.values()),
        *(planned.features.files if planned.features else ()),
    ]
    jobs: dict[str, list[PlannedJob]] = {}
    for job in [*dict.fromkeys(plan.jobs[path] for path in shared), *own]:
        name = "infer" if job.stage.name == "merge" else job.stage.name
        jobs.setdefault(name, []).append(job)
    return {name: jobs[name] for name in STAGES if name in jobs}


def _state(
    name: str,
    jobs: Sequence[PlannedJob],
    planned: PlannedExperiment,
    items: Mapping[str, int | None],
) -> State:
    if name == "infer":
        return _inferred(jobs, planned, items[planned.experiment.dataset] or 0)
    # What answers were made from may be pruned.
    upstream = [*STAGES].index(name) < [*STAGES].index("infer")
    done = all(job.is_done for job in jobs) or (upstream and planned.is_answered)
    state = _plain_state(name, jobs, done)
    if not done and any(job.lock and is_held(job.lock) for job in jobs):
        state.words = "running"
    return state


def _inferred(jobs: Sequence[PlannedJob], planned: PlannedExperiment, items: int) -> State:
    """Return the state of inference, which the merge of the shards completes."""
    state = _plain_state("infer", jobs, planned.is_answered)
    journal = Journal(answers(planned.folder), planned.digest, "status")
    if planned.is_answered or not journal.folder.exists():
        return state
    files, writers = journal.files(), journal.writers()
    answered = len({record["item_id"] for records in files.values() for record in records})
    if writers:
        rate = sum(_rate(records) for records in _at_work(files, writers))
        what = progress_text(answered, items, rate)
        state.words = f"running ({what}, {len(writers)} at work)"
    elif answered:
        state.words += f" ({answered} of {items} items answered)"
    return state


def _plain_state(name: str, jobs: Iterable[PlannedJob], is_done: bool) -> State:
    logs = [] if is_done else _logs(jobs)
    failed = {log: last for log in logs if (last := failure(log))}
    return State(name, "done" if is_done else "failed" if failed else "missing", failed)


def _logs(jobs: Iterable[PlannedJob]) -> list[Path]:
    """Return the logs of jobs, those of runs that were split otherwise among them."""
    shared = [job.log for job in jobs if "-of-" not in job.log.name]
    split = {job.log.parent for job in jobs if "-of-" in job.log.name}
    logs = [*shared, *(log for folder in split for log in folder.glob("*.log"))]
    return sorted(logs, key=lambda log: natural(str(log)))


def failure(log: Path) -> str | None:
    """Return the last line of a log whose last entry is an error (None: it is not one)."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    entries = [match for line in lines if (match := ENTRY.fullmatch(line))]
    if not entries or entries[-1][1] != "ERROR":
        return None
    # A defect's entry goes on with its traceback, the last line of which says what it was.
    return entries[-1][2] if ENTRY.fullmatch(lines[-1]) else lines[-1]


# ----------------------------------------------------------------------------------- rates


def _at_work(
    files: Mapping[Path, list[Record]], writers: Sequence[str]
) -> Iterable[Sequence[Record]]:
    """Yield the records of the newest file of each writer."""
    for writer in writers:
        own = [r for file, r in files.items() if file.name.startswith(f"{writer}.") and r]
        if own:
            yield max(own, key=lambda records: records[-1]["finished"])


def _rate(records: Sequence[Record]) -> float:
    """Return the items per second of one job, from the second batch on (0: not known)."""
    first, last = records[0]["finished"], records[-1]["finished"]
    later = sum(record["finished"] > first for record in records)
    return later / (last - first) if last > first else 0.0

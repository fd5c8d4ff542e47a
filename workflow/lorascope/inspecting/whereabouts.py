"""Where the files of an experiment lie, and which of them are there."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import UserError, unknown
from lorascope.inspecting.overview import chosen, size_text
from lorascope.inspecting.status import jobs_of, own_jobs
from lorascope.planning.infer import PlannedExperiment
from lorascope.planning.plan import Plan
from lorascope.planning.reasons import FINGERPRINT
from lorascope.planning.stage import PlannedJob

HARMLESS = "looks, and decides nothing"

FOLDERS = {"encode": "features", "finetune": "adapter", "derive": "adapter"}
"""Stages of which the folder is told, not each file in it -> what that is called."""
NAMES = {"dataset": "items", "imported": "predictions"}
"""What a stage calls its file -> what it is called here."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("id", help="the experiment's ID")
    command.add_argument(
        "--file",
        metavar="NAME",
        help="print the path of this one alone, for scripts: items, predictions, runtime, scores, "
        "or another of the names that are printed without it",
    )


@dataclass(frozen=True)
class Place:
    """A file or folder of an experiment: what it is called, its path, whether it is whole."""

    name: str
    path: Path
    is_there: bool


def path_lines(plan: Plan, asked: argparse.Namespace) -> Iterator[str]:
    """Yield a line for each file of an experiment, or one path alone; UserError for a wrong name.

    A path is printed whether its file is there or not.
    """
    (planned,) = chosen(plan, [asked.id])
    places = [*_places(plan, planned)]
    if asked.file:
        found = {place.name: place.path for place in places if not place.name.startswith("log ")}
        if asked.file not in found:
            raise UserError(unknown(f"{asked.id}: no file is called", asked.file, found))
        yield str(found[asked.file])
        return
    width = max(len(place.name) for place in places)
    for place in places:
        state = _size(place.path) if place.is_there else "not there"
        yield f"{place.name:{width}}  {state:>9}  {place.path}"


def _places(plan: Plan, planned: PlannedExperiment) -> Iterator[Place]:
    jobs = [
        job
        for made in jobs_of(plan, planned, own_jobs(plan)[planned.id]).values()
        for job in made
        if job.stage.name != "download"
    ]
    # What an infer job writes is gone once it is merged.
    yield from dict.fromkeys(
        place for job in jobs if job.stage.name != "infer" for place in _files(job, jobs)
    )
    yield from _ready_made(plan, planned)
    yield _file("fingerprint", planned.folder / FINGERPRINT)
    yield _file("report", plan.report.folder / "accuracy.md")
    yield from (_file(f"log {job.stage.name}", job.log) for job in jobs)


def _files(job: PlannedJob, jobs: Iterable[PlannedJob]) -> Iterator[Place]:
    """Yield what a job makes, or the folder of what all jobs of its stage do."""
    if name := FOLDERS.get(job.stage.name):
        whole = all(one.is_done for one in jobs if one.stage is job.stage)
        yield Place(name, job.out.parent, whole)
        return
    for name, path in job.outputs.items():
        yield _file(NAMES.get(name, name), path)


def _ready_made(plan: Plan, planned: PlannedExperiment) -> Iterator[Place]:
    """Yield the folder of an adapter that the study did not train, where it is a folder."""
    adapter = plan.study.adapters.get(planned.experiment.adapter or "")
    if adapter and isinstance(adapter.source, str):
        yield _file("adapter", Path(adapter.source))


def _file(name: str, path: Path) -> Place:
    return Place(name, path, path.exists())


def _size(path: Path) -> str:
    files = path.rglob("*") if path.is_dir() else [path]
    return size_text(sum(file.stat().st_size for file in files if file.is_file()))

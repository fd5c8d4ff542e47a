"""How far the experiments of a study are: what is done, running, failed or missing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorascope.journal import Journal, Record
from lorascope.locks import is_held
from lorascope.plan import Plan, PlannedExperiment
from lorascope.planned import RESULTS, PlannedAdapter, PlannedDataset, PlannedFeatures
from lorascope.progress import progress_text
from lorascope.todo import why

LOGS = RESULTS / "logs"
ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) (.*)")
TAIL = 20_000  # bytes of a log that are looked at for its last entry


@dataclass
class Stage:
    """A stage of an experiment: its state in words, and log -> last line of what failed."""

    name: str
    state: str
    failed: dict[Path, str] = field(default_factory=dict)


def status_lines(
    plan: Plan, chosen: Sequence[PlannedExperiment], items: Mapping[str, int]
) -> Iterable[str]:
    """Yield a line per experiment, then one for each log that ends in an error.

    ``items`` is dataset -> number of items.
    """
    width = max(len(planned.experiment.id) for planned in chosen)
    failed: dict[Path, str] = {}
    for planned in chosen:
        stages = [
            _dataset(planned, planned.dataset),
            *([_finetune(planned, planned.adapter)] if planned.adapter else ()),
            *([_encode(planned, planned.features)] if planned.features else ()),
            _infer(planned, items[planned.experiment.dataset]),
            _score(planned),
        ]
        words = ", ".join(f"{stage.name} {stage.state}" for stage in stages)
        reason = why(plan, planned)
        yield f"{planned.experiment.id:{width}}  {words}{f' ({reason})' if reason else ''}"
        for stage in stages:
            failed |= stage.failed
    report = _stage("report", all(p.exists() for p in plan.report_files), [_report_log(plan)])
    yield f"report {plan.report_folder}: {report.state}"
    for log, last in (failed | report.failed).items():
        yield f"  {log}: {last}"


def _dataset(planned: PlannedExperiment, dataset: PlannedDataset) -> Stage:
    log = LOGS / "dataset" / dataset.name / f"{dataset.digest}.log"
    return _stage("dataset", dataset.items.exists() or _answered(planned), [log])


def _finetune(planned: PlannedExperiment, adapter: PlannedAdapter) -> Stage:
    log = LOGS / "finetune" / adapter.home / f"{adapter.digest}.log"
    made = all(path.exists() for path in adapter.files) or _answered(planned)
    stage = _stage("finetune", made, [log])
    if not made and is_held(adapter.folder / "checkpoints" / "training.lock"):
        stage.state = "running"
    return stage


def _encode(planned: PlannedExperiment, features: PlannedFeatures) -> Stage:
    logs = LOGS / "encode" / features.model / features.dataset.name / features.digest
    made = all(path.exists() for path in features.files) or _answered(planned)
    stage = _stage("encode", made, logs.glob("*.log"))
    locks = (features.folder / "parts").glob("*.lock")
    if not made and any(is_held(lock) for lock in locks):
        stage.state = "running"
    return stage


def _infer(planned: PlannedExperiment, items: int) -> Stage:
    """Return the state of inference, which the merge of the shards completes."""
    identifier = planned.experiment.id
    logs = [
        *(LOGS / "infer" / identifier / planned.digest).glob("*.log"),
        LOGS / "merge" / identifier / f"{planned.digest}.log",
    ]
    stage = _stage("infer", _answered(planned), logs)
    journal = Journal(planned.folder / "answers", "status")
    if _answered(planned) or not journal.folder.exists():
        return stage
    files, writers = journal.files(), journal.writers()
    answered = len({record["item_id"] for records in files.values() for record in records})
    if writers:
        rate = sum(_rate(records) for records in _at_work(files, writers))
        what = progress_text(answered, items, rate)
        stage.state = f"running ({what}, {len(writers)} at work)"
    elif answered:
        stage.state += f" ({answered} of {items} items answered)"
    return stage


def _score(planned: PlannedExperiment) -> Stage:
    name = f"{planned.digest}-{planned.score_digest}.log"
    log = LOGS / "score" / planned.experiment.id / name
    return _stage("score", planned.scores.exists(), [log])


def _report_log(plan: Plan) -> Path:
    return LOGS / "report" / f"{plan.study.name}.log"


def _answered(planned: PlannedExperiment) -> bool:
    return planned.predictions.exists() and planned.runtime.exists()


def _stage(name: str, done: bool, logs: Iterable[Path]) -> Stage:
    failed = {} if done else {log: last for log in sorted(logs) if (last := failure(log))}
    return Stage(name, "done" if done else "failed" if failed else "missing", failed)


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

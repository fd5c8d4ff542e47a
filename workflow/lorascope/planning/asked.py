"""What a run of Snakemake was asked for: infer jobs, which may answer each other's shards.

The run writes it when it starts, and holds a lock as long as it lives. A job believes the list only
where it sees that lock held: not that of a run that was killed, nor on a machine that sees no locks
of others. It must find itself in the list, too. Nothing in the list decides an answer.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TextIO

from lorascope.errors import UserError
from lorascope.identity.digests import digest
from lorascope.planning.results import RESULTS
from lorascope.planning.stage import PlannedJob
from lorascope.planning.told import PREDICTIONS, InferJob, job_file
from lorascope.storage.locks import NoLocksError, attempt, is_held
from lorascope.storage.records import checked_document, write_document, write_text

HARMLESS = "says who may answer what, each as it would be answered alone"

log = logging.getLogger("lorascope")

ASKED = Path(RESULTS, "asked.json")
RUN = Path(RESULTS, "asked.lock")
KIND, FORMAT = "asked", "1"


@dataclass(frozen=True)
class AskedJob:
    """An infer job of a run.

    ``told`` is the file that tells it what to do; ``done`` is there once its experiment is merged.
    ``model`` stands for all that is loaded but the adapter, which ``adapter`` stands for, and
    ``sweep`` for all but the LoRA scaling, the strength and the seed. ``slots`` says how many jobs
    of so many GPUs may run at once.
    """

    told: str
    shard: int
    shards: int
    out: str
    done: str
    inputs: list[str]
    gpus: int
    model: str
    adapter: str
    sweep: str
    slots: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What no other job has."""
        return self.told, self.shard, self.shards

    @property
    def is_done(self) -> bool:
        """Whether it need not be answered any more."""
        return Path(self.out).exists() or Path(self.done).exists()

    @property
    def is_ready(self) -> bool:
        """Whether all that it needs is there."""
        return all(Path(path).exists() for path in self.inputs)


def keys(job: InferJob, gpus: int) -> dict[str, str]:
    """Return the keys ``model``, ``adapter`` and ``sweep`` of a job with so many GPUs."""
    planned = job.fingerprint
    base = {key: value for key, value in planned["sources"].items() if key != "adapter"}
    loaded = {"load": job.load, "settings": planned["settings"], "sources": base, "gpus": gpus}
    alike = {k: v for k, v in planned.items() if k not in ("lora_scaling", "strength", "seed")}
    told = [job.sources, job.items, job.chunks, job.adapter, job.batch_size, job.tokens_at_once]
    return {
        "model": digest({**loaded, "dtype": planned["dtype"], "code": planned["code"]}),
        "adapter": digest([planned["adapter"], job.sources.get("adapter")]),
        "sweep": digest({"fingerprint": alike, "told": told, "gpus": gpus}),
    }


class Run:
    """The run of this process, of which jobs are told as long as it lives."""

    _lock: TextIO | None = None
    is_at_work = False
    """Whether this process runs jobs now."""
    _jobs: ClassVar[dict[str, AskedJob]] = {}

    @classmethod
    def announce(cls, jobs: Iterable[PlannedJob], slots: Callable[[PlannedJob], int]) -> str | None:
        """Write down the infer jobs among ``jobs``, which are about to run.

        Returns why they cannot help each other, if so.
        """
        cls.is_at_work = True
        listed = {
            str(job.out): _asked(job, slots(job)) for job in jobs if job.stage.name == "infer"
        }
        if not listed:
            return None
        try:
            cls._lock = attempt(RUN)
        except NoLocksError as error:
            return f"{error}: every job loads its model for itself"
        if cls._lock is None:
            return f"{RUN}: another run is at work here; every job loads its model for itself"
        cls._jobs = listed
        cls._write()
        return None

    @classmethod
    def follow(cls, jobs: Iterable[PlannedJob], slots: Callable[[PlannedJob], int]) -> None:
        """Write down jobs of which a run that is at work has come to know, if it has started."""
        if not cls.is_at_work:
            return
        if cls._lock is None:
            cls.announce(jobs, slots)
            return
        new = [job for job in jobs if job.stage.name == "infer" and str(job.out) not in cls._jobs]
        cls._jobs |= {str(job.out): _asked(job, slots(job)) for job in new}
        cls._write()

    @classmethod
    def _write(cls) -> None:
        write_document(ASKED, KIND, FORMAT, {"jobs": [asdict(one) for one in cls._jobs.values()]})

    @classmethod
    def end(cls) -> None:
        """Take back what was announced."""
        cls.is_at_work = False
        if cls._lock is not None:
            for path in (ASKED, RUN):
                path.unlink(missing_ok=True)
            cls._lock.close()
            cls._lock = None


def _asked(job: PlannedJob, slots: int) -> AskedJob:
    told = job.told()
    if not isinstance(told, InferJob):
        raise TypeError(f"{job.out} is made by no infer job")
    path = job_file(told.json)
    if not path.exists():
        write_text(path, told.json)
    return AskedJob(
        told=str(path),
        shard=int(str(job.wildcards["shard"])),
        shards=int(str(job.wildcards["shards"])),
        out=str(job.out),
        done=PREDICTIONS.format(**job.wildcards),
        inputs=[str(path) for path in job.inputs],
        gpus=job.gpus,
        slots=slots,
        **keys(told, job.gpus),
    )


class Listed:
    """What the living run was asked for, to one of its jobs; looked at anew each time."""

    def __init__(self, told: Path, shard: int, shards: int) -> None:
        self.own = (str(told), shard, shards)
        self._read: tuple[object, list[AskedJob]] = (None, [])

    def jobs(self) -> list[AskedJob]:
        """Return the jobs; none where there is no such run, or this job is not one of them."""
        if not is_held(RUN):
            return []
        try:
            seen = ASKED.stat()
            version = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
            if version != self._read[0]:
                self._read = version, self._listed()
        except (OSError, UserError, ValueError, KeyError, TypeError) as error:
            log.info("%s: %s; working alone", ASKED, error)
            self._read = None, []
        return self._read[1]

    def _listed(self) -> list[AskedJob]:
        jobs = [_checked(one) for one in checked_document(ASKED, KIND, FORMAT)["jobs"]]
        return jobs if self.own in {job.key for job in jobs} else []


def _checked(values: Mapping[str, Any]) -> AskedJob:
    if values.keys() != {field.name for field in fields(AskedJob)}:
        raise ValueError("is of another version")
    return AskedJob(**values)

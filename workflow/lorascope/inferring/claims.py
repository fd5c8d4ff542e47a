"""Which shards a job answers beside its own: those that its run was asked for, and nobody answers.

A claim is the lock of a shard's journal, and is never waited for: a shard whose lock is held is
another job's, and one whose job has answered it has its file.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from lorascope.errors import UserError
from lorascope.inferring.shard import Shard
from lorascope.planning.asked import AskedJob, Listed, keys
from lorascope.planning.checks import read_job
from lorascope.planning.told import InferJob, answers
from lorascope.storage.journal import Journal
from lorascope.storage.locks import NoLocksError

HARMLESS = "says which job answers what, each as it would be answered alone"

log = logging.getLogger("lorascope")


class Claim:
    """Shards with their locks; None for a lock that is held otherwise."""

    def __init__(self, locks: dict[Shard, TextIO | None]) -> None:
        self._locks = locks

    @property
    def shards(self) -> list[Shard]:
        """What is claimed still."""
        return [*self._locks]

    def add(self, other: "Claim") -> None:
        """Take over what another claim holds."""
        self._locks |= other._locks

    def release(self, shard: Shard) -> None:
        """Leave a shard to others."""
        if lock := self._locks.pop(shard, None):
            lock.close()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        for shard in self.shards:
            self.release(shard)


class Others:
    """The other shards of the run of a job with so many GPUs, see `lorascope.planning.asked`."""

    def __init__(self, own: Shard, told: Path, gpus: int) -> None:
        self._asked, self._gpus = Listed(told, own.shard, own.shards), gpus
        self._passed = {self._asked.own}
        self._model: str | None = None
        self._adapter: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether the run lives and has said what it was asked for."""
        return bool(self._asked.jobs())

    def loaded(self, shard: Shard) -> None:
        """Take note of the model and adapter in force, after which alone others are claimed."""
        found = keys(shard.job, self._gpus)
        self._model, self._adapter = found["model"], found["adapter"]

    def is_any_left(self) -> bool:
        """Whether there seems to be something to claim."""
        return any(job.is_ready and not _is_held(job) for job in self._left(self._listed()))

    def claim(self) -> Claim | None:
        """Return a claim of the next shard, under the adapter in force if there is one."""
        first = sorted(self._listed(), key=lambda job: job.adapter != self._adapter)
        for job in self._left(first):
            if claim := self._take(job):
                return claim
        return None

    def alike(self, shard: Shard, fits: Callable[[InferJob], bool]) -> Claim:
        """Return a claim of what can be answered together with a shard, which is claimed.

        At most a fair share of what is left of the sweep, so that no other GPU is left idle.
        """
        sweep = keys(shard.job, self._gpus)["sweep"]
        own = [job for job in self._listed() if job.sweep == sweep]
        left = [job for job in self._left(own) if not _is_held(job)]
        most = math.ceil((len(left) + 1) / left[0].slots) - 1 if left else 0
        claim = Claim({})
        for job in left:
            if len(claim.shards) >= most:
                break
            same = (job.shard, job.shards) == (shard.shard, shard.shards)
            if same and (taken := self._take(job, fits)):
                claim.add(taken)
        return claim

    def pass_over(self, shard: Shard) -> None:
        """Leave a shard to its own job from now on."""
        self._passed |= {
            job.key
            for job in self._asked.jobs()
            if Path(job.out).parent.parent == shard.folder
            and (job.shard, job.shards) == (shard.shard, shard.shards)
        }

    def _listed(self) -> list[AskedJob]:
        """Return what may be claimed, as far as the list tells."""
        return [
            job
            for job in self._asked.jobs()
            if job.key not in self._passed
            and job.gpus == self._gpus
            and self._model in (None, job.model)
        ]

    def _left(self, jobs: Iterable[AskedJob]) -> Iterator[AskedJob]:
        """Yield the jobs that are not done, each looked for when its turn comes."""
        for job in jobs:
            if job.is_done:
                self._passed.add(job.key)
            else:
                yield job

    def _take(self, job: AskedJob, fits: Callable[[InferJob], bool] | None = None) -> Claim | None:
        """Return a claim of a job's shard, prepared; None where it is not to be had."""
        if not job.is_ready:
            return None
        try:
            told = read_job(Path(job.told), InferJob)
            if keys(told, self._gpus)["model"] != job.model or (fits and not fits(told)):
                return None
            shard = Shard(told, job.shard, job.shards)
            lock = shard.journal.attempt()
            if lock is None:
                return None
            with Claim({shard: lock}) as claim:
                shard.prepare()
                # Looked at last: a merge removes the answers once it has written its files.
                if not (shard.is_answered or job.is_done):
                    return _kept(claim)
        except (UserError, NoLocksError) as error:
            log.warning("%s, shard %d: left to its own job: %s", job.told, job.shard, error)
        self._passed.add(job.key)
        return None


def _kept(claim: Claim) -> Claim:
    """Return a claim whose locks outlive it."""
    kept = Claim({})
    kept.add(claim)
    claim._locks = {}
    return kept


def _is_held(job: AskedJob) -> bool:
    """Return whether a process is at work on a job's shard."""
    folder = Path(job.out).parent.parent
    return Journal(answers(folder), "", f"{job.shard}-of-{job.shards}").is_held

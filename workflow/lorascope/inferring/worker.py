"""A job at work: its own shard first, then others that its loaded model can answer."""

import logging
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lorascope.inferring.claims import Claim, Others
from lorascope.inferring.handing import Handing, Told
from lorascope.inferring.merging import hand_over
from lorascope.planning.told import InferJob
from lorascope.running.devices import Lease, lease_unless
from lorascope.running.progress import Progress
from lorascope.running.stopping import Stopped, undisturbed
from lorascope.running.time_limit import seconds_left
from lorascope.storage.locks import NoLocksError

if TYPE_CHECKING:
    from lorascope.inferring.answering import Row
    from lorascope.inferring.loaded import Loaded
    from lorascope.inferring.shard import Record, Shard

HARMLESS = "says which job answers what, each as it would be answered alone"

log = logging.getLogger("lorascope")

KEEP_SECONDS = 1.0
"""Answers are written at least so often."""
WAIT_SECONDS = (0.1, 1.0)
"""How long a job waits at first, and at most, before it looks again for something to do."""
MARGIN_SECONDS = 30.0
"""What a job leaves of its time limit when it stops helping, beside what it measured."""


class Worker:
    """A job that answers its own shard, writes its file, and helps others of its run.

    At most one model is loaded, and what is locked is worked on.
    """

    def __init__(
        self,
        own: "Shard",
        out: Path,
        others: Others,
        gpus: int,
        load: "Callable[[Shard, Lease], Loaded]",
    ) -> None:
        self.own, self.out, self.others, self.gpus, self.load = own, out, others, gpus, load
        self.lease: Lease | None = None
        self.loaded: Loaded | None = None
        self.is_written, self.has_locks = False, True
        self.longest = 0.0
        """Seconds between answers, at most so far."""

    def work(self) -> None:
        """Answer the shard of the job, and help; once its own is written, a signal only ends it."""
        try:
            while not self.is_written:
                if self.own.look():
                    self._finish(self.own, 0)
                elif self.others.is_known and self.has_locks:
                    self._answer_or_help()
                else:
                    self._answer_alone()
            self._help()
        except Stopped as stopped:
            if not self.is_written:
                raise
            name = signal.Signals(stopped.args[0]).name
            log.info("stopped by %s while it helped other jobs; its own shard is written", name)

    def _answer_alone(self) -> None:
        """Answer the own shard once nobody else does, whom it waits for."""
        with self.own.journal.held():
            if not self.own.look():
                self.lease = self.lease or lease_unless(self.gpus, lambda: False)
                self._answer(Claim({self.own: None}))

    def _answer_or_help(self) -> None:
        """Answer the own shard, or else what others have left, or else wait a little."""
        pause, most = WAIT_SECONDS
        while self.has_locks and not self.is_written and not self.own.look():
            is_held = self.own.journal.is_held
            claim = self._claim() if not is_held or self.others.is_any_left() else None
            if claim:
                with claim:
                    self._answer_or_leave(claim)
                continue
            if is_held and pause == WAIT_SECONDS[0]:
                shard = self.own.journal.writer
                log.info("waiting for an earlier job that is still at work on shard %s", shard)
            time.sleep(pause)
            pause = min(2 * pause, most)

    def _claim(self) -> Claim | None:
        """Return a claim of the own shard, or else of another; None where it is not to be had.

        GPUs come first: who waits for them keeps nobody from a shard.
        """
        self.lease = self.lease or lease_unless(self.gpus, self._is_settled())
        if self.lease is None:
            return None
        try:
            lock = self.own.journal.attempt()
        except NoLocksError:
            self.has_locks = False
            return None
        if lock is None:
            return self.others.claim()
        claim = Claim({self.own: lock})
        if self.own.look():
            claim.release(self.own)
            return None
        return claim

    def _is_settled(self) -> Callable[[], bool]:
        """Return a function to whether others have answered the own shard by now."""
        seen: dict[Path, int] | None = None

        def is_settled() -> bool:
            nonlocal seen
            size = self.own.journal.size()
            if size == seen:
                return False
            seen = size
            return self.own.look()

        return is_settled

    def _help(self) -> None:
        """Answer what others have left, as long as there is a model, work and time."""
        while self.loaded and self._has_time() and (claim := self.others.claim()):
            with claim:
                self._answer_or_leave(claim)

    def _answer_or_leave(self, claim: Claim) -> None:
        """Answer a claim; what goes wrong with shards of others is left to their own jobs."""
        first = claim.shards[0]
        try:
            self._answer(claim)
        except Exception as error:
            others = {first, *claim.shards} - {self.own}
            if not self.is_written and not others:
                raise
            for shard in others:
                log.warning("%s: left to its own job: %s", shard.name, error)
                self.others.pass_over(shard)

    def _answer(self, claim: Claim) -> None:
        """Answer what is claimed, and what can be answered with it."""
        [first] = claim.shards
        assert self.lease is not None
        if self.loaded is None:
            self.loaded = self.load(first, self.lease)
        else:
            self.loaded.adapt(first)
        self.others.loaded(first)
        if first.is_exact and (self.is_written or seconds_left() is None):
            claim.add(self.others.alike(first, self._fits(first)))
        # A scaling of the adapter's own may differ by layer: then it is the one in force.
        shards = sorted(claim.shards, key=lambda s: s.job.fingerprint["lora_scaling"] is not None)
        if len(shards) > 1:
            self.loaded.adapt(shards[0])
        self._answer_together(claim, shards)

    def _fits(self, first: "Shard") -> Callable[[InferJob], bool]:
        """Return a function to whether a job of the same sweep can be answered together."""
        assert self.loaded is not None
        if self.loaded.scales_rows:
            return lambda job: True
        in_force = first.job.fingerprint
        return lambda job: all(
            job.fingerprint.get(key) == in_force.get(key) for key in ("lora_scaling", "strength")
        )

    def _answer_together(self, claim: Claim, shards: "list[Shard]") -> None:
        assert self.loaded is not None
        answering = self.loaded.answer(shards)
        with ExitStack() as bars:
            keeping = _Keeping(claim, self._finish)
            for shard in shards:
                self.loaded.announce(shard)
                total = len(shard.items)
                bar = Progress(total, total - len(shard.missing), shard.job.id)
                keeping.bars[shard] = bars.enter_context(bar)
            try:
                last = time.monotonic()
                for pairs in answering.answer():
                    keeping.add(pairs)
                    now = time.monotonic()
                    last, self.longest = now, max(self.longest, now - last)
                    if self.is_written and not self._has_time():
                        break
            finally:
                keeping.flush()
                for warning in answering.warnings:
                    log.warning("%s", warning)

    def _has_time(self) -> bool:
        """Whether there is time for some more answers of others before the job's time limit."""
        left = seconds_left()
        if left is None or left > MARGIN_SECONDS + 2 * self.longest:
            return True
        said = (
            f"{left:.0f} s are left of the job's time" if left > 0 else "its time limit is unknown"
        )
        log.info("%s: the rest is left to other jobs", said)
        return False

    def _finish(self, shard: "Shard", now: int) -> None:
        """Say how a shard went that is answered, ``now`` items of it here; write the own one."""
        if said := shard.nonfinite():
            log.warning("%s", said)
        if shard is self.own:
            shard.write(self.out)
            self.is_written = True
            hand_over(shard, self.out)
            log.info("%d items, %d of them answered now", len(shard.items), now)
        else:
            told = Told(len(shard.items), shard.nonfinite(), shard.sources)
            Handing(shard.job, shard.shard, shard.shards).give(told, partial(_write, shard))
            log.info("%s: %d items answered for its own job", shard.name, now)


def _write(shard: "Shard", path: Path) -> None:
    """Write a shard, and merge it where it is all of its experiment.

    What vouches for it is written after that, so that its own job and that which merges come last.
    """
    shard.write(path)
    hand_over(shard, path)


class _Keeping:
    """Answers on their way to the journals of their shards, which are released once whole."""

    def __init__(self, claim: Claim, finish: "Callable[[Shard, int], None]") -> None:
        self.claim, self.finish = claim, finish
        self.bars: dict[Shard, Progress] = {}
        self.counts = dict.fromkeys(claim.shards, 0)
        self.pending: dict[Shard, list[Record]] = {}
        self.written = time.monotonic()

    def add(self, pairs: "list[tuple[Row, Record]]") -> None:
        """Take answers; write what has come if it was not done for a while."""
        for row, record in pairs:
            self.pending.setdefault(row.shard, []).append(record)
        if time.monotonic() - self.written >= KEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has come, all of it, and be done with the shards that are whole."""
        with undisturbed():
            for shard, records in self.pending.items():
                shard.keep(records)
                self.counts[shard] += len(records)
                self.bars[shard].update(len(records))
            ended = [shard for shard in self.pending if shard.is_answered]
            self.pending, self.written = {}, time.monotonic()
        for shard in ended:
            self.finish(shard, self.counts[shard])
            self.claim.release(shard)

"""Answers kept as they come, so that a killed job loses at most the batch it was working on.

A journal is a folder beside the experiment's predictions, not declared to Snakemake (which
deletes what a failed job declared). Each job appends to a file of its own, one line per answer
and one write per batch; every job reads all files first, whatever the number of shards.
"""

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorascope.records import seal, unseal

log = logging.getLogger("lorascope")
Record = dict[str, Any]


class Journal:
    """The answers of one experiment under one digest, by item ID."""

    def __init__(self, folder: Path, writer: str) -> None:
        self.folder = folder
        self.writer = writer
        self.file = folder / f"{writer}.{uuid.uuid4().hex[:12]}.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold this writer's lock; wait for an orphan of a killed run that still writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.writer}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("waiting for an earlier job that is still at work on %s", self.writer)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> dict[str, Record]:
        """Return item ID -> record; a torn or damaged line counts as not answered."""
        answers: dict[str, Record] = {}
        for file in sorted(self.folder.glob("*.jsonl")):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    record = unseal(line)
                except ValueError:
                    log.warning("%s: a damaged line is ignored; its item is answered again", file)
                else:
                    answers.setdefault(record["item_id"], record)
        return answers

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the answers of one batch, durably."""
        lines = "".join(f"{seal(record)}\n" for record in records).encode()
        with self.file.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

"""Answers kept as they come, so that a killed job loses at most the batch it was working on.

A journal is a folder beside the experiment's predictions, not declared to Snakemake (which
deletes what a failed job declared). Each job appends to a file of its own, one line per answer
and one write per batch; every job reads all files first, whatever the number of shards. A line
says under which digest it was answered: one of another digest is nobody's answer here.
"""

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from lorascope.storage.downloads import Noted, shown_all
from lorascope.storage.locks import attempt, exclusive, is_held
from lorascope.storage.records import seal, unseal, writing

HARMLESS = "keeps answers as they came, checked when they are read"

log = logging.getLogger("lorascope")
Record = dict[str, Any]


class Journal:
    """The answers of one experiment under one digest, by item ID."""

    def __init__(self, folder: Path, digest: str, writer: str) -> None:
        self.folder = folder
        self.digest = digest
        self.writer = writer
        self.lock = folder / f"{writer}.lock"
        self.file = folder / f"{writer}.{uuid.uuid4().hex[:12]}.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold this writer's lock; wait for an orphan of a killed run that still writes.

        Orphans of a run with another number of shards are waited for too, before the lock is
        taken, so that no two processes wait for each other.
        """
        for lock in self._split_otherwise():
            with exclusive(lock, f"shard {lock.stem}"):
                pass
        with exclusive(self.lock, f"shard {self.writer}"):
            yield

    def attempt(self) -> TextIO | None:
        """Take this writer's lock without waiting, see `locks.attempt`.

        None, too, where a run with another number of shards is at work.
        """
        if any(is_held(lock) for lock in self._split_otherwise()):
            return None
        return attempt(self.lock)

    @property
    def is_held(self) -> bool:
        """Whether a process is at work on what this writer writes, or may be."""
        return any(is_held(lock) for lock in [self.lock, *self._split_otherwise()])

    def _split_otherwise(self) -> list[Path]:
        """Return the locks of runs with another number of shards."""
        shards = self.writer.partition("-of-")[2]
        locks = sorted(self.folder.glob("*.lock"))
        return [lock for lock in locks if lock.stem.partition("-of-")[2] != shards]

    def size(self) -> dict[Path, int]:
        """Return the bytes in each job's own file, which grow with what there is to read."""
        found = {}
        for file in self.folder.glob("*.jsonl"):
            with suppress(FileNotFoundError):  # merged in the meantime
                found[file] = file.stat().st_size
        return found

    def writers(self) -> list[str]:
        """Return the writers that are at work now."""
        return [lock.stem for lock in sorted(self.folder.glob("*.lock")) if is_held(lock)]

    def read(self, sources: Noted | None = None) -> dict[str, Record]:
        """Return item ID -> record; a torn, damaged or foreign line counts as not answered.

        So does an answer that was made of other ``sources`` (None: those do not matter).
        """
        answers: dict[str, Record] = {}
        for records in self.files().values():
            for record in records:
                if sources is None or made_of(record) == shown_all(sources):
                    answers.setdefault(record["item_id"], record)
        return answers

    def files(self) -> dict[Path, list[Record]]:
        """Return the records of each job's own file, in the order they came."""
        found = {}
        for file in sorted(self.folder.glob("*.jsonl")):
            try:
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            except FileNotFoundError:
                continue  # merged in the meantime
            sealed = [record for line in lines if (record := _parse(line)) is not None]
            found[file] = [record["answer"] for record in sealed if record["digest"] == self.digest]
            for problem, count in (
                ("damaged", len(lines) - len(sealed)),
                ("other settings'", len(sealed) - len(found[file])),
            ):
                if count:
                    log.warning(
                        "%s: %d %s lines are ignored; their items are answered again",
                        file,
                        count,
                        problem,
                    )
        return found

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the answers of one batch, durably."""
        sealed = (seal({"digest": self.digest, "answer": dict(record)}) for record in records)
        lines = "".join(f"{line}\n" for line in sealed).encode()
        with writing(self.file), self.file.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def made_of(record: Mapping[str, Any]) -> Any:
    """Return the downloads that an answer was made of, as its environment shows them."""
    environment = record.get("environment")
    return environment.get("sources", {}) if isinstance(environment, Mapping) else {}


def _parse(line: str) -> Record | None:
    """Return what a line holds, {digest, answer}; None where it is damaged."""
    try:
        record = unseal(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.keys() == {"digest", "answer"} else None

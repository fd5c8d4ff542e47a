"""Calls of a judge, and the cache by which an identical one is made once ever.

The cache is a folder of journals that outlives all studies. A reply stands under the key of its
call, which is a hash of all that can change it; each process appends to a file of its own, a line
and a write per reply, so that a process that is killed loses none that it had. A line that is torn
or damaged counts as not asked.
"""

import hashlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from lorascope.identity.digests import canonical
from lorascope.storage.locks import exclusive
from lorascope.storage.records import seal, unseal, writing

HARMLESS = "keeps what judges said under all that was asked of them, checked when it is read"

log = logging.getLogger("lorascope")


@dataclass(frozen=True)
class Call:
    """One question to a judge; calls with equal keys are one call.

    messages: (role, text), in order. judge: the identity of who is asked (server: model name and
    the settings that matter; model of the study: its fingerprint), as text. attempt: 0 for the
    first; a further one, where the reply before could not be read, is another call.
    """

    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float | None
    seed: int | None
    judge: str
    attempt: int = 0

    @cached_property
    def key(self) -> str:
        """SHA-256, as hex, of the canonical JSON of the call."""
        return hashlib.sha256(canonical(asdict(self)).encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What a judge said; ``text`` is None where there is nothing after all retries.

    problem: why there is none, in words for a table of reasons; "" where there is a text.
    """

    text: str | None
    problem: str = ""


class Backend(Protocol):
    """Who answers calls."""

    def ask(self, calls: Iterable[Call]) -> Iterator[tuple[Call, Reply]]:
        """Yield each call with its reply, in any order; a text is in the cache once it is yielded.

        Equal calls are made once and yielded as often as they came. UserError where no call at
        all can be answered, as with a refused key.
        """
        ...


class CallCache:
    """Replies by the key of their calls, in the journals of a folder.

    The texts stay on disk; in memory is where each one lies, about 100 bytes a reply.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The oldest file comes first in order of names: its reply holds where two have one.
        self._own = folder / f"{time.time_ns():020}-{uuid.uuid4().hex[:12]}.jsonl"
        self._files: list[Path] = []
        self._read: dict[Path, int] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self.refresh()

    def get(self, call: Call) -> str | None:
        """Return the reply to a call; None where it was not asked, or its line is damaged."""
        place = self._places.get(_short(call.key))
        if place is None:
            return None
        number, offset = place
        with self._files[number].open("rb") as file:
            file.seek(offset)
            found = _parse(file.readline())
        if found is None or found[0] != call.key:
            del self._places[_short(call.key)]  # damaged since it was looked at
            return None
        return found[1]

    def put(self, call: Call, text: str) -> None:
        """Keep a reply: once this returns, no signal to this process can lose it."""
        with self._lock, writing(self._own):
            if self._own not in self._read:
                self._own.parent.mkdir(parents=True, exist_ok=True)
                self._start(self._own)
            line = f"{seal([call.key, text])}\n".encode()
            file = os.open(self._own, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                written = os.write(file, line)
                if written != len(line):
                    raise OSError("only a part could be written; is the disk full?")
            finally:
                os.close(file)
            place = self._files.index(self._own), self._read[self._own]
            self._read[self._own] += len(line)
            self._places.setdefault(_short(call.key), place)

    def refresh(self) -> None:
        """Take note of what other processes have added."""
        with self._lock:
            for path in sorted(self.folder.glob("*.jsonl")):
                if path != self._own:
                    self._take(path)

    @contextmanager
    def held(self, what: str) -> Iterator[None]:
        """Be the only process that asks, and know all replies; wait for another one's end.

        So no call is made twice, and limits of a server hold for all jobs together. ``what``
        says in the log whom is waited for.
        """
        with exclusive(self.folder / "asking.lock", what):
            self.refresh()
            yield

    def _start(self, path: Path) -> None:
        self._files.append(path)
        self._read[path] = 0

    def _take(self, path: Path) -> None:
        """Note where the replies lie in the whole lines that a file has more than before."""
        if path not in self._read:
            self._start(path)
        number, damaged, offset = self._files.index(path), 0, self._read[path]
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # torn, or about to be whole
                if found := _parse(line):
                    self._places.setdefault(_short(found[0]), (number, offset))
                else:
                    damaged += 1
                offset += len(line)
        self._read[path] = offset
        if damaged:
            log.warning("%s: %d damaged lines are ignored; these are asked again", path, damaged)


def _short(key: str) -> int:
    """Return what stands for a key in memory; the line says the whole of it."""
    return int(key[:16], 16)


def _parse(line: bytes) -> tuple[str, str] | None:
    """Return the key and the text in a line; None where it is damaged."""
    try:
        key, text = unseal(line.decode().rstrip("\n"))
    except (ValueError, TypeError):
        return None
    return (key, text) if isinstance(key, str) and isinstance(text, str) else None

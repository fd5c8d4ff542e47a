"""Locks on files, by which a job keeps out of the way of an orphan of a killed run.

They are ``flock`` locks: the kernel frees one with the process that held it, however it ends. The
lock files stay; only the kernel's lock on one means anything.
"""

import errno
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lorascope.storage.records import writing

HARMLESS = "says who waits for whom"

log = logging.getLogger("lorascope")

# What flock says on a file system without locks, as some network file systems are mounted.
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class NoLocksError(Exception):
    """The file system has no locks."""


def attempt(path: Path) -> TextIO | None:
    """Take the lock on ``path`` without waiting; None where another process holds it.

    It is held until the file that is returned is closed. NoLocksError where there are no locks.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if isinstance(error, BlockingIOError):
            return None
        if error.errno in UNSUPPORTED:
            raise NoLocksError(f"{path}: {error.strerror}") from error
        raise
    return lock


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock on ``path``; wait for a process that still is at work on ``what``.

    Where the file system has no locks, a warning is logged and the block runs all the same: what
    it writes is right, but an orphan may do the same work at the same time.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for an earlier job that is still at work on %s", what)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            log.warning(
                "%s: this file system has no locks (%s); jobs of a killed run that still are at "
                "work are not waited for, so end them before the next run",
                path,
                error.strerror,
            )
        yield


def is_held(path: Path) -> bool:
    """Return whether a live process holds the lock on ``path``."""
    try:
        with path.open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no such file, or no locks here
    return False

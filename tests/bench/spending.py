"""What a command costs: CPU seconds of all its processes, wall time, and memory."""

import ctypes
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

_PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 20
"""Seconds that processes may go on after the command that left them behind."""


class BenchError(Exception):
    """A bench cannot be measured; its message says why."""


@dataclass(frozen=True)
class Spent:
    """CPU and wall seconds, and the MiB of the largest process."""

    cpu: float
    wall: float
    peak: float

    def __add__(self, other: "Spent") -> "Spent":
        """Return what two commands cost, one after the other."""
        return Spent(self.cpu + other.cpu, self.wall + other.wall, max(self.peak, other.peak))


def spend(command: Sequence[object], folder: Path, environment: Mapping[str, str]) -> Spent:
    """Run a command in a folder and return what it and all its processes cost, left ones too.

    BenchError, with the end of what it printed, if it fails.
    """
    words = [str(word) for word in command]
    # Whoever outlives its parent becomes a child of this process, which can then wait for it.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with TemporaryFile("w+") as said:
        begin = time.perf_counter()
        child = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begin
        if child.returncode:
            said.seek(0)
            raise BenchError(f"{' '.join(words)} failed in {folder}:\n{said.read()[-4000:]}")
    rusages = [used, *_left_behind(words)]
    cpu = sum(one.ru_utime + one.ru_stime for one in rusages)
    return Spent(cpu, wall, max(one.ru_maxrss for one in rusages) / 1024)


def _left_behind(words: Sequence[str]) -> list:
    """Wait for the processes that a command left, and return what they used."""
    found, deadline = [], time.monotonic() + PATIENCE
    while True:
        try:
            pid, _, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid:
            found.append(used)
        elif time.monotonic() > deadline:
            raise BenchError(f"{' '.join(words)} left processes that do not end.")
        else:
            time.sleep(0.05)

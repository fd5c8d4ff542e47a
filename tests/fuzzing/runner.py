"""Cases of every kind, each under a limit of time, and what it says when one fails."""

import contextlib
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from lorascope.errors import UserError

SECONDS = 15
"""Far more than any case takes; what takes longer hangs."""
BYTES = 6 * 2**30
LONGEST = 2000  # characters of a message


class HangError(BaseException):
    """A case ran out of time; no Exception, so that nothing on the way takes it for one."""


@dataclass(frozen=True)
class Kind:
    """A kind of bad input.

    ``prepare`` writes once, into a folder, what cases of the kind start from. ``attempt`` is one
    case: it makes its input in the current, empty folder, from the folder given, and uses it.
    """

    name: str
    prepare: Callable[[Path], None]
    attempt: Callable[[Random, Path], None]


@dataclass(frozen=True)
class Failure:
    """A case that ended neither in success nor in one message."""

    kind: str
    case: str
    text: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzzing --kind {self.kind} --case {self.case}"
        return f"{self.kind} {self.case}\n{self.text}\nagain: {again}"


def run_cases(kind: Kind, seed: int, numbers: range, folder: Path) -> Iterator[Failure]:
    """Yield the failures among cases of a kind; ``folder`` is used for their files."""
    given = folder / kind.name
    if not given.exists():
        given.mkdir(parents=True)
        kind.prepare(given)
    with _bounded():
        for number in numbers:
            scratch = folder / "case"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            case = f"{seed}:{number}"
            with contextlib.chdir(scratch):
                text = _outcome(kind, Random(f"{kind.name} {case}"), given)
            if text:
                yield Failure(kind.name, case, text)


def _outcome(kind: Kind, random: Random, given: Path) -> str:
    """Return what is wrong with the end of a case ("" for nothing)."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        kind.attempt(random, given)
    except UserError as error:
        return _fault_of(str(error))
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _fault_of(message: str) -> str:
    if not message.strip() or not message.isprintable() or len(message) > LONGEST:
        return f"a message that is no readable line: {message[:LONGEST]!r}"
    return ""


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Limit time, by an exception, and memory, by what the operating system refuses."""
    before = signal.signal(signal.SIGALRM, _hang)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise HangError(f"ran for {SECONDS} s")

"""Signals that ask a job to end, and what they must not interrupt."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HARMLESS = "ends a job"

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked this process to end; not an Exception, so that no library catches it."""


class _Held:
    """How many blocks hold signals back now, and the last one that came meanwhile."""

    blocks = 0
    number: int | None = None


def heed_signals() -> None:
    """Raise Stopped, with the signal's number, at a signal to end that is not ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Have a signal wait for the end of the block, which writes a whole or nothing."""
    _Held.blocks += 1
    try:
        yield
    finally:
        _Held.blocks -= 1
        number = _Held.number
        if number is not None and not _Held.blocks:
            _Held.number = None
            raise Stopped(number)


def _stop(number: int, _frame: FrameType | None) -> None:
    if _Held.blocks:
        _Held.number = number
    else:
        raise Stopped(number)

"""Signals wait for what must not be torn, and counts stand in a job's log before its error."""

import os
import signal
import sys
from pathlib import Path

import pytest

from lorascope.errors import UserError
from lorascope.inspecting.status import failure
from lorascope.planning.told import Job
from lorascope.running import counters
from lorascope.running.stopping import Stopped, heed_signals, undisturbed
from lorascope.stages.command import parser, run
from lorascope.storage.journal import Journal


@pytest.fixture(autouse=True)
def handlers():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_waits_for_the_end_of_what_is_written_whole() -> None:
    heed_signals()
    done = []
    with pytest.raises(Stopped) as raised:
        with undisturbed():
            with undisturbed():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append(1)
            done.append(2)
        done.append("never")
    assert (done, raised.value.args) == ([1, 2], (signal.SIGTERM,))
    with undisturbed():
        done.append(3)
    with pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
    assert done == [1, 2, 3]


def test_counts_stand_before_the_error_that_ends_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_counts", type(counters._counts)())
    job, log = tmp_path / "job.json", tmp_path / "log"
    job.write_text(Job({}, "0" * 12).json)
    argv = ["stage", "--job", str(job), "--out", "out", "--log", str(log)]
    monkeypatch.setattr(sys, "argv", argv)

    def work(*_: object) -> None:
        counters.count("model loads")
        counters.count("tokens decoded", 7)
        raise UserError("no such thing")

    assert run(parser("stage", "Does."), Job, work) == 1
    assert 'DEBUG counted {"model loads": 1, "tokens decoded": 7}\n' in log.read_text()
    assert failure(log) == "no such thing"


def test_a_journal_is_claimed_without_waiting(tmp_path: Path) -> None:
    first, second = (Journal(tmp_path, "0" * 12, "0-of-2") for _ in range(2))
    elsewhere = Journal(tmp_path, "0" * 12, "1-of-3")
    lock = first.attempt()
    assert lock is not None
    assert second.is_held
    assert second.attempt() is None
    assert elsewhere.attempt() is None, "a run that splits the items otherwise is at work"
    lock.close()
    assert not second.is_held
    with elsewhere.held():
        assert first.attempt() is None

import logging

import pytest

from lorascope.running import progress
from lorascope.running.progress import Progress, progress_text


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_and_at_the_end(clock, caplog):
    with caplog.at_level(logging.INFO), Progress(total=4000, done=1000, what="SF-1") as bar:
        for _ in range(3):
            clock[0] += 10
            bar.update(50)
    assert caplog.messages == [
        "SF-1: 1100 of 4000 items, 5 a second, 0:09:40 left",
        "SF-1: 1150 of 4000 items, 5 a second, 0:09:30 left",
    ]


def test_nothing_is_said_of_nothing(clock, caplog):
    with caplog.at_level(logging.INFO), Progress(total=8, done=8, what="SF-1"):
        pass
    assert caplog.messages == []


def test_without_a_rate_no_time_is_told():
    assert progress_text(6, 12, 0.0) == "6 of 12 items"
    assert progress_text(6, 12, 0.001) == "6 of 12 items, 0.001 a second, 1:40:00 left"

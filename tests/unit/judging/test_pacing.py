import asyncio
import email.utils

import pytest

from lorascope.judging import pacing
from lorascope.judging.failures import asked_wait
from lorascope.judging.pacing import MOST_WAIT, Pace, wait_before
from tests.support.judge_calls import backend, scripts


def waits(per_minute, turns, pause=0.0):
    """Return the seconds that each turn waits, of turns that all come at once."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async def take():
        pace = Pace(per_minute)
        if pause:
            pace.pause(pause)
        for _ in range(turns):
            await pace.turn()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing.asyncio, "sleep", sleep)
        asyncio.run(take())
    return slept


def test_calls_start_evenly_spaced():
    assert waits(60, 4) == pytest.approx([0, 1, 2, 3], abs=0.2)
    assert waits(None, 3) == pytest.approx([0, 0, 0], abs=0.2)


def test_all_calls_wait_where_the_server_asked_for_it():
    assert waits(None, 2, pause=30) == pytest.approx([30, 30], abs=0.2)
    assert waits(60, 2, pause=30) == pytest.approx([30, 31], abs=0.2)


def test_waits_double_and_are_never_shorter_than_asked(monkeypatch):
    monkeypatch.setattr(pacing, "FIRST_WAIT", 1.0)
    for attempt, longest in ((0, 1), (1, 2), (5, 32), (6, MOST_WAIT), (99, MOST_WAIT)):
        found = [wait_before(attempt, None) for _ in range(50)]
        assert longest / 2 <= min(found) <= max(found) <= longest and len(set(found)) > 1
    assert wait_before(0, 17.0) == 17.0


NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": email.utils.formatdate(NOW + 90, usegmt=True)}, 90),
        ({"retry-after": email.utils.formatdate(NOW - 90, usegmt=True)}, 0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_a_server_may_ask_to_wait_in_seconds_or_until_a_date(headers, seconds):
    assert asked_wait(headers, NOW) == seconds


def test_a_server_that_says_when_to_come_back_is_not_asked_before(server, tmp_path):
    asked, slept = backend(server.base_url, tmp_path, concurrency=1), []
    asked.pace.pause = slept.append
    list(asked.ask(scripts(["plain", "wait-once", "busy-once"])))
    assert slept == [0.05]

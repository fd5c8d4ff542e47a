"""Threads work ahead, and nothing else changes."""

import threading
import time
from contextlib import closing

import pytest

from lorascope.running import ahead as module
from lorascope.running.ahead import ahead, threads_beside

THREADS = (0, 1, 4)


@pytest.mark.parametrize("threads", THREADS)
def test_results_come_in_order_whichever_is_ready_first(threads):
    def slow(number):
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    assert list(ahead(slow, range(100), threads)) == [n * n for n in range(100)]
    assert list(ahead(slow, [], threads)) == []


@pytest.mark.parametrize("threads", THREADS)
def test_an_error_comes_where_its_item_would(threads):
    def picky(number):
        if number in (3, 5):
            raise ValueError(f"{number} is refused")
        return number

    results, found = ahead(picky, range(50), threads), []
    with pytest.raises(ValueError, match="3 is refused"):
        for one in results:
            found.append(one)
    assert found == [0, 1, 2]


@pytest.mark.parametrize("threads", THREADS)
def test_no_more_is_done_than_may_wait_nor_after_the_caller_left(threads, monkeypatch):
    monkeypatch.setattr(module, "AHEAD", 5)
    begun = []
    with closing(ahead(begun.append, range(10_000), threads)) as results:
        for _ in range(3):
            next(results)
        time.sleep(0.02)
        assert len(begun) <= 3 + (5 if threads else 0)
    time.sleep(0.02)
    after = len(begun)
    time.sleep(0.02)
    assert len(begun) == after <= 3 + (5 if threads else 0)


@pytest.mark.parametrize(
    ("device", "cores", "threads"),
    [("cpu", 1, 0), ("cpu", 2, 1), ("cpu", 16, 1), ("cuda", 1, 1), ("cuda", 2, 1), ("cuda", 16, 8)],
)
def test_threads_take_the_cores_that_a_device_leaves(device, cores, threads, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {*range(cores)})
    assert threads_beside(device) == threads


def test_without_a_thread_all_is_done_here():
    here = threading.get_ident()
    assert {*ahead(lambda _: threading.get_ident(), range(9), 0)} == {here}
    assert here not in ahead(lambda _: threading.get_ident(), range(9), 1)


def test_work_overlaps():
    """Three that wait for each other end, as they are done at once."""
    barrier = threading.Barrier(3)
    assert len([*ahead(lambda _: barrier.wait(20), range(3), 3)]) == 3

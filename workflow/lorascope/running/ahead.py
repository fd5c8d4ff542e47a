"""What threads do ahead of the thread that needs it."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

HARMLESS = "does earlier what is done anyway"

AHEAD = 32
"""How many results may wait."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def threads_beside(device: str) -> int:
    """Return how many threads work beside a device: where it is the CPU, one if a core is left."""
    others = len(os.sched_getaffinity(0)) - 1
    return min(1, others) if device == "cpu" else max(1, min(8, others))


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[Result, None, None]:
    """Yield what ``function`` makes of each item, in order; an error comes where its item would.

    Threads work on the next items, up to ``AHEAD`` of them; without threads nothing is made before
    it is asked for. What has not begun when the caller ends is never done.
    """
    if not threads:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

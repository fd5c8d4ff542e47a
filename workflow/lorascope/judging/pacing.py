"""When a server is asked: not too often, again after a while, and no more where it is in vain."""

import asyncio
import random

from lorascope.errors import UserError
from lorascope.judging.failures import PERMANENT, Failure
from lorascope.study.judge_servers import JudgeServer

HARMLESS = "decides when a call is made, and when no more are"

FIRST_WAIT = 1.0
"""Seconds before a call is made again for the first time; then they double."""
MOST_WAIT = 60.0
LONGEST_ASKED = 600.0
"""Seconds that a server may ask to wait for; a call that it puts off for longer has failed."""
IN_A_ROW = 20
"""Calls that fail one after the other, each after all its retries, before all end."""


class Pace:
    """Lets calls start at most so many a minute, and none while the server asks to wait."""

    def __init__(self, per_minute: float | None) -> None:
        self.gap = 60 / per_minute if per_minute else 0.0
        self.next = 0.0

    async def turn(self) -> None:
        """Return once a call may start."""
        now = asyncio.get_running_loop().time()
        start = max(now, self.next)
        self.next = start + self.gap if self.gap else self.next
        await asyncio.sleep(start - now)

    def pause(self, seconds: float) -> None:
        """Let none start for so long."""
        self.next = max(self.next, asyncio.get_running_loop().time() + seconds)


def wait_before(attempt: int, asked: float | None) -> float:
    """Return the seconds before a call is made again after its ``attempt``-th failure, from 0.

    They double, are drawn from the upper half so that calls that failed together do not come
    together, and are never fewer than the server asked for.
    """
    longest = min(MOST_WAIT, FIRST_WAIT * 2**attempt)
    return max(random.uniform(longest / 2, longest), asked or 0.0)


class Patience:
    """Ends all calls where they are in vain: UserError that says what to do.

    A failure that no question can cause ends them at once if no call was answered yet, and one
    that some question may have caused does so once all have failed. Otherwise so do `IN_A_ROW`
    failures without an answer between them; a question that the server refused counts among these
    only as long as no call was answered. Replies that were kept (``known``) count as answered for
    all but the first: what is left over then may be no more than a few odd questions.
    """

    def __init__(self, settings: JudgeServer) -> None:
        self.settings = settings
        self.in_a_row = 0
        self.answered = False
        self.known = False
        self.last: Failure | None = None

    def succeeded(self) -> None:
        """Take note of an answer."""
        self.in_a_row, self.answered = 0, True

    def failed(self, failure: Failure) -> None:
        """Take note of a call that failed for good."""
        self.last = failure
        if failure.blame == "server" and not self.answered:
            raise self.ended(failure)
        if failure.blame != "question" or not (self.answered or self.known):
            self.in_a_row += 1
        if self.in_a_row >= IN_A_ROW:
            raise self.ended(failure, f"{IN_A_ROW} calls in a row failed, the last: ")

    def check(self) -> None:
        """Raise UserError where all calls have failed, and the server may be why."""
        if self.last and self.last.blame == "either" and not (self.answered or self.known):
            raise self.ended(self.last, "no call was answered, the last: ")

    def ended(self, failure: Failure, count: str = "") -> UserError:
        """Return the message that ends all calls."""
        where = f"judge {self.settings.model} at {self.settings.base_url}"
        kept = "what was answered is kept, run snakemake again"
        return UserError(f"{where}: {count}{failure}; {self._remedy(failure)}; {kept}")

    def _remedy(self, failure: Failure) -> str:
        variable, status = self.settings.api_key_env, failure.status
        if status in (401, 403, 407) and variable:
            return f"check the key in the environment variable {variable}, and what it may use"
        if status in (401, 403, 407):
            return "name the environment variable that holds the key under api_key_env"
        if status and 300 <= status < 400:
            return "if that is the server, write its address as base_url"
        if status in PERMANENT:
            return (
                f"check model ({self.settings.model}) and base_url, which ends with the version, "
                "such as http://localhost:8000/v1"
            )
        if failure.blame == "server":
            return "check that the server is up, and base_url"
        return "check the server, its log, and the judge's keys in the study"

"""A judge behind a server that speaks OpenAI's protocol, asked through the `openai` client.

Calls are made by a thread of its own, so that a signal to the process is heard at once, in an event
loop in which as many workers as the study says take one call after the other. The key comes from
the environment, goes into the header of requests to base_url alone, and is written nowhere: a
redirect is not followed, and what the server or a library says is redacted.
"""

# The client is imported where a server is asked.
# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from lorascope.errors import UserError
from lorascope.judging.calls import Call, CallCache, Reply
from lorascope.judging.failures import Failure, failure_of, text_of
from lorascope.judging.pacing import LONGEST_ASKED, Pace, Patience, wait_before
from lorascope.storage.hub import keep_secret, redacted
from lorascope.study.judge_servers import JudgeServer

if TYPE_CHECKING:
    import openai

HARMLESS = "asks what a call says, and keeps what comes as it is under the call's key"

log = logging.getLogger("lorascope")

NEWER_LIMIT = "max_completion_tokens"
CONNECT = 20.0
"""Seconds within which a server has to take up a connection."""
WORD = 16
"""Characters of a key that no reply says by chance, as it may "EMPTY", a usual key of vLLM's."""
STOPPING = 10.0
"""Seconds that calls in flight are given to end once nobody waits for them."""

Found = tuple[Call, Reply]


class ServerBackend:
    """Answers calls by a server; see `lorascope.judging.calls.Backend`.

    Failures are not cached: a call without a text is made again by the next run.
    """

    def __init__(self, settings: JudgeServer, cache: CallCache) -> None:
        self.settings, self.cache = settings, cache
        self.patience = Patience(settings)
        self.pace = Pace(settings.requests_per_minute)
        self.limit = "max_tokens"
        self.key: str | None = None
        self.problems: Counter[str] = Counter()

    def ask(self, calls: Iterable[Call]) -> Iterator[Found]:
        """Yield each call with its reply, in any order; see `Backend.ask`.

        UserError where the client is not installed, the key is missing, and where no call can be
        answered: the server is down, or refuses the key or the model.
        """
        left: dict[str, list[Call]] = {}
        for call in calls:
            if (text := self.cache.get(call)) is None:
                left.setdefault(call.key, []).append(call)
            else:
                self.patience.known = True
                yield call, Reply(text)
        if left:
            _check_client()
            self.key = _key(self.settings)
            with self.cache.held(f"calls of the judge {self.settings.model}"):
                yield from self._ask(left)

    def _ask(self, left: dict[str, list[Call]]) -> Iterator[Found]:
        """Yield the replies to calls that nobody else is making."""
        asked: deque[Call] = deque()
        for same in left.values():
            if (text := self.cache.get(same[0])) is None:
                asked.append(same[0])
            else:  # of a process that was waited for
                self.patience.known = True
                yield from ((call, Reply(text)) for call in same)
        if not asked:
            return
        done: SimpleQueue[Found | BaseException | None] = SimpleQueue()
        with _thread(lambda: self._all(asked, done), done):
            while (found := done.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield from ((call, found[1]) for call in left[found[0].key])
        for words, failed in self.problems.items():
            log.warning(
                "judge %s: %d calls without a reply: %s", self.settings.model, failed, words
            )
        self.problems.clear()
        self.patience.check()

    async def _all(
        self, asked: deque[Call], done: SimpleQueue[Found | BaseException | None]
    ) -> None:
        """Make all calls; put each with its reply into ``done``."""

        async def work() -> None:
            while asked:
                call = asked.popleft()
                reply = await self._reply(client, call)
                if reply.text is not None:
                    self.cache.put(call, reply.text)
                done.put((call, reply))

        async with _client(self.settings, self.key) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.settings.concurrency, len(asked))):
                        group.create_task(work())
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None

    async def _reply(self, client: openai.AsyncOpenAI, call: Call) -> Reply:
        """Return the reply to a call, after retries; UserError where all calls are in vain."""
        found = await self._tried(client, call)
        if isinstance(found, str):
            self.patience.succeeded()
            return Reply(self._clean(found))
        log.debug("judge %s: call %s: %s", self.settings.model, call.key[:12], found)
        if not self.problems[found.words]:
            log.warning("judge %s: a call failed: %s", self.settings.model, found)
        self.problems[found.words] += 1
        self.patience.failed(found)
        return Reply(None, found.words)

    async def _tried(self, client: openai.AsyncOpenAI, call: Call) -> str | Failure:
        """Return the text of a call, or why there is none after all retries."""
        for attempt in count():
            await self.pace.turn()
            try:
                return await self._text(client, call)
            except Exception as error:
                failure = failure_of(error)
            put_off = (failure.wait or 0) > LONGEST_ASKED
            if not failure.again or put_off or attempt >= self.settings.retries:
                return failure
            await self._rest(attempt, failure)
        raise AssertionError("counts without end")

    async def _text(self, client: openai.AsyncOpenAI, call: Call) -> str:
        """Return the text of one try; what the client raises, or Failure, where there is none."""
        import openai

        async with asyncio.timeout(self.settings.timeout):
            limit = self.limit
            try:
                return await self._sent(client, call, limit)
            except openai.BadRequestError as error:
                # Newer models of OpenAI know the limit by this name alone, all others by the first.
                if limit == NEWER_LIMIT or NEWER_LIMIT not in str(error):
                    raise
            self.limit = NEWER_LIMIT
            return await self._sent(client, call, NEWER_LIMIT)

    async def _sent(self, client: openai.AsyncOpenAI, call: Call, limit: str) -> str:
        """Return the text of a reply.

        It is read as it was sent: the client's own types let pass what no server should send, and
        take longer than all else.
        """
        import httpx2
        import openai

        messages = [{"role": role, "content": text} for role, text in call.messages]
        sampling = {"temperature": call.temperature, "seed": call.seed}
        body = {"model": self.settings.model, "messages": messages, limit: call.max_tokens}
        body |= {name: value for name, value in sampling.items() if value is not None}
        # Where there is no key, the client's header for it is taken away.
        headers: Any = {} if self.key else {"Authorization": openai.Omit()}
        response = await client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            body=body | self.settings.extra,
            options={"headers": headers},
        )
        return text_of(response.content)

    async def _rest(self, attempt: int, failure: Failure) -> None:
        """Wait before a call is made again; all wait where the server asked for it."""
        wait = wait_before(attempt, failure.wait)
        where = f"judge {self.settings.model} at {self.settings.base_url}"
        log.log(
            logging.DEBUG if attempt else logging.INFO,
            "%s: %s; asked again in %.1f s",
            where,
            failure,
            wait,
        )
        if failure.wait:
            self.pace.pause(failure.wait)
        await asyncio.sleep(wait)

    def _clean(self, text: str) -> str:
        """Return a reply without the key, should a server ever say it; no word is as long."""
        return text.replace(self.key, "***") if self.key and len(self.key) >= WORD else text


def _check_client() -> None:
    if find_spec("openai") is None:
        raise UserError(
            "a judge behind a server is asked through openai's client, which is not installed; "
            "run pip install 'lorascope[judge]'"
        )


def _key(settings: JudgeServer) -> str | None:
    """Return the key of a server, kept out of logs from now on; None where it needs none.

    UserError, naming the variable, where it is not set or cannot be a key.
    """
    name = settings.api_key_env
    key = os.environ.get(name, "").strip() if name else ""
    where = f"judge {settings.model} at {settings.base_url}: the environment variable {name}"
    if name and not key:
        if settings.is_local:
            return None
        raise UserError(f"{where} is not set; put the server's key into it (export {name}=...)")
    if not key.isascii() or any(not "!" <= character <= "~" for character in key):
        raise UserError(f"{where} holds blanks or characters that no key has; set it again")
    keep_secret(key)
    return key or None


def _client(settings: JudgeServer, key: str | None) -> openai.AsyncOpenAI:
    """Return a client that knows one address; no proxy stands before a server on this machine.

    UserError for an address, or a proxy or certificates of the environment, that cannot be used.
    """
    import httpx2
    import openai

    limits = httpx2.Limits(
        max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
    )
    try:
        return openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=settings.base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                trust_env=not settings.is_local,
                limits=limits,
                timeout=httpx2.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout)),
            ),
        )
    except (httpx2.InvalidURL, ValueError, OSError) as error:
        raise UserError(
            f"judge {settings.model} at {settings.base_url}: {redacted(str(error))}; correct "
            "base_url, or the environment variables of proxies and certificates"
        ) from None


@contextmanager
def _thread(
    work: Callable[[], Coroutine[Any, Any, None]],
    done: SimpleQueue[Found | BaseException | None],
) -> Iterator[None]:
    """Do ``work`` in a thread; its error, or None, comes last into ``done``.

    It is cancelled, and waited for, once the block ends.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work())

    def run() -> None:
        try:
            with closing(loop):
                loop.run_until_complete(task)
        except BaseException as error:  # to the thread that waits
            done.put(error)
        else:
            done.put(None)

    thread = threading.Thread(target=run, name="judge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(task.cancel)
        thread.join(STOPPING)

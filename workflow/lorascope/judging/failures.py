"""How a call to a server can fail, whose fault it is, and whether to make it again."""

# The client is imported where a server is asked.
# ruff: noqa: PLC0415

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lorascope.storage.hub import redacted

if TYPE_CHECKING:
    import openai

HARMLESS = "puts failures into words; what cannot be had is said to be missing"

AGAIN = {408, 409, 429}
"""Statuses of what may succeed in a while, beside those of a broken server (5xx)."""
PERMANENT = {401, 404, 405, 407}
"""Statuses that no question causes, beside redirects: key, model or address are wrong."""
STATUSES = {
    401: "the server refused the key",
    403: "the server forbids the call",
    404: "the server does not know the model or the address",
    408: "the server timed out",
    429: "the server's rate limit",
}
SPENT = "insufficient_quota"
MOST_SHOWN = 100_000
"""Bytes of a damaged reply that are looked at for words; of these the first 300 are shown."""


Blame: TypeAlias = Literal["server", "either", "reply", "question"]


@dataclass(eq=False)
class Failure(Exception):
    """Why a call brought no text.

    words: for a table of reasons, the same for all failures of a kind. detail: what the server or
    the library said, without secrets. blame: what can have caused it: "server" (no question can),
    "either", "reply" (the server answers, but nothing of use), "question" (the server is well).
    wait: seconds that the server asks for.
    """

    words: str
    detail: str = ""
    again: bool = False
    blame: Blame = "either"
    status: int | None = None
    wait: float | None = None

    def __str__(self) -> str:
        return f"{self.words}: {self.detail}" if self.detail else self.words


def failure_of(error: Exception) -> Failure:
    """Return what an exception of a call means; one that is no failure of a call is raised."""
    import httpx2
    import openai

    if isinstance(error, Failure):
        return error
    if isinstance(error, openai.APIStatusError):
        return _by_status(error)
    cause = error.__cause__
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        if isinstance(cause, httpx2.ConnectTimeout):
            return Failure("no connection to the server", "time-out", again=True, blame="server")
        return Failure("no reply of the judge in time", again=True)
    if isinstance(error, openai.APIConnectionError):
        detail = _line(cause or error)
        if isinstance(cause, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol):
            return Failure("no connection to the server", detail, again=True, blame="server")
        return Failure("the connection broke off", detail, again=True)
    raise error


def text_of(content: bytes) -> str:
    """Return the text in what the server sent; Failure where there is none."""
    try:
        first = json.loads(content)["choices"][0]
        message, finish = first["message"], first.get("finish_reason")
        text, refusal = _joined(message.get("content")), message.get("refusal")
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        said = _line(content[:MOST_SHOWN].decode(errors="replace"))
        raise Failure("the server's reply is damaged", said, again=True, blame="reply") from None
    if isinstance(text, str) and text.strip():
        # JSON can escape half of a character, which no file can hold.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if refusal or finish == "content_filter":
        raise Failure("the judge refused to judge", _line(refusal or finish), blame="question")
    if finish == "length":
        raise Failure(
            "the judge used up max_tokens without a word", "raise max_tokens", blame="question"
        )
    raise Failure("the judge's reply is empty", again=True, blame="reply")


def _joined(content: Any) -> Any:
    """Return the text of a content in parts, as servers send it of models that reason."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _by_status(error: openai.APIStatusError) -> Failure:
    status = error.status_code
    detail = _line(str(error).removeprefix(f"Error code: {status}").lstrip(" -") or status)
    usual = "the server failed" if status >= 500 else "the server refused the question"
    words = STATUSES.get(status, f"{usual} ({status})")
    if 300 <= status < 400:
        place = redacted(error.response.headers.get("location", "nowhere").partition("?")[0])
        return Failure("the server sends elsewhere", place, blame="server", status=status)
    if status in PERMANENT or error.code == SPENT:
        return Failure(words, detail, blame="server", status=status)
    again = status in AGAIN or status >= 500
    blame: Blame = "either" if again or status == 403 else "question"
    wait = asked_wait(error.response.headers) if again else None
    return Failure(words, detail, again, blame, status, wait)


def asked_wait(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3), None for no such thing.

    It is a number of seconds or a date; ``retry-after-ms`` is OpenAI's own.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0 <= wait < float("inf"):
            return wait
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _line(value: object) -> str:
    """Return what a server or library said, on one line, without secrets, cut off if long."""
    text = redacted(" ".join(str(value).split())) or type(value).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."

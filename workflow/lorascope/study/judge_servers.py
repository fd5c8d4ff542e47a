"""Servers that judge: where they are, how they are asked, and what tells one from another."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from lorascope.identity.digests import canonical
from lorascope.study.settings import READ, Name, Positive, Settings, Text

HARMLESS = "settings that decide a result are in its fingerprint by their values"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(
    r"api_?key|secret|password|authorization|bearer|headers|^key$|^(access_?|auth_?)?token$", re.I
)
_OWN = (
    "messages",
    "model",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "seed",
    "stream",
    "stream_options",
    "n",
)
"""Parameters of a request that the judge's other keys say, or that lorascope says itself."""


def _variable(name: str) -> str:
    """Return the name of a variable; ValueError, without what may be a key, for no such name."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError(
            "is no name of an environment variable; put the key into one (export NAME=...), "
            "write its NAME here, and the key nowhere"
        )
    return name


def _address(url: str) -> str:
    """Return a server's address, its scheme and host in lower case, without a last slash.

    ValueError, without what may be a password, for no address.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known, parts = False, urlsplit("")
    if not known or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise ValueError("is no address of a server; write one such as http://localhost:8000/v1")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError(
            "has more than a server's address; leave out user, password and what follows ? or #, "
            "and name the variable that holds a key under api_key_env"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def _parameters(extra: dict[str, Any]) -> dict[str, Any]:
    """Return further parameters of a request; ValueError for a key, or what other keys say."""
    for name in _names(extra):
        if _SECRET.search(name):
            raise ValueError(f"{name}: may hold a key, which no study does; see api_key_env")
    for name in extra:
        if name in _OWN:
            raise ValueError(
                f"{name}: is said by max_tokens, temperature and seed of the judge, or by "
                "lorascope; leave it out here"
            )
    canonical(extra)  # ValueError for what no request can hold
    return extra


def _names(value: Any) -> Iterator[str]:
    """Yield the keys of mappings at any depth."""
    if isinstance(value, Mapping):
        yield from map(str, value)
    for inner in value.values() if isinstance(value, Mapping) else value:
        if isinstance(inner, Mapping | list):
            yield from _names(inner)


class JudgeServer(Settings):
    """A model behind a server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, a provider's.

    Calls are made by the `openai` client, to POST <base_url>/chat/completions.
    """

    base_url: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_address)] = (
        Field(
            description="Address of the server, up to its version, such as "
            "http://localhost:8000/v1."
        )
    )
    model: Text = Field(description="Name of the model, as the server knows it.")
    name: Name | None = Field(
        None,
        description="Name of what answers at base_url. Replies are kept under it and the model's "
        "name, so that a server that moved is not asked again. Null: they are kept under base_url, "
        "since a model's name may mean another model elsewhere.",
    )
    api_key_env: Annotated[str, Field(max_length=200), AfterValidator(_variable)] | None = Field(
        None,
        description="NAME of the environment variable that holds the key, such as OPENAI_API_KEY; "
        "null sends none. A key itself is refused here, and written nowhere.",
    )
    concurrency: Annotated[int, Field(ge=1, le=1000), READ] = Field(
        8, description="Calls at a time, those of all jobs together."
    )
    timeout: Annotated[float, Field(gt=0, le=86_400), READ] = Field(
        120, description="Seconds that a call may take in all."
    )
    retries: Annotated[int, Field(ge=0, le=100), READ] = Field(
        6,
        description="How often a call is made again that failed, timed out or was refused for now "
        "(408, 409, 429, 5xx), after waits that double, up to a minute, or are what the server "
        "asks for.",
    )
    requests_per_minute: Positive | None = Field(
        None,
        description="Most calls that are started in a minute, retries among them, by all jobs "
        "together; null is no limit.",
    )
    extra: Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_parameters)] = Field(
        {},
        description="Further parameters of each request, such as top_p: 0.9 or "
        "chat_template_kwargs: {enable_thinking: false}.",
    )

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a reply, beside the call: the rest says where, when and how fast."""
        return {
            "server": self.name or self.base_url,
            "model": self.model,
            "extra": self.extra,
        }

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, so that no proxy stands between."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

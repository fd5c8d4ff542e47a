"""Digests of settings: 12 hex digits that are equal for equal values, however they were written."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

HARMLESS = "digests name files and decide nothing in them"

_PLAIN = frozenset({str, int, bool})


def canonical(value: Any) -> str:
    """Return ``value`` as JSON that is equal for equal settings: keys sorted, 60.0 written 60.

    >>> canonical({"b": 60.0, "a": (1, None)})
    '{"a":[1,null],"b":60}'

    ValueError for numbers that are not finite.
    """
    return to_json(_normal(value))


def to_json(value: Any) -> str:
    """Return JSON without spaces, keys sorted, of a value that is in its normal form already."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """Return the first 12 hex digits of the SHA-256 of the canonical JSON of ``value``."""
    return text_digest(canonical(value))


def text_digest(text: str) -> str:
    """Return the first 12 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _normal(value: Any) -> Any:
    # A plan normalises hundreds of values an experiment: the common types first, by identity.
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, dict | Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value

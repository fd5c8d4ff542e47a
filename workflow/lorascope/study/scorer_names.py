"""A scorer as a study writes it: a name, or a mapping of name and own keys."""

from collections.abc import Mapping
from typing import Any, NamedTuple

HARMLESS = "takes settings apart, which are in a fingerprint by their values"


class NamedScorer(NamedTuple):
    """A scorer's name, and its own keys of the study."""

    name: str
    own: dict[str, Any]


def named_scorer(written: str | Mapping[str, Any]) -> NamedScorer:
    """Return a scorer as a study has it, taken apart."""
    if isinstance(written, str):
        return NamedScorer(written, {})
    own = {key: value for key, value in written.items() if key != "name"}
    return NamedScorer(str(written["name"]), own)

"""A scorer as a study writes it: a name, or a mapping of name and own keys."""

from collections.abc import Mapping
from typing import Any

HARMLESS = "takes settings apart, which are in a fingerprint by their values"


def named_scorer(written: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a scorer as a study has it, and its own keys."""
    if isinstance(written, str):
        return written, {}
    own = {key: value for key, value in written.items() if key != "name"}
    return str(written["name"]), own

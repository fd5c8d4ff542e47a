"""Columns of a row: by name, dotted into nested ones, or at places of a template."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")


def is_template(spec: str) -> bool:
    """Return whether a key holds a template; otherwise it is the name of a column."""
    return "{" in spec or "}" in spec


def check_template(spec: str) -> str:
    """Return a column's name or a template; ValueError for a brace that belongs to no place."""
    for found in _BRACES.finditer(spec):
        if found[0] in ("{", "}"):
            raise ValueError(
                f"{spec!r} has a lone {found[0]!r}; write a place as {{column}}, and "
                f"{found[0] * 2} for the brace itself"
            )
    return spec


def named(spec: str) -> list[str]:
    """Return the columns that a key names: itself, or those of its template."""
    if not is_template(spec):
        return [spec]
    return [found[1] for found in _BRACES.finditer(spec) if found[1]]


def fill(template: str, value: Callable[[str], str]) -> str:
    """Return a template with the value of each of its places; {{ and }} are braces."""
    return _BRACES.sub(lambda found: value(found[1]) if found[1] else found[0][0], template)


def lookup(values: Any, name: str) -> Any:
    """Return what a row has under a name, None for nothing.

    A dot leads into a nested column, and into each element of a list. A column whose own name has
    the dot comes first.
    """
    if isinstance(values, list):
        return [lookup(value, name) for value in values]
    if not isinstance(values, Mapping):
        return None
    if name in values:
        return values[name]
    for place in reversed([found.start() for found in re.finditer(r"\.", name)]):
        if name[:place] in values:
            return lookup(values[name[:place]], name[place + 1 :])
    return None


def below(value: Any, prefix: str = "") -> dict[str, None]:
    """Return the names, in order, under which `lookup` finds something in a row."""
    found: dict[str, None] = {}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            found[prefix + key] = None
            found |= below(inner, f"{prefix}{key}.")
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, Mapping | list):
                found |= below(inner, prefix)
    return found


def as_text(value: Any) -> str | None:
    """Return a text, number or truth value as a text; None for what is none of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return None


def as_texts(value: Any) -> list[str] | None:
    """Return a list of texts and numbers as texts; None for what is no such list."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    texts = [as_text(one) for one in value]
    known = [text for text in texts if text is not None]
    return known if len(known) == len(texts) else None


def kind(value: Any) -> str:
    """Return in words what a value is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a mapping"

"""From what pydantic says of a part of a study to one message that names file, key and remedy."""

import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lorascope.errors import UserError, shown
from lorascope.study.settings import NAME, Settings

HARMLESS = "settings that decide a result are in its fingerprint by their values"

Part = TypeVar("Part", bound=Settings)

KINDS = {
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "string_type": "text",
    "string_unicode": "text without lone surrogates",
    "bool_type": "true or false",
    "list_type": "list",
    "dict_type": "keys",
    "model_type": "keys",
    "model_attributes_type": "keys",
}
"""pydantic's type of an error -> what was expected."""

ODD_KEYS = ("extra_forbidden", "invalid_key")
"""pydantic's types of an error, for a key that is unknown and for one that is no text."""

NAME_FORM = "letters, digits, '.', '_' and '-', a letter or digit first"

MOST_KEY = 100
"""Characters of a key that are looked at and shown."""

BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "greater than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
"""pydantic's type of an error -> the bound's name and what it asks for."""


def validated(model: type[Part], value: Any, file: str, where: str) -> Part:
    """Return the part of a study that ``value`` at the key ``where`` holds.

    UserError, naming ``file`` and key, for the first thing that is wrong, with the number of
    others.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # An unknown key is most likely why another one is missing.
        first = min(problems, key=lambda problem: problem["type"] not in ODD_KEYS)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{file}: {_explained(model, first, where)}{more}") from None


def unknown_key(key: str, place: str, known: Iterable[str]) -> str:
    """Say that a key is unknown, and which one may be meant."""
    known = list(known)
    close = difflib.get_close_matches(str(key)[:MOST_KEY], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
    return f"{place}: unknown key {shown(key)}; {hint}"


def _explained(model: type[Settings], problem: ErrorDetails, where: str) -> str:
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    *parents, last = problem["loc"] or ("",)
    if kind in ("extra_forbidden", "missing"):
        place = _place(where, parents) or "the study"
        if kind == "missing":
            return f"{place}: key {last!r} is missing"
        return unknown_key(str(last), place, _keys(_annotation(model, parents)))
    if kind == "invalid_key" or (kind == "string_type" and last == "[key]"):
        above = parents if kind == "invalid_key" else parents[:-1]
        place = _place(where, above) or "the study"
        return f"{place}: the key {shown(value)} is not text; correct it, or put it in quotes"
    place = _place(where, problem["loc"]) or "the study"
    annotation = _annotation(model, problem["loc"])
    if kind == "finite_number":
        return f"{place}: {value} is not a finite number"
    if kind == "literal_error":
        choices = ", ".join(map(str, _choices(annotation)))
        return f"{place}: {shown(value)} is not one of {choices}"
    if kind in ("too_short", "string_too_short"):
        return f"{place}: must not be empty"
    if kind in ("too_long", "string_too_long"):
        things = "characters" if kind == "string_too_long" else "entries"
        size, most = context.get("actual_length", len(value)), context["max_length"]
        return f"{place}: has {size:,} {things}; at most {most:,} are allowed"
    if kind == "string_pattern_mismatch":
        form = context["pattern"]
        meaning = NAME_FORM if form == NAME else _description(model, problem["loc"])
        return f"{place}: {shown(value)} has a form that is not allowed ({meaning})"
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        bound = f"{words} {plain_number(context[name])}"
        return f"{place}: {shown(value)} is not valid here; it has to be {bound}"
    if kind in ("value_error", "source"):
        told = context.get("error", f"{shown(value)} is not valid here; expected {problem['msg']}")
        return f"{place}: {told}"
    expected = KINDS.get(kind, problem["msg"])
    nullable = " or null" if type(None) in get_args(annotation) else ""
    return f"{place}: {shown(value)} is not valid here; expected {expected}{nullable}"


def plain_number(value: float) -> str:
    """Return a number as a study would have it: 10000, 0.5."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e16 else f"{value:g}"


def _place(where: str, loc: Sequence[int | str]) -> str:
    """Return the key that pydantic's location means, "experiments[0].batch_size"."""
    for step in loc:
        if isinstance(step, int):
            where += f"[{step}]"
        elif not _is_mark(step):
            key = step if step.isprintable() and len(step) <= MOST_KEY else shown(step)
            where += f".{key}" if where else key
    return where


def _is_mark(step: int | str) -> bool:
    """Return whether a step of a location is no key of the study: a union's tag, a key's name."""
    return isinstance(step, str) and (step[:1] + step[-1:] in ("<>", "[]"))


# ------------------------------------------------------------------------------ annotations


def _annotation(model: Any, loc: Sequence[int | str]) -> Any:
    """Return the type that a model asks for at a location, as far as it can be told."""
    found: Any = model
    for step in loc:
        found = _tagged(found, step) if _is_mark(step) else _inner(_plain(found), step)
    return found


def _tagged(annotation: Any, tag: int | str) -> Any:
    """Return the alternative of a union that has a tag, the annotation itself if there is none."""
    plain = _plain(annotation)
    options = get_args(plain) if get_origin(plain) in (Union, types.UnionType) else ()
    marks = {option: getattr(option, "__metadata__", ()) for option in options}
    return next((option for option in options if Tag(str(tag)) in marks[option]), annotation)


def _inner(annotation: Any, step: int | str) -> Any:
    for candidate in _alternatives(annotation):
        if isinstance(candidate, type) and issubclass(candidate, Settings):
            if step in (fields := _fields(candidate)):
                return fields[str(step)].annotation
        elif get_origin(candidate) is (list if isinstance(step, int) else dict):
            return get_args(candidate)[-1]
    return None


def _alternatives(annotation: Any) -> list[Any]:
    plain = _plain(annotation)
    if get_origin(plain) in (Union, types.UnionType):
        return [inner for option in get_args(plain) for inner in _alternatives(option)]
    return [plain]


def _plain(annotation: Any) -> Any:
    """Return a type without what ``Annotated`` adds."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _fields(model: Any) -> dict[str, FieldInfo]:
    """Return the fields of a model by their keys in a study; none of anything else."""
    fields: Mapping[str, FieldInfo] = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in fields.items()}


def _keys(annotation: Any) -> list[str]:
    return [
        key
        for option in _alternatives(annotation)
        if isinstance(option, type) and issubclass(option, Settings)
        for key in _fields(option)
    ]


def _choices(annotation: Any) -> list[Any]:
    return [value for option in _alternatives(annotation) for value in get_args(option)]


def _description(model: type[Settings], loc: Sequence[int | str]) -> str:
    """Return the description of the key at a location, or of the names of a mapping there."""
    names = loc[-1:] == ("[key]",)
    path = [step for step in loc if not _is_mark(step)]
    if names:
        return "a name that becomes a folder"
    *parents, last = path
    while isinstance(last, int) and parents:
        *parents, last = parents
    for option in _alternatives(_annotation(model, parents)):
        fields = _fields(option)
        if last in fields:
            return (fields[str(last)].description or "").rstrip(".")
    return "see docs/study.md"

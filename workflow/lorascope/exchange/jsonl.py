"""JSONL: one object an answer, with all that is known of it.

`item_id`, `response`: which item is answered, and what the model said.
`item`: the question as ``lorascope.benchmarks.items.Item`` has it.
`answer`: finish reason, tokens, likelihoods, and `scores` by metric ("" for a scorer with one).
`settings`: the experiment that made it, with the digests of its items, answers and scores.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, listing, shown
from lorascope.exchange.answers import Answered, answer_values, item_values, plain
from lorascope.exchange.replies import UNKNOWN, Reply, by_name, json_lines, text_of
from lorascope.study.declarations import PredictionFormat
from lorascope.study.settings import PredictionSettings, Text


def files(answered: Answered) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the name and the lines of the one file of an experiment."""
    yield f"{answered.id}.jsonl", map(line, objects(answered))


def notes(answered: Answered) -> list[str]:
    """Say what the format cannot hold: the clips themselves, and numbers that are none."""
    clips = sum(bool(answer.item.clip) for answer in answered.answers)
    return [f"{clips} answers are about clips, which are named and not copied"] if clips else []


def objects(answered: Answered) -> Iterator[dict[str, Any]]:
    """Yield an object for each answer."""
    settings = settings_values(answered)
    for answer in answered.answers:
        own = answer_values(answer)
        yield {
            "item_id": answer.item.item_id,
            "category": answer.item.category,
            "response": own.pop("response"),
            "item": item_values(answer.item),
            "answer": own,
            "settings": settings,
        }


def settings_values(answered: Answered) -> dict[str, Any]:
    """Return what made the answers, as JSON's values: the experiment's settings and its names."""
    names = {
        "experiment": answered.id,
        "base": answered.base,
        "run": answered.run,
        "digests": answered.digests,
    }
    left_out = ("id", "runs", "strength")
    own = {key: value for key, value in answered.settings.items() if key not in left_out}
    scaling: dict[str, Any] = {"lora_scaling": answered.lora_scaling}
    if answered.profile is not None:
        named = answered.settings.get("lora_scaling")
        named = named if isinstance(named, str) else None
        scaling["lora_profile"] = {"name": named, "scalings": answered.profile}
    if answered.strength is not None:
        scaling["strength"] = answered.strength
    found: dict[str, Any] = plain(names | own | scaling)
    return found


def line(value: object) -> str:
    """Return a value as JSON on one line; line separators of Unicode are escaped, too."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


# --------------------------------------------------------------------------------------- reading


class JsonlPredictions(PredictionSettings):
    """An object a line, as lorascope exports answers, or with other names for its keys."""

    item: Text = Field(
        "item_id",
        description="Key of the item: its ID, or what follows its category in that, such as the "
        "number of its row. A dotted key lies in an object of an object.",
    )
    response: Text = Field("response", description="Key of the response, in mode generate.")
    loglikelihoods: Text = Field(
        "answer.loglikelihoods",
        description="Key of the log-likelihoods, one for each continuation of the item, in modes "
        "choose and loss.",
    )
    verdict: Text | None = Field(
        None,
        description="Key of a verdict made elsewhere: true, false or a credit from 0 to 1. It is "
        "not taken over: the report says how many differ.",
    )


def read(files: Sequence[Path], items: Sequence[Item], own: Mapping[str, Any]) -> list[Reply]:
    """Return the reply on each line; UserError for a line without an item or a reply."""
    names = by_name(items)
    return [
        _reply(record, where, own, names) for file in files for record, where in json_lines(file)
    ]


def _reply(
    record: Mapping[str, Any], where: str, own: Mapping[str, Any], names: Mapping[str, str]
) -> Reply:
    name = _name(record, own["item"], where)
    response, sums = _get(record, own["response"]), _get(record, own["loglikelihoods"])
    if response is None and sums is None:
        raise UserError(
            f"{where}: has neither {own['response']} nor {own['loglikelihoods']}; it has the keys "
            f"{listing(record, 10)}. Name the key of the response in the study (response: ...)"
        )
    said = record.get("answer")
    beside: Mapping[str, Any] = said if isinstance(said, dict) else {}
    return Reply(
        item=names.get(name, name),
        where=where,
        response="" if response is None else text_of(response, where, own["response"]),
        prompt=_of_kind(beside.get("prompt"), str, ""),
        finish_reason=_of_kind(beside.get("finish_reason"), str, UNKNOWN),
        prompt_tokens=_of_kind(beside.get("prompt_tokens"), int, 0),
        response_tokens=_of_kind(beside.get("response_tokens"), int, 0),
        loglikelihoods=None
        if sums is None
        else tuple(_numbers(sums, where, own["loglikelihoods"])),
        continuation_tokens=_all_of_kind(beside.get("continuation_tokens"), int),
        greedy=_all_of_kind(beside.get("greedy"), bool),
        published=_published(record, own["verdict"], where),
    )


def _get(record: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key, or of a dotted one in objects of objects; None where none is."""
    found: Any = record
    for part in [key] if key in record else key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _name(record: Mapping[str, Any], key: str, where: str) -> str:
    name = _get(record, key)
    if isinstance(name, str | int) and not isinstance(name, bool):
        return str(name)
    if name is None:
        raise UserError(
            f"{where}: has no {key}; it has the keys {listing(record, 10)}. Name the key of the "
            "item in the study (item: ...)"
        )
    raise UserError(f"{where}: {key}: {shown(name)} is no name of an item")


def _numbers(value: Any, where: str, key: str) -> Iterator[float]:
    """Yield the numbers in a list, as `plain` writes them."""
    for one in value if isinstance(value, list) else [value]:
        known = one is None or one in ("Infinity", "-Infinity") or type(one) in (int, float)
        try:
            number = float("nan" if one is None else one) if known else None
        except OverflowError:
            number = None
        if number is None:
            raise UserError(
                f"{where}: {key}: {shown(one)} is no number; expected a list of numbers"
            )
        yield number


def _of_kind(value: Any, kind: type, otherwise: Any) -> Any:
    return value if _is(value, kind) else otherwise


def _is(value: Any, kind: type) -> bool:
    """Return whether a value is of a kind; a whole number has to be a count."""
    return type(value) is kind and (not isinstance(value, int) or 0 <= value < 2**31)


def _all_of_kind(values: Any, kind: type) -> tuple[Any, ...] | None:
    fits = isinstance(values, list) and all(_is(value, kind) for value in values)
    return tuple(values) if fits else None


def _published(record: Mapping[str, Any], key: str | None, where: str) -> dict[str, float]:
    value = _get(record, key) if key else None
    if value is None:
        return {}
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return {"": float(value)}
    raise UserError(
        f"{where}: {key}: {shown(value)} is no verdict; expected true, false or a credit"
    )


PREDICTIONS = PredictionFormat(
    settings=JsonlPredictions, read="lorascope.exchange.jsonl:read", files="*.jsonl"
)

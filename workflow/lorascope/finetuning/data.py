"""Training data: pairs of a prompt and its response, or conversations.

A JSONL file has one example a line: {"prompt": ..., "response": ...}, or {"messages": [{"role":
..., "content": ...}, ...]} with at least one turn of the role assistant.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lorascope.errors import UserError
from lorascope.finetuning.sources import as_dataset

ROLES = ("system", "user", "assistant")
_SHAPES = 'give {"prompt": text, "response": text} or {"messages": [{"role", "content"}, ...]}'


@dataclass(frozen=True)
class Pair:
    """A prompt, as a benchmark asks it, and the response to learn; ``where`` it comes from."""

    prompt: str
    response: str
    where: str


@dataclass(frozen=True)
class Conversation:
    """Turns, {"role": ..., "content": ...}, of which the assistant's are to be learnt."""

    messages: tuple[Mapping[str, str], ...]
    where: str


Example = Pair | Conversation


def read_examples(data: Mapping[str, Any], source: Path) -> list[Example]:
    """Return the examples of ``source``, in its order.

    ``data`` is ``train.data`` of an adapter, defaults filled in: a ``limit`` (None: all) keeps the
    first lines of a JSONL file, or a benchmark's own sample. UserError, naming file and line or
    item, for data of another shape, or none.
    """
    examples = (_jsonl if data["format"] == "jsonl" else _squad)(data, source)
    if not examples:
        raise UserError(f"{source}: holds no example to train on (train.data)")
    return examples


def _squad(data: Mapping[str, Any], source: Path) -> list[Example]:
    from lorascope.benchmarks import squad

    items, _ = squad.build_items(source, as_dataset(data), data["limit"])
    return [Pair(item.question, item.answer, f"{source}: {item.item_id}") for item in items]


def _jsonl(data: Mapping[str, Any], source: Path) -> list[Example]:
    return [_example(row, where) for row, where in islice(_rows(source), data["limit"])]


def _rows(source: Path) -> Iterator[tuple[Any, str]]:
    """Yield each line's value and where it is; empty lines are none."""
    try:
        lines = source.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{source}: not a readable JSONL file ({error}) (train.data)") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{source}:{number}"
            try:
                yield json.loads(line), where
            except ValueError as error:
                raise UserError(f"{where}: not JSON ({error}); {_SHAPES}") from error


def _example(row: Any, where: str) -> Example:
    if isinstance(row, dict):
        if _is_texts(row, "prompt", "response"):
            return Pair(row["prompt"], row["response"], where)
        if isinstance(row.get("messages"), list) and row["messages"]:
            return _conversation(row["messages"], where)
    raise UserError(f"{where}: no example; {_SHAPES}")


def _conversation(messages: list[Any], where: str) -> Conversation:
    for number, turn in enumerate(messages, 1):
        if not _is_texts(turn, "role", "content") or turn["role"] not in ROLES:
            raise UserError(
                f"{where}: message {number} lacks a role ({', '.join(ROLES)}) or a content"
            )
    if all(turn["role"] != "assistant" for turn in messages):
        raise UserError(f"{where}: no turn of the assistant, so nothing to learn; add one")
    turns = tuple({"role": turn["role"], "content": turn["content"]} for turn in messages)
    return Conversation(turns, where)


def _is_texts(row: Any, *keys: str) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys)

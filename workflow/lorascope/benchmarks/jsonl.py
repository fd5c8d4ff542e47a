"""JSONL training data: a file with one example a line.

An example is {"prompt": ..., "response": ...}, or {"messages": [{"role": ..., "content": ...},
...]} with at least one turn of the role assistant.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from lorascope.benchmarks.examples import Conversation, Example, Pair, not_empty
from lorascope.errors import UserError
from lorascope.storage.files import parse_json, read_text
from lorascope.study.declarations import DataFormat
from lorascope.study.settings import DataSettings, FilePath

ROLES = ("system", "user", "assistant")
_SHAPES = 'give {"prompt": text, "response": text} or {"messages": [{"role", "content"}, ...]}'


class JsonlData(DataSettings):
    """A file of JSON lines, {"prompt", "response"} or {"messages": [{"role", "content"}, ...]}."""

    source: FilePath = Field(description="The file.")


def read(data: Mapping[str, Any], source: Path) -> list[Example]:
    """Return the examples of the file ``source`` in its order, the first ``data["limit"]`` of them.

    UserError, naming file and line, for data of another shape, or none.
    """
    rows = islice(_rows(source), data["limit"])
    return not_empty([_example(row, where) for row, where in rows], source)


def source_files(source: Path, data: Mapping[str, Any]) -> list[Path]:
    """Return the file that decides the examples, in a list."""
    return [source]


def _rows(source: Path) -> Iterator[tuple[Any, str]]:
    """Yield each line's value and where it is; empty lines are none."""
    try:
        lines = read_text(source).split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{source}: not a readable JSONL file ({error}) (train.data)") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{source}:{number}"
            try:
                yield parse_json(line), where
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


FORMAT = DataFormat(
    settings=JsonlData,
    gives="text",
    read="lorascope.benchmarks.jsonl:read",
    source_files="lorascope.benchmarks.jsonl:source_files",
)

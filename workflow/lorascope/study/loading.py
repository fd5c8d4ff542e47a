"""Reading a study file: one that would take forever, or crash a parser, ends in a message.

Snakemake loads the file of ``--configfile`` before any of the workflow's code runs, and knows
neither a bound nor a readable error there. So profiles/default runs this module first, alone: it
imports nothing of the package.
"""

import json
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

HARMLESS = "reads what is validated later"

MOST_BYTES = 2_000_000
MOST_DEPTH = 40
MOST_VALUES = 500_000
"""Of a study file, every use of an anchor counted: far beyond any study that could be run."""


class UnreadableError(ValueError):
    """A study file that cannot be read; the message says why, without the file's name."""


def load(file: Path) -> Any:
    """Return what a study file (YAML, or JSON) holds.

    UnreadableError where it cannot be read, has a key twice, or would stand for more than
    ``MOST_VALUES`` values.
    """
    text = _text(file)
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnreadableError):
            raise
        found = _from_yaml(text)
    check_values(found)
    return found


def check_values(value: Any) -> None:
    """Raise UnreadableError for values nested too deeply or in themselves, too many, or no text."""
    waiting, count = [(value, 0)], 0
    while waiting:
        inner, depth = waiting.pop()
        if isinstance(inner, str):
            _check_text(inner)
        elif isinstance(inner, dict | list | tuple):
            parts = [*inner, *inner.values()] if isinstance(inner, dict) else inner
            count += len(parts)
            _refuse_too_much(depth, count)
            waiting += [(part, depth + 1) for part in parts]


def _refuse_too_much(depth: int, count: int = 0) -> None:
    if depth > MOST_DEPTH:
        raise UnreadableError(f"holds values more than {MOST_DEPTH} deep, or an anchor in itself")
    if count > MOST_VALUES:
        raise UnreadableError(f"stands for more than {MOST_VALUES:,} values; is it a study?")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnreadableError(
            f"{text[:50]!a} holds half of a character (a surrogate without the other); correct it"
        ) from None


def _text(file: Path) -> str:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("no file that can be read twice; name a study file")
        if status.st_size > MOST_BYTES:
            raise UnreadableError(
                f"{status.st_size:,} bytes are more than the {MOST_BYTES:,} of any study"
            )
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UnreadableError("not found; name a study file") from None
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not readable as YAML ({error})") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; UnreadableError where a key comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UnreadableError(f"{twice} comes twice; remove one")
    return found


# ------------------------------------------------------------------------------------ YAML


def _from_yaml(text: str) -> Any:
    try:
        # libyaml's composer is recursive, and its stack ends in a crash.
        _check_events(yaml.parse(text, yaml.CSafeLoader))
        root = yaml.compose(text, yaml.CSafeLoader)
        if root is not None:
            _check_nodes(root)
        return yaml.load(text, yaml.CSafeLoader)
    except UnreadableError:
        raise
    # PyYAML raises KeyError, IndexError and others for a tag that does not go with its value.
    except Exception as error:
        words = " ".join(str(error).split())
        kind = "" if isinstance(error, yaml.YAMLError) else f"{type(error).__name__}: "
        raise UnreadableError(f"not readable as YAML ({kind}{words})") from None


def _check_events(events: Iterable[yaml.Event]) -> None:
    depth = 0
    for count, event in enumerate(events):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        _refuse_too_much(depth, count)


def _check_nodes(root: yaml.Node) -> None:
    """Refuse a key that a mapping has twice (YAML would keep the last), and what is too much.

    Anchors are followed at every use, as all that reads the study will do.
    """
    waiting, count = [(root, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, yaml.CollectionNode):
            parts = node.value
            if isinstance(node, yaml.MappingNode):
                _refuse_repeated(node)
                parts = [inner for pair in node.value for inner in pair]
            count += len(parts)
            _refuse_too_much(depth, count)
            waiting += [(inner, depth + 1) for inner in parts]


def _refuse_repeated(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UnreadableError(f"line {line}: {key.value} comes twice; remove one")
            seen.add(key.value)


# --------------------------------------------------------------------------- the command line


def refuse_unreadable(arguments: Sequence[str]) -> None:
    """End the process in one line if a study that snakemake's command line names is unreadable.

    Without one it is the file config.yaml, where there is one.
    """
    files = _named(arguments) or [file for file in [Path("config.yaml")] if file.exists()]
    for file in files:
        try:
            if not isinstance(load(file), dict):
                raise UnreadableError("holds no study; see config.yaml for one")
        except UnreadableError as error:
            sys.exit(f"{file}: {error}")


def _named(arguments: Sequence[str]) -> list[Path]:
    """Return the files that snakemake takes for studies, by the way it reads its options."""
    found: list[Path] = []
    is_study = False
    for argument in arguments:
        if argument.startswith("-"):
            option, _, value = argument.partition("=")
            is_study = option.startswith("--configf") and not value
            found += [Path(value)] if option.startswith("--configf") and value else []
        elif is_study:
            found.append(Path(argument))
    return found

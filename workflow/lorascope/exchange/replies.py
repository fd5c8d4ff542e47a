"""Replies that were made elsewhere, and how they find their items: each item has exactly one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, shown
from lorascope.storage.files import parse_json, read_text

UNKNOWN = "unknown"
"""Finish reason of a response of which nobody says how it ended."""
UNANSWERED = "unanswered"
"""Finish reason of an item to which there is no answer."""
_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What was answered elsewhere to one item; what a file does not say has its default.

    item: its item_id, or what a format calls it where it is none of the dataset's; where: file and
        line or key, for messages.
    response: the text, "" where likelihoods were read.
    loglikelihoods, continuation_tokens, greedy: as `lorascope.benchmarks.likelihoods.Likelihoods`
        has them, in the order of the item's continuations; tokens of which nothing is said are 0.
    prompt: what was asked, as far as the file says; "" where it does not.
    published: metric -> the credit it was given there; a single one may have the name "".
    """

    item: str
    where: str
    response: str = ""
    prompt: str = ""
    finish_reason: str = UNKNOWN
    prompt_tokens: int = 0
    response_tokens: int = 0
    loglikelihoods: tuple[float, ...] | None = None
    continuation_tokens: tuple[int, ...] | None = None
    greedy: tuple[bool, ...] | None = None
    published: Mapping[str, float] = field(default_factory=dict)


def matched(
    replies: Iterable[Reply], items: Sequence[Item], missing_ok: bool, others_ok: bool
) -> tuple[dict[str, Reply], list[str]]:
    """Return item_id -> the one answer to it, and notes on what was left open or left out.

    UserError, with numbers and examples, for items with several answers and, unless allowed, for
    items without one and for answers to other items.
    """
    found: dict[str, list[Reply]] = {}
    for reply in replies:
        found.setdefault(reply.item, []).append(reply)
    known = [item.item_id for item in items]
    double = [
        f"{name} ({' and '.join(one.where for one in found[name][:2])})"
        for name in known
        if len(found.get(name, ())) > 1
    ]
    missing = [name for name in known if name not in found]
    lost = found.keys() - {*known}
    others = [f"{one.item} ({one.where})" for name in found if name in lost for one in found[name]]
    if len(missing) == len(known) and others:
        raise UserError(
            f"none of the {len(others):,} answers is to an item of the dataset: they are to "
            f"{_examples(others)}, its items are {_examples(known)}. Name the dataset that was "
            "asked"
        )
    problems = [f"{len(double):,} have several ({_examples(double)})"] if double else []
    notes = []
    for names, is_fine, what, key, becomes in (
        (missing, missing_ok, "have none", "missing: unanswered", "taken for unanswered"),
        (others, others_ok, "are of other items", "others: leave_out", "left out"),
    ):
        said = f"{len(names):,} {what} ({_examples(names)})"
        if names and is_fine:
            notes.append(f"{said}: {becomes}")
        elif names:
            problems.append(f"{said}; {key} allows that")
    if problems:
        raise UserError(
            f"each of the {len(known):,} items of the dataset has to have exactly one answer; "
            + ". ".join(problems)
        )
    return {name: found[name][0] for name in known if name in found}, notes


def _examples(names: Iterable[str]) -> str:
    """Return the first few of some names, and that there are more."""
    listed = list(names)
    more = ", ..." if len(listed) > _EXAMPLES else ""
    return ", ".join(listed[:_EXAMPLES]) + more


def by_name(items: Sequence[Item]) -> dict[str, str]:
    """Return what may stand for an item -> its item_id: that, or what follows its category.

    The latter only where it tells one item from all others.
    """
    short: dict[str, list[str]] = {}
    for item in items:
        short.setdefault(item.item_id.partition("/")[2], []).append(item.item_id)
    unique = {name: ids[0] for name, ids in short.items() if name and len(ids) == 1}
    return unique | {item.item_id: item.item_id for item in items}


# ------------------------------------------------------------------------------ reading of files


def read_json(file: Path) -> Any:
    """Return the value in a JSON file; UserError for none."""
    try:
        return parse_json(_text(file))
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error})") from None


def json_lines(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the record on each line of a file, and where it is; UserError for another line."""
    # Not splitlines: a text may hold a line separator of Unicode.
    for number, line in enumerate(_text(file).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            record = parse_json(line)
        except ValueError as error:
            raise UserError(f"{where}: not JSON ({error}); a record a line is expected") from None
        if not isinstance(record, dict):
            raise UserError(f"{where}: {shown(record)} is no record; expected keys with values")
        yield record, where


def _text(file: Path) -> str:
    try:
        return read_text(file).removeprefix("\N{BYTE ORDER MARK}")
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable file of text ({error})") from None


def text_of(value: Any, where: str, key: str) -> str:
    """Return a value that has to be a text; UserError for another one."""
    if isinstance(value, str):
        return value
    raise UserError(f"{where}: {key}: {shown(value)} is no text")

"""The formats in which answers leave a study: a line for each, from its name to its module."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lorascope.exchange import every_eval_ever, jsonl, sakura
from lorascope.exchange.answers import Answered

HARMLESS = "writes what was decided elsewhere"


@dataclass(frozen=True)
class Format:
    """A format: its files (name -> lines) of an experiment, and what it cannot hold.

    ``files`` raises UserError for answers that it cannot hold at all.
    """

    files: Callable[[Answered], Iterable[tuple[str, Iterable[str]]]]
    notes: Callable[[Answered], Sequence[str]]


FORMATS: Mapping[str, Format] = {
    "jsonl": Format(jsonl.files, jsonl.notes),
    "sakura": Format(sakura.files, sakura.notes),
    "every_eval_ever": Format(every_eval_ever.files, every_eval_ever.notes),
}

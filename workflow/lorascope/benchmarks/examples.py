"""Training examples: a prompt and its response, or a conversation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError


@dataclass(frozen=True)
class Pair:
    """A prompt, as a benchmark asks it, and the response to learn; ``where`` it comes from.

    ``clip``, relative to the data's root, is what the prompt is about for audio ("" for text), and
    ``clip_sha256`` the hash of its file.
    """

    prompt: str
    response: str
    where: str
    clip: str = ""
    clip_sha256: str = ""


@dataclass(frozen=True)
class Conversation:
    """Turns, {"role": ..., "content": ...}, of which the assistant's are to be learnt."""

    messages: tuple[Mapping[str, str], ...]
    where: str


Example = Pair | Conversation


def pairs(items: Iterable[Item], source: Path) -> list[Example]:
    """Return a benchmark's items, read from ``source``, as examples with their gold answers."""
    return [
        Pair(
            prompt=item.question,
            response=item.answer,
            where=f"{source}: {item.item_id}",
            clip=item.clip,
            clip_sha256=item.clip_sha256,
        )
        for item in items
    ]


def not_empty(examples: list[Example], source: Path) -> list[Example]:
    """Return the examples; UserError if there is none."""
    if not examples:
        raise UserError(f"{source}: holds no example to train on (train.data)")
    return examples

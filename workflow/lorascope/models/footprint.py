"""How much of a lane fits into the memory that its device has left."""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lorascope.models.protocol import Room
from lorascope.running.free import free_bytes

if TYPE_CHECKING:
    from transformers.configuration_utils import PreTrainedConfig

HARMLESS = "says how much is computed at once where that changes no answer"

log = logging.getLogger("lorascope")

FOR_POSITIONS, FOR_ROWS = 0.6, 0.2
"""Shares of what is free; the rest stays for what comes and goes, and for fragments."""
FLOAT32 = 4


@dataclass(frozen=True)
class Footprint:
    """Bytes that a model takes in float32 for a position of a row, and for a row beside them."""

    position: int
    row: int

    def times(self, beams: int) -> "Footprint":
        """Return what rows take of which so many beams are followed."""
        return Footprint(self.position * beams, self.row * beams)


def footprint(config: "PreTrainedConfig", all_logits: bool = False) -> Footprint | None:
    """Return what a language model takes, by its configuration; None where that does not tell.

    A position keeps its keys and values in every layer; what a layer makes of it while it is read
    is there once. Logits are those of a row's last position, or of all (``all_logits``), and stand
    three times: as they come, and before and after the softmax.
    """
    text: Any = config.get_text_config(decoder=True)
    try:
        heads = text.num_attention_heads
        width = getattr(text, "head_dim", None) or text.hidden_size // heads
        groups = getattr(text, "num_key_value_heads", None) or heads
        inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
        kept = 2 * text.num_hidden_layers * groups * width
        passing = 6 * text.hidden_size + 3 * inner + 2 * heads * width
        logits = 3 * text.vocab_size
        position = kept + passing + (logits if all_logits else 0)
        return Footprint(int(FLOAT32 * position), int(FLOAT32 * logits))
    except (AttributeError, TypeError, ZeroDivisionError):
        return None


def fitted(room: Room, taken: Footprint | None, device: str, dtype: str, held: int = 0) -> Room:
    """Return ``room``, or as much of it as fits on the device.

    ``held`` bytes of it are taken already, and free for these rows. In half precision the room is
    the settings' alone, as it decides how numbers are rounded.
    """
    if taken is None or dtype != "float32":
        return room
    free = free_bytes(device) + held
    tokens = max(1, int(FOR_POSITIONS * free / taken.position))
    rows = max(1, int(FOR_ROWS * free / taken.row))
    smaller = replace(
        room,
        tokens=tokens if room.tokens is None else min(room.tokens, tokens),
        rows=rows if room.rows is None else min(room.rows, rows),
    )
    log.debug("%s is free on %s: %s", f"{free / 2**30:.2f} GiB", device, smaller)
    return smaller

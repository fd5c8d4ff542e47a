"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """``runs`` of each side; ``base`` is an older revision to compare whole studies with."""

    runs: int = 3
    base: str | None = None

"""The order of names, as of experiments and categories: numbers in them count by their value."""

import re

_NUMBER = re.compile(r"((?:(?<![A-Za-z0-9])-)?[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?)")


def natural(name: str) -> tuple[list[str | float], str]:
    """Return what to sort a name by: SF--1 before SF-0.5, that before SF-2, that before SF-10.

    A "-" is a sign where no letter or digit stands before it, as in the ID that the template
    SF-{lora_scaling} gives; 1e-05 is how a small scaling is written there. Names that differ in
    nothing else, as 2 and 2.0, are in the order of their characters.
    """
    parts = _NUMBER.split(name)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)], name

"""What a command line of Snakemake names of a study."""

from collections.abc import Iterable, Sequence
from pathlib import Path

HARMLESS = "looks, and changes nothing"

LISTING = ("--li", "--lt")
"""How options begin that look at all rules: --list-rules, --list-target-rules and --lint."""


def named(identifiers: Iterable[str], arguments: Sequence[str]) -> list[str]:
    """Return the experiments that a command line may name as rules.

    arguments: the program and its arguments. An ID that stands anywhere in an argument may be meant
    (``--until=A,B``). All are, where rules are listed, and where another program than snakemake
    was called, which may name any.
    """
    program, words = Path(arguments[0]), arguments[1:]
    is_snakemake = "snakemake" in (program.stem, program.parent.name)
    if not is_snakemake or any(map(_lists_rules, words)):
        return [*identifiers]
    return [name for name in identifiers if any(name in word for word in words)]


def _lists_rules(word: str) -> bool:
    """Return whether an argument is such an option, or may be short ones with -l among them."""
    is_short = word.startswith("-") and not word.startswith("--")
    return word.startswith(LISTING) or (is_short and "l" in word)

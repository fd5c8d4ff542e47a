"""The one exception whose text is meant for the user, and how it names many things."""

from collections.abc import Iterable, Sequence

HARMLESS = "messages"


class UserError(Exception):
    """Something the user can fix.

    The message names the file, the key or item in it, and the remedy. Stages and the Snakefile
    print it alone, without a traceback, and exit with a code other than 0.
    """


def listing(names: Iterable[str], most: int = 5) -> str:
    """Return the first ``most`` names in order, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def raise_problems(problems: Sequence[UserError]) -> None:
    """Raise the first of the problems, if any, with the number of the others."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise UserError(f"{problems[0]} (and {len(problems) - 1} more problems of this data set)")

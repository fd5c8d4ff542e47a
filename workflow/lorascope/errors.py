"""The one exception whose text is meant for the user, and how it names many things."""

from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend.

    The message names the file, the key or item in it, and the remedy. Stages and the Snakefile
    print it alone, without a traceback, and exit with a code other than 0.
    """


def listing(names: Iterable[str], most: int = 5) -> str:
    """Return the first ``most`` names in order, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more

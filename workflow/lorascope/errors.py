"""The one exception whose text is meant for the user, and how it names many things."""

import difflib
from collections.abc import Iterable, Sequence

HARMLESS = "messages"


LONGEST = 1500  # characters of a message; of a longer one, the middle is left out


class UserError(Exception):
    """Something the user can fix.

    The message names the file, the key or item in it, and the remedy. Stages and the Snakefile
    print it alone, without a traceback, and exit with a code other than 0. Whatever stands in the
    user's files and in what libraries say of them, it is one line that can be printed.
    """

    def __init__(self, message: object) -> None:
        line = " ".join(part for part in map(str.strip, str(message).splitlines()) if part)
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        half = LONGEST // 2
        super().__init__(text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}")


def unreadable(error: OSError, where: object) -> UserError:
    """Return what the operating system says against looking at a file, as a message."""
    path = error.filename if isinstance(error.filename, str) else "a file"
    return UserError(
        f"{where}: {path}: {error.strerror or error}; a plan has to read it. Correct the path, or "
        "the permissions of the file and its folders"
    )


def shown(value: object, most: int = 100) -> str:
    """Return a value of the user's as Python writes it, on one line, its middle left out if long.

    >>> shown("x" * 500, most=12)
    "'xxxxx...xxxxx'"
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def listing(names: Iterable[str], most: int = 5) -> str:
    """Return the first ``most`` names in order, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def unknown(what: str, name: str, known: Iterable[str], most: int = 12) -> str:
    """Say that a name is unknown, with those that may be meant, or the first ``most`` of all.

    >>> unknown("no metric", "fi", ["f1", "em"])
    "no metric 'fi'; did you mean f1?"
    """
    known = list(known)
    close = difflib.get_close_matches(name[:100], known, n=3)
    close = close or [one for one in known if name.strip() and name.lower() in one.lower()][:3]
    if close:
        return f"{what} {shown(name)}; did you mean {' or '.join(close)}?"
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return f"{what} {shown(name)}; there are {', '.join(known[:most])}{more}"


def raise_problems(problems: Sequence[UserError]) -> None:
    """Raise the first of the problems, if any, with the number of the others."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise UserError(f"{problems[0]} (and {len(problems) - 1} more problems of this data set)")

"""Which differences from the baseline are marked in tables, and what the mark says."""

from collections.abc import Iterable

import pandas as pd

LEVEL = 0.05
MARK = "*"
_TEST = (
    f"holm_p below {LEVEL:g}: the p-value of the test in comparison.csv, adjusted for all "
    "comparisons of the study"
)

Marks = frozenset[tuple[str, str]]
"""Experiment and category of each row that is marked."""


def marks_of(comparisons: pd.DataFrame) -> Marks | None:
    """Return the rows of comparison.csv that differ from their baselines; None if none is tested.

    They do where ``holm_p`` is below LEVEL.
    """
    if "holm_p" not in comparisons or comparisons["holm_p"].isna().all():
        return None
    found = comparisons[comparisons["holm_p"] < LEVEL]
    return frozenset(zip(found["experiment"], found["category"], strict=True))


def is_marked(marks: Marks | None, experiments: Iterable[str], category: str) -> bool:
    """Return whether each of some runs differs, of which there is one at least.

    All of their p-values being below a level is a test of that level by itself (Berger 1982,
    Technometrics 24(4), intersection-union): a mean is marked where each of its runs is.
    """
    named = [(experiment, category) for experiment in experiments]
    return bool(named) and marks is not None and all(one in marks for one in named)


def legend(marks: Marks | None, several: bool, mark: str = f"`{MARK}`") -> str:
    """Return what the mark says, "" where nothing is tested. several: whether there are means."""
    if marks is None:
        return ""
    if not marks:
        return f"No difference from a baseline has a {_TEST}."
    means = "; a mean is marked where each of its runs that the table shows is" if several else ""
    return f"{mark} marks a difference from the baseline with a {_TEST}{means}."

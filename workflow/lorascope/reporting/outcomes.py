"""What became of the replies: the shares that were no answer at all stand beside the accuracies.

A wrong answer and no answer both count as incorrect. Where a scaling makes a model fall silent,
ramble past the limit of tokens or overflow, its accuracy says little about what it knows.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pandas as pd

from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.measures import rounded
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import markdown
from lorascope.scoring.item_score import UNJUDGED, Measure

VERDICTS = {
    "correct": "got full credit",
    "partial": "got part of it",
    "wrong": "gave an answer without credit",
    "none": "chose nothing",
    "several": "chose several options",
    "nonfinite": "had no reply, because the model's numbers overflowed",
    "unjudged": "could not be judged",
}
"""The parts that all replies fall into -> what it says of a reply."""
MEASURED = "measured"
_MEASURED = "has a value of a measure without right and wrong, or without an upper bound"
CUT = "cut"
OUTCOME_COLUMNS = ("experiment", "base", "run_num", "category", "total", *VERDICTS, CUT)
APART = 10.0
"""Percentage points between two compared rows from which a difference of shares is warned of."""

_WARNED = {
    "none": "chose nothing",
    "several": "chose several options",
    CUT: "were cut at max_new_tokens",
}
_REASONS, _CATEGORIES = 3, 8  # that a warning names
LIKELIHOOD = "likelihood"
"""Finish reason of what is read from likelihoods."""
_STATUSES = {"none": "none", "multiple": "several", "nonfinite": "nonfinite"}
_COUNTED = "They count as incorrect, which says nothing about what the adapter knows."
_NO_VALUE = (
    "As an accuracy they count as incorrect, as an error rate like an empty reply; a mean of "
    "likelihoods has no value with them, so its cells are empty."
)


def outcome_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """Return how many replies of each run and category ended how (OUTCOME_COLUMNS).

    The columns of VERDICTS add up to total, with one more, ``measured``, where some replies have a
    value of a measure without bounds and are not perfect; ``cut``, the replies that were cut at
    max_new_tokens, overlaps them. A run with several categories of one measure, none of which
    share items, has a row for all its items too. The rows are all given runs, whether the table of
    accuracies shows them or not.
    """
    rows = [row for run in scored for row in _rows(run)]
    parts = [*VERDICTS, *([MEASURED] if any(row[MEASURED] for row in rows) else [])]
    return pd.DataFrame(rows, columns=[*OUTCOME_COLUMNS[:5], *parts, CUT])


def outcome_section(table: pd.DataFrame) -> str:
    """Return the shares in percent: a row for each run, and folded one for each category."""
    whole = [
        group[group["category"] == ALL_ITEMS] if ALL_ITEMS in group["category"].to_list() else group
        for _, group in table.groupby("experiment", sort=False)
    ]
    words = VERDICTS | ({MEASURED: _MEASURED} if MEASURED in table else {})
    meaning = ", ".join(f"*{name}* {said}" for name, said in words.items())
    parts = [
        "## What the replies were",
        f"Shares of all replies in percent: {meaning}. *{CUT}* are those that were cut at "
        "max_new_tokens, whatever their verdict. Counts are in outcomes.csv.",
        markdown(_shares(pd.concat(whole))),
    ]
    if sum(map(len, whole)) < len(table):
        each = markdown(_shares(table[table["category"] != ALL_ITEMS]))
        parts += ["<details><summary>by category</summary>", each, "</details>"]
    return "\n\n".join(parts)


def outcome_warnings(scored: Sequence[Scored]) -> Iterator[str]:
    """Yield what a reader has to know before comparing accuracies.

    Replies without a finite number or a verdict, wherever there are any; and shares of replies
    that chose nothing or several options, or were cut, which differ by APART percentage points or
    more between runs with the same categories.
    """
    for run in scored:
        yield from _lost(run)
    by_categories = sorted(scored, key=lambda run: [*run.rows])
    for _, group in groupby(by_categories, key=lambda run: [*run.rows]):
        yield from _differing([*group])


def _rows(run: Scored) -> Iterator[dict[str, object]]:
    verdicts, cut = _verdicts(run), _is_cut(run.scores)
    own = {"experiment": run.experiment, "base": run.base, "run_num": run.run_num}
    places = dict(run.rows)
    if len(places) > 1 and run.counts_items_once and len(set(map(run.measure, places))) == 1:
        places[ALL_ITEMS] = np.arange(len(run.scores))
    for category, rows in places.items():
        counts = verdicts.iloc[rows].value_counts()
        parts = {name: int(counts.get(name, 0)) for name in (*VERDICTS, MEASURED)}
        total = {"category": category, "total": len(rows)}
        yield own | total | parts | {CUT: int(cut.iloc[rows].sum())}


def _verdicts(run: Scored) -> pd.Series:
    """Return [rows] the part of VERDICTS, or MEASURED, that each row falls into."""
    scores = run.scores
    measures = {category: run.measure(category) for category in run.rows}
    columns = (scores["credit"], run.weights, scores["status"], scores["finish_reason"])
    found = [
        _verdict(measures[category], *row)
        for category, *row in zip(scores["category"], *columns, strict=True)
    ]
    return pd.Series(found, index=scores.index, dtype=object)


def _verdict(
    measure: Measure, credit: float | None, weight: float, status: str, finish: str
) -> str:
    if credit is None or math.isnan(credit):
        return "nonfinite" if status == "nonfinite" else "unjudged"
    # Credit says more than silence: what the scorer gave credit for was an answer.
    nothing = credit == (0 if measure.higher_is_better else weight)
    if nothing and status == "nonfinite":
        return status
    if measure.is_full(credit, weight):
        return "correct"
    # What is read from likelihoods is no reply, and cannot be silent.
    if nothing and finish != LIKELIHOOD and status in _STATUSES:
        return _STATUSES[status]
    if not measure.bounded:
        return MEASURED
    return "wrong" if nothing else "partial"


def _is_cut(scores: pd.DataFrame) -> pd.Series:
    return scores["finish_reason"] == "length"


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of the table in percent of their totals."""
    shares = table[["experiment", "category", "total"]].copy()
    for name in (column for column in (*VERDICTS, MEASURED, CUT) if column in table):
        shares[name] = (100 * table[name] / table["total"]).round(1)
    return shares


def _lost(run: Scored) -> Iterator[str]:
    """Yield what became of a run's replies that nobody could judge."""
    counts, total = _of_items(run)
    valued = all(measure.is_share for measure in run.measures.values())
    if nonfinite := counts.get("nonfinite", 0):
        yield (
            f"{run.experiment}: {nonfinite} of {total} replies are no answers: the model's numbers "
            f"overflowed (nonfinite). {_COUNTED if valued else _NO_VALUE} Set dtype of the model "
            "to one of a larger range (bfloat16 or float32 instead of float16), or lower "
            "lora_scaling; a clip whose features are no numbers is named below."
        )
    if unjudged := counts.get(UNJUDGED, 0):
        said = f"{run.experiment}: {unjudged} of {total} replies could not be judged{_why(run)}."
        yield f"{said} {_bounds(run) if valued else _NO_VALUE}"


def _why(run: Scored) -> str:
    """Return the reasons of what is unjudged, the most frequent first."""
    if "reason" not in run.scores:
        return ""
    first = ~run.scores["item_id"].duplicated().to_numpy()
    reasons = Counter(run.scores["reason"][first & ~run.judged])
    return f" ({'; '.join(f'{count} x {why}' for why, count in reasons.most_common(_REASONS))})"


def _bounds(run: Scored) -> str:
    """Say what a run's values could be if what is unjudged were all wrong, or all right."""
    ranges = {
        category: f"{rounded(found.if_wrong, 2):g} to {rounded(found.if_right, 2):g} %"
        for category, found in run.measured.items()
        if found.unjudged
    }
    said = ", ".join(f"{category} {ends}" for category, ends in [*ranges.items()][:_CATEGORIES])
    more = f" and {len(ranges) - _CATEGORIES} more" if len(ranges) > _CATEGORIES else ""
    return (
        "Its values are of the judged ones, and its comparisons of items judged in both. If the "
        f"others were all wrong, or all right, they would be: {said}{more}."
    )


def _differing(runs: Sequence[Scored]) -> Iterator[str]:
    """Yield a sentence for each share that differs much between runs with the same categories."""
    found = {run.experiment: _of_items(run) for run in runs}
    for name, words in _WARNED.items():
        shares = {one: 100 * counts.get(name, 0) / total for one, (counts, total) in found.items()}
        least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        if shares[most] - shares[least] >= APART:
            yield (
                f"Of the replies of {most}, {shares[most]:.1f} % {words}; of {least}, "
                f"{shares[least]:.1f} %. Their accuracies differ by that too: see what the replies "
                "were."
            )


def _of_items(run: Scored) -> tuple[Counter[str], int]:
    """Return how many replies of a run ended how, and their number; each counts once."""
    first = ~run.scores["item_id"].duplicated()
    counts = Counter(_verdicts(run)[first])
    counts[CUT] = int(_is_cut(run.scores[first]).sum())
    return counts, int(first.sum())

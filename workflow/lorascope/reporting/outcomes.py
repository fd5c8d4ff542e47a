"""What became of the replies: the shares that were no answer at all stand beside the accuracies.

A wrong answer and no answer both count as incorrect. Where a scaling makes a model fall silent,
ramble past the limit of tokens or overflow, its accuracy says little about what it knows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import pandas as pd

from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import markdown

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
CUT = "cut"
OUTCOME_COLUMNS = ("experiment", "base", "run_num", "category", "total", *VERDICTS, CUT)
APART = 10.0
"""Percentage points between two compared rows from which a difference of shares is warned of."""

_WARNED = {
    "none": "chose nothing",
    "several": "chose several options",
    CUT: "were cut at max_new_tokens",
}
_STATUSES = {"none": "none", "multiple": "several", "nonfinite": "nonfinite"}


def outcome_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """Return how many replies of each run and category ended how (OUTCOME_COLUMNS).

    The columns of VERDICTS add up to total; ``cut``, the replies that were cut at max_new_tokens,
    overlaps them. A run with several categories, none of which share items, has a row for all its
    items too. The rows are all given runs, whether the table of accuracies shows them or not.
    """
    rows = [row for run in scored for row in _rows(run)]
    return pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))


def outcome_section(table: pd.DataFrame) -> str:
    """Return the shares in percent: a row for each run, and folded one for each category."""
    whole = [
        group[group["category"] == ALL_ITEMS] if ALL_ITEMS in group["category"].to_list() else group
        for _, group in table.groupby("experiment", sort=False)
    ]
    meaning = ", ".join(f"*{name}* {words}" for name, words in VERDICTS.items())
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
    verdicts, cut = _verdicts(run.scores), _is_cut(run.scores)
    own = {"experiment": run.experiment, "base": run.base, "run_num": run.run_num}
    places = dict(run.rows)
    if len(places) > 1 and run.counts_items_once:
        places[ALL_ITEMS] = np.arange(len(run.scores))
    for category, rows in places.items():
        counts = verdicts.iloc[rows].value_counts()
        parts = {name: int(counts.get(name, 0)) for name in VERDICTS}
        total = {"category": category, "total": len(rows)}
        yield own | total | parts | {CUT: int(cut.iloc[rows].sum())}


def _verdicts(scores: pd.DataFrame) -> pd.Series:
    """Return [rows] the part of VERDICTS that each row falls into."""
    credit = scores["credit"]
    by_credit = pd.Series("partial", index=scores.index)
    by_credit[credit == 0] = "wrong"
    by_credit[credit == 1] = "correct"
    by_credit[credit.isna()] = "unjudged"
    # Credit says more than silence: what the scorer gave credit for was an answer.
    silent = scores["status"].map(_STATUSES).where(credit == 0)
    return silent.fillna(by_credit)


def _is_cut(scores: pd.DataFrame) -> pd.Series:
    return scores["finish_reason"] == "length"


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of the table in percent of their totals."""
    shares = table[["experiment", "category", "total"]].copy()
    for name in (*VERDICTS, CUT):
        shares[name] = (100 * table[name] / table["total"]).round(1)
    return shares


def _lost(run: Scored) -> Iterator[str]:
    """Yield what became of a run's replies that nobody could judge."""
    counts, total = _of_items(run)
    if nonfinite := counts.get("nonfinite", 0):
        yield (
            f"{run.experiment}: {nonfinite} of {total} replies are no answers: the model's numbers "
            "overflowed (nonfinite). They count as incorrect, which says nothing about what the "
            "adapter knows. Set dtype of the model to one of a larger range (bfloat16 or float32 "
            "instead of float16), or lower lora_scaling; a clip whose features are no numbers is "
            "named below."
        )
    if unjudged := counts.get("unjudged", 0):
        yield f"{run.experiment}: {unjudged} of {total} replies could not be judged."


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
    counts = Counter(_verdicts(run.scores[first]))
    counts[CUT] = int(_is_cut(run.scores[first]).sum())
    return counts, int(first.sum())

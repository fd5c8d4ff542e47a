"""How far rules and judges, or two judges, agree on the same responses.

Cohen's kappa (Cohen 1960, doi:10.1177/001316446002000104) is the part of the agreement beyond what
two that know nothing of each other would have by chance, by how often each says what: 1 is
agreement in all, 0 none beyond chance. Its interval is the asymptotic one of Fleiss, Cohen &
Everitt (1969, doi:10.1037/h0028106), as statsmodels computes it: rough for few items.
"""

# Few studies are judged twice, and statsmodels takes as long to import as all else of a report.
# ruff: noqa: PLC0415

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import markdown

AGREEMENT_COLUMNS = (
    "experiment",
    "category",
    "first",
    "second",
    "items",
    "agreed",
    "agreement",
    "kappa",
    "kappa_low",
    "kappa_high",
)
RULES = "rules"
VERDICTS = ("correct", "incorrect", "better", "tie", "worse")
_DECIMALS = 4
_MEANING = (
    "Of the responses on which both have a verdict: how many there are, on how many the two say "
    "the same, that share in percent, and Cohen's kappa with its interval of 95 % (empty where "
    "both say one and the same of all, which chance would do, too). The other columns count what "
    "the first said and the second. Rules and a judge are compared on items that the rules "
    "decided, as many as the study asked for. Rows are in agreement.csv, too."
)


def agreement_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """Return how far the raters of each run agree (AGREEMENT_COLUMNS), by category and in all.

    Beside these columns there is one for each pair of verdicts that occurs in the study, such as
    ``correct_incorrect``: what the first said, and the second. Only runs with columns of verdicts
    are in it.
    """
    rows = [row for run in scored for row in _rows(run)]
    counted = {name for row in rows for name in row if name not in AGREEMENT_COLUMNS}
    pairs = [f"{one}_{other}" for one in VERDICTS for other in VERDICTS]
    table = pd.DataFrame(rows, columns=[*AGREEMENT_COLUMNS, *filter(counted.__contains__, pairs)])
    counts = table.columns[len(AGREEMENT_COLUMNS) :]
    table[counts] = table[counts].fillna(0).astype(int)
    return table


def agreement_section(table: pd.DataFrame) -> str:
    """Return the table with what it means; nothing without a row."""
    if table.empty:
        return ""
    return "\n\n".join(["## Agreement of verdicts", _MEANING, markdown(table)])


def _rows(run: Scored) -> Iterator[dict[str, object]]:
    for (first, of_first), (second, of_second) in _raters(run):
        both = run.scores[of_first].notna() & run.scores[of_second].notna()
        places = {**run.rows, ALL_ITEMS: np.arange(len(run.scores))}
        for category in places if len(run.rows) > 1 else run.rows:
            rows = run.scores.iloc[places[category]]
            rows = rows[both.iloc[places[category]]]
            if len(rows):
                named = {"experiment": run.experiment, "category": category}
                named |= {"first": first, "second": second}
                yield named | _agreed(rows[of_first], rows[of_second])


def _raters(run: Scored) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield pairs of raters: their names, and the columns of their verdicts."""
    if not run.judges:
        return
    first = (run.judges[0], "verdict")
    yield (RULES, "by_rules"), first
    if len(run.judges) > 1:
        yield first, (run.judges[1], "second")


def _agreed(first: pd.Series, second: pd.Series) -> dict[str, object]:
    said = [name for name in VERDICTS if name in {*first, *second}]
    counts = np.zeros((len(said), len(said)))
    np.add.at(counts, (first.map(said.index).to_list(), second.map(said.index).to_list()), 1)
    agreed, items = int(counts.trace()), len(first)
    kappa, low, high = kappa_of(counts)
    return {
        "items": items,
        "agreed": agreed,
        "agreement": round(100 * agreed / items, 2),
        "kappa": kappa,
        "kappa_low": low,
        "kappa_high": high,
        **{
            f"{one}_{other}": int(counts[i, j])
            for i, one in enumerate(said)
            for j, other in enumerate(said)
        },
    }


def kappa_of(counts: np.ndarray) -> tuple[float, float, float]:
    """Return Cohen's kappa of [verdicts, verdicts] counts, and the ends of its interval of 95 %.

    Not numbers where both raters say one and the same of all: kappa is 0 / 0 then.
    """
    chance = counts.sum(axis=0) @ counts.sum(axis=1)
    if chance == counts.sum() ** 2:
        return math.nan, math.nan, math.nan
    from statsmodels.stats.inter_rater import cohens_kappa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an interval that has no variance
        found = cohens_kappa(counts)
    ends = [max(float(found.kappa_low), -1.0), min(float(found.kappa_upp), 1.0)]
    kappa, low, high = (round(float(one), _DECIMALS) + 0.0 for one in (found.kappa, *ends))
    return kappa, low, high

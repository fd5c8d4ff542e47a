"""How far apart options are that were chosen by their likelihoods, and how far to trust them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import DECIMALS, markdown

LIKELIHOOD_COLUMNS = (
    "experiment",
    "category",
    "items",
    "mean_margin",
    "near_ties",
    "accuracy",
    "mean_probability",
    "calibration_error",
)
NEAR = 0.1
"""Nats; a margin within it is a near-tie, which rounding or a word of the prompt may turn."""
_BINS = 10
_MEANING = (
    "Of options chosen by their likelihoods: *mean_margin* is the log-likelihood of the right "
    "option less that of the best other one, as the metric counts them, in nats; *near_ties* the "
    f"share of items, in percent, whose margin is within {NEAR:g} of 0. *mean_probability* is that "
    "of the chosen option among all, by the likelihoods of the whole options, beside the accuracy "
    "of the same items, both in percent; *calibration_error* the mean distance between the two "
    f"over {_BINS} equal bins of probability, weighted by their items, in percentage points. They "
    "are in likelihoods.csv, too."
)


def likelihood_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """Return margins and calibration of each run and category (LIKELIHOOD_COLUMNS).

    The rows are those with margins; an item without one, because its numbers were not finite, is
    left out. calibration_error is the expected calibration error (Guo et al. 2017,
    arXiv:1706.04599, eq. 3).
    """
    rows = [row for run in scored if "margin" in run.scores for row in _rows(run)]
    table = pd.DataFrame(rows, columns=list(LIKELIHOOD_COLUMNS))
    numbers = list(LIKELIHOOD_COLUMNS[3:])
    table[numbers] = table[numbers].astype(float).round(DECIMALS)
    return table


def likelihood_section(table: pd.DataFrame) -> str:
    """Return the table with what it means; nothing without a row."""
    if table.empty:
        return ""
    return "\n\n".join(["## Likelihoods of options", _MEANING, markdown(table)])


def _rows(run: Scored) -> Iterator[dict[str, object]]:
    for category, places in run.rows.items():
        scores = run.scores.iloc[places]
        scores = scores[scores["margin"].notna()]
        if len(scores):
            margins = scores["margin"].to_numpy(dtype=float)
            yield {
                "experiment": run.experiment,
                "category": category,
                "items": len(scores),
                "mean_margin": margins.mean(),
                "near_ties": 100 * (np.abs(margins) <= NEAR).mean(),
                **_calibration(scores),
            }


def _calibration(scores: pd.DataFrame) -> dict[str, float]:
    """Return how the probabilities of chosen options go with their being right, in percent."""
    known = scores[scores["probability"].notna()]
    if known.empty:
        return {}
    right = known["credit"].to_numpy(dtype=float)
    sure = known["probability"].to_numpy(dtype=float)
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=right - sure, minlength=_BINS)
    return {
        "accuracy": 100 * right.mean(),
        "mean_probability": 100 * sure.mean(),
        "calibration_error": 100 * np.abs(gaps).sum() / len(known),
    }

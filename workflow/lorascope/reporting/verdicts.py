"""The retention table: what each experiment keeps of another's score, and the verdict on it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lorascope.errors import UserError, listing
from lorascope.reporting.measures import BETTER, Pair, counts_alike
from lorascope.reporting.retention import (
    NOTHING,
    Retained,
    retained,
    verdicts_together,
    widened,
)
from lorascope.reporting.scored import Scored, first_run, paired
from lorascope.reporting.tables import DECIMALS
from lorascope.scoring.item_score import UNJUDGED

RETENTION_COLUMNS = (
    "experiment",
    "of",
    "metric",
    "at_least",
    "confidence",
    "base",
    "score",
    "retention",
    "lower",
    "upper",
    "chance",
    "chance_corrected",
    "chance_corrected_lower",
    "verdict",
    "verdict_alone",
    "point_verdict",
)
_AGAINST, _FOR = (0.0, 1.0), (1.0, 0.0)
"""Credits of unjudged items, the run's and the base's."""
_NUMBERS = RETENTION_COLUMNS[RETENTION_COLUMNS.index("base") : RETENTION_COLUMNS.index("verdict")]


def retention_table(scored: Sequence[Scored], retain: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return what each experiment retains (RETENTION_COLUMNS).

    One row per entry of the study's ``retain`` and experiment on the dataset of the entry's
    ``of``, in the order given: a gate. What has no metric in common with that, being answered in
    another mode, has none. base, score and chance are in percent, or in the unit of
    the metric; retention, its bounds and the chance-corrected ones are shares of 1, empty where
    there is nothing to divide by, or the items weigh otherwise in the base. Where the study has
    measures, the last column says which direction is better: of a metric where lower is, the
    retention is the base's value divided by the run's. Bounds and verdict_alone have the entry's
    confidence for this one gate. verdict has it for all gates of the study together: in so many
    studies none of them passes (and in so many none fails) that should not
    (``verdicts_together``). point_verdict compares the estimate alone.
    Where a judge failed on items of either, the last column says on how many: bounds and verdicts
    are those that hold whatever these items are (``widened``).
    Raises UserError if an experiment lacks the metric or does not have the same items.
    """
    gates = [gate for entry in retain for gate in _gates(scored, entry)]
    together = verdicts_together(
        [found for _, found in gates], [cells["confidence"] for cells, _ in gates]
    )
    rows = [{**cells, "verdict": one} for (cells, _), one in zip(gates, together, strict=True)]
    unjudged = (UNJUDGED,) if any(row[UNJUDGED] for row in rows) else ()
    table = pd.DataFrame(rows, columns=[*RETENTION_COLUMNS, *unjudged])
    table[list(_NUMBERS)] = table[list(_NUMBERS)].astype(float).round(DECIMALS)
    if any(run.measures for run in scored):
        runs = {run.experiment: run for run in scored}
        named = zip(table["experiment"], table["metric"], strict=True)
        measures = [runs[experiment].measure(metric) for experiment, metric in named]
        table["better"] = [BETTER[measure.higher_is_better] for measure in measures]
    return table


def _gates(
    scored: Sequence[Scored], entry: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Retained]]:
    """Yield the cells of each row of an entry, all but verdict, and what they are from."""
    base, metric = first_run(scored, entry["of"], key="retain"), entry["metric"]
    for run in scored:
        # What is answered in another mode has other metrics, none of them the base's.
        if run.dataset == base.dataset and not run.rows.keys().isdisjoint(base.rows):
            _require_metric(run, metric)
            if run is not base:
                asked = {key: entry[key] for key in ("of", "metric", "at_least", "confidence")}
                cells, found = _cells(run, base, metric, entry)
                yield {"experiment": run.experiment, **asked, **cells}, found


def _require_metric(run: Scored, metric: str) -> None:
    if metric not in run.rows:
        raise UserError(
            f"study key 'retain': experiment {run.experiment} has no metric {metric!r}; "
            f"name one of {listing(run.rows)}"
        )


def _cells(
    run: Scored, base: Scored, metric: str, entry: Mapping[str, Any]
) -> tuple[dict[str, Any], Retained]:
    rows = run.rows[metric]
    measure, chance = run.measure(metric), None
    if counts_alike(measure, run.weights[rows]):
        chance = chance_level(run.scores["options"].to_numpy()[rows])
    pair = paired(base, run, metric)

    def kept(of: Pair) -> Retained:
        if not len(of.base):
            return NOTHING
        return retained(of, entry["at_least"], entry["confidence"], chance, measure)

    found = kept(pair)
    if unjudged := len(rows) - len(pair.base):
        worst, best = (kept(paired(base, run, metric, credits)) for credits in (_AGAINST, _FOR))
        found = widened(found, worst, best, entry["confidence"])
    cells = {
        "base": float(base.measured[metric].value),
        "score": float(run.measured[metric].value),
        "retention": found.retention,
        "lower": found.lower,
        "upper": found.upper,
        "chance": None if chance is None else 100 * chance,
        "chance_corrected": found.corrected,
        "chance_corrected_lower": found.corrected_lower,
        "verdict_alone": found.verdict,
        "point_verdict": found.point_verdict,
        UNJUDGED: unjudged,
    }
    return cells, found


def chance_level(options: np.ndarray) -> float | None:
    """Return the mean credit of guessing among [items] numbers of options; None if any is free."""
    return float((1 / options).mean()) if len(options) and (options > 0).all() else None

"""What is known of predictions that were made elsewhere, and where their verdicts differ."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lorascope.reporting.scored import Scored
from lorascope.reporting.tables import markdown
from lorascope.study.categories import scored_category

UNANSWERED = "unanswered"
COLUMNS = ("experiment", "category", "judged", "published", "here", "differ")
_CLOSE = 1e-6
_MEANING = (
    "Verdicts that came with the predictions are not taken over: all answers are scored here, in "
    "the same way. *judged* are the answers with a verdict of both, *published* and *here* the "
    "sums of their credits (of verdicts: how many are correct), *differ* the answers whose credits "
    "differ."
)


@dataclass(frozen=True, eq=False)
class Imported:
    """An experiment that was made elsewhere: its ``predictions``, and the study's keys of them.

    ``predictions`` has the columns item_id, category, finish_reason and published (JSON, metric ->
    credit, or None).
    """

    run: Scored
    keys: Mapping[str, Any]
    predictions: pd.DataFrame


def imported_section(imported: Iterable[Imported]) -> str:
    """Return where predictions came from, and how far their verdicts differ; "" without any."""
    every = list(imported)
    if not every:
        return ""
    parts = ["## Made elsewhere", "\n".join(map(_line, every))]
    compared = verdict_table(every)
    if len(compared):
        parts += [_MEANING, markdown(compared)]
    return "\n\n".join(parts)


def _line(one: Imported) -> str:
    total, without = len(one.predictions), (one.predictions["finish_reason"] == UNANSWERED).sum()
    lacking = f"; {without} of {total} items are unanswered" if without else ""
    unknown = "" if one.run.has_scaling else "; its scaling is not known (key lora_scaling)"
    return (
        f"- {one.run.experiment}: imported from {one.keys['source']} "
        f"({one.keys['format']}){unknown}{lacking}."
    )


def verdict_table(imported: Iterable[Imported]) -> pd.DataFrame:
    """Return COLUMNS, a row for each experiment and category that has published verdicts."""
    rows = [row for one in imported for row in _rows(one)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(one: Imported) -> Iterator[dict[str, Any]]:
    published = _published(one)
    scores = one.run.scores
    weights = pd.Series(one.run.weights, index=scores.index)
    for category, places in one.run.rows.items():
        own = scores.iloc[places]
        pairs = pd.DataFrame(
            {
                "there": [published.get((item, category)) for item in own["item_id"]],
                "here": own["credit"].to_numpy() / weights.iloc[places].to_numpy(),
            }
        ).dropna()
        if len(pairs):
            there, here = pairs["there"].astype(float), pairs["here"].astype(float)
            yield {
                "experiment": one.run.experiment,
                "category": category,
                "judged": len(pairs),
                "published": round(there.sum(), 6),
                "here": round(here.sum(), 6),
                "differ": int((abs(there - here) > _CLOSE).sum()),
            }


def _published(one: Imported) -> dict[tuple[str, str], float]:
    """Return (item, category of the table) -> the credit that was given elsewhere.

    One without a metric is of the item's only score.
    """
    categories = one.run.scores.groupby("item_id", sort=False)["category"].agg(list)
    judged = one.predictions.dropna(subset="published")
    columns = (judged[name] for name in ("item_id", "category", "published"))
    found = {}
    for item, category, text in zip(*columns, strict=True):
        for metric, credit in json.loads(text).items():
            own = categories[item]
            known = own[0] if not metric and len(own) == 1 else scored_category(category, metric)
            found[item, known] = float(credit)
    return found

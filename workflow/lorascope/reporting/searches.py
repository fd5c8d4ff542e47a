"""Searches of a study in its report: who was dropped, when, and by what score."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lorascope.reporting.tables import DECIMALS, markdown

SEARCH_COLUMNS = ("search", "candidate", "rung", "parts", "of", "items", "score", "goes_on")
_MEANING = (
    "All candidates are asked a part of the items, the best of them more, and so on; the last ones "
    "are asked everything and stand in the tables. What is dropped was asked no more, so that its "
    "score is of fewer items, and is compared with no other part. Every score on the way is in "
    "search.csv."
)


def searches_table(searches: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> pd.DataFrame:
    """Return a row for each search, rung and candidate (SEARCH_COLUMNS).

    searches: what each goes by, and its decisions. score is in percent, or in the unit of the
    measure, of the ``items`` of ``parts`` ``of`` so many parts.
    """
    rows = [
        {
            "search": f"{number}: {by}",
            "candidate": row["name"],
            "rung": document["rung"] + 1,
            "parts": document["parts"],
            "of": document["of"],
            "items": row["items"],
            "score": row["score"],
            "goes_on": row["name"] in document["left"],
        }
        for number, (by, documents) in enumerate(searches, 1)
        for document in documents
        for row in document["candidates"]
    ]
    table = pd.DataFrame(rows, columns=list(SEARCH_COLUMNS))
    return table.assign(score=table["score"].astype(float).round(DECIMALS))


def searches_section(table: pd.DataFrame) -> str:
    """Return the section of searches; nothing without one."""
    if table.empty:
        return ""
    parts = ["## Search", _MEANING]
    for name, own in table.groupby("search", sort=False):
        first = own[own["rung"] == 1]
        last = own[(own["rung"] == own["rung"].max()) & own["goes_on"]]["candidate"]
        parts.append(
            f"**By {str(name).partition(': ')[2]}:** of {len(first)} candidates, {len(last)} "
            f"are asked everything: {', '.join(last)}. All were asked {int(first['items'].max())} "
            f"items, {int(first['parts'].iloc[0])} of {int(first['of'].iloc[0])} parts."
        )
        gone = own[~own["goes_on"]]
        parts.append(markdown(gone[["candidate", "rung", "parts", "items", "score"]].round(2)))
    return "\n\n".join(parts)

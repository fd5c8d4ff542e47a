"""What became of replies: the shares beside the accuracies, and when a reader is warned."""

from collections.abc import Sequence

import pandas as pd
import pytest

from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.reporting.outcomes import (
    CUT,
    VERDICTS,
    outcome_section,
    outcome_table,
    outcome_warnings,
)
from lorascope.reporting.scored import Scored

Reply = tuple[float | None, str, str]
RIGHT: Reply = (1.0, "single", "eos")
WRONG: Reply = (0.0, "single", "eos")
SILENT: Reply = (0.0, "none", "eos")
TORN: Reply = (0.0, "multiple", "length")
LOST: Reply = (0.0, "nonfinite", "nonfinite")
UNJUDGED: Reply = (None, "single", "eos")
HALF: Reply = (0.5, "scored", "length")


def replies(experiment: str, ended: dict[str, Sequence[Reply]]) -> Scored:
    rows = [
        {
            "item_id": f"{category}/{i}",
            "category": category,
            "clip": "",
            "options": 4,
            "credit": credit,
            "status": status,
            "finish_reason": finish,
        }
        for category, found in ended.items()
        for i, (credit, status, finish) in enumerate(found)
    ]
    return Scored(experiment, experiment, 0, 1.0, True, "d", pd.DataFrame(rows))


def test_every_reply_falls_into_one_part_and_cuts_are_counted_beside():
    every = [RIGHT, WRONG, SILENT, TORN, LOST, UNJUDGED, HALF]
    table = outcome_table([replies("A", {"x": every, "y": [RIGHT] * 3})]).set_index("category")
    assert dict(table.loc["x", [*VERDICTS]]) == dict.fromkeys(VERDICTS, 1)
    assert (table.loc["x", CUT], table.loc["x", "total"]) == (2, 7)
    assert (table.loc[ALL_ITEMS, "correct"], table.loc[ALL_ITEMS, "total"]) == (4, 10)
    assert (table[[*VERDICTS]].sum(axis=1) == table["total"]).all()


def test_metrics_of_one_item_have_no_row_over_all():
    run = replies("A", {"f1": [HALF, RIGHT], "em": [WRONG, RIGHT]})
    run.scores["item_id"] = ["p", "q", "p", "q"]
    assert outcome_table([run])["category"].to_list() == ["em", "f1"]


def test_the_page_shows_every_experiment_and_folds_the_categories():
    runs = [replies(name, {"x": [RIGHT, SILENT], "y": [WRONG, TORN]}) for name in "AB"]
    section = outcome_section(outcome_table(runs))
    shown, folded = section.split("<details>")
    assert [line.split("|")[2].strip() for line in shown.splitlines() if "| all" in line] == [
        ALL_ITEMS,
        ALL_ITEMS,
    ]
    row = next(line for line in folded.splitlines() if line.startswith("| B") and "| y " in line)
    assert [cell.strip() for cell in row.split("|")[3:-1]] == [
        *("2", "0", "0", "50", "0", "50", "0", "0", "50")
    ]


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (SILENT, "20.0 % chose nothing; of A, 0.0 %"),
        (TORN, "20.0 % chose several options; of A, 0.0 %"),
        ((1.0, "single", "length"), "20.0 % were cut at max_new_tokens; of A, 0.0 %"),
    ],
)
def test_shares_that_differ_much_are_warned_of(ending, words):
    runs = [replies("A", {"x": [RIGHT] * 10}), replies("B", {"x": [ending] * 2 + [RIGHT] * 8})]
    warnings = [*outcome_warnings(runs)]
    assert any(f"Of the replies of B, {words}" in warning for warning in warnings)


def test_equal_shares_and_other_categories_are_not_warned_of():
    alike = [replies(name, {"x": [SILENT] * 5 + [RIGHT] * 5}) for name in "AB"]
    apart = replies("C", {"y": [RIGHT] * 10})
    assert [*outcome_warnings([*alike, apart])] == []


def test_replies_that_are_none_are_warned_of_with_the_remedy():
    first, second = outcome_warnings([replies("A", {"x": [LOST, UNJUDGED, RIGHT], "y": [LOST]})])
    assert first.startswith("A: 2 of 4 replies are no answers")
    assert "dtype" in first
    assert second == (
        "A: 1 of 4 replies could not be judged. Its values are of the judged ones, and its "
        "comparisons of items judged in both. If the others were all wrong, or all right, they "
        "would be: x 33.33 to 66.67 %."
    )

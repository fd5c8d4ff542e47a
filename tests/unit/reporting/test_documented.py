"""docs/report.md names every column of every table."""

import re

import pytest

from lorascope.reporting.agreement import AGREEMENT_COLUMNS
from lorascope.reporting.baselines import BASELINE, OTHER_MODEL
from lorascope.reporting.columns import SETTINGS_COLUMNS
from lorascope.reporting.comparison import COMPARED, COMPARED_COLUMNS, INTERVAL_COLUMNS, NOTE
from lorascope.reporting.likelihoods import LIKELIHOOD_COLUMNS
from lorascope.reporting.means import MEAN_COLUMNS
from lorascope.reporting.outcomes import MEASURED, OUTCOME_COLUMNS
from lorascope.reporting.profiles import PROFILE_COLUMNS
from lorascope.reporting.tables import ACCURACY_COLUMNS, MEASURE_COLUMNS, UNJUDGED_COLUMNS
from lorascope.reporting.values import SCREEN
from lorascope.reporting.verdicts import RETENTION_COLUMNS
from lorascope.scoring.item_score import UNJUDGED
from tests.support.pages import sections

OPTIONAL = (*MEASURE_COLUMNS, BASELINE, OTHER_MODEL, *MEAN_COLUMNS)
TABLES = {
    "UTF-8": SETTINGS_COLUMNS,
    "`accuracy.csv`": (*ACCURACY_COLUMNS, *OPTIONAL, *UNJUDGED_COLUMNS),
    "`comparison.csv`": (*INTERVAL_COLUMNS, *COMPARED_COLUMNS, COMPARED, NOTE, *OPTIONAL),
    "`outcomes.csv`": (*OUTCOME_COLUMNS, MEASURED),
    "`retention.csv`": (*RETENTION_COLUMNS, "better", UNJUDGED),
    "`likelihoods.csv`": LIKELIHOOD_COLUMNS,
    "`agreement.csv`": AGREEMENT_COLUMNS,
    "`profiles.csv`": PROFILE_COLUMNS,
}
PAGE = sections("docs/report.md")


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_documented_and_no_other(table):
    text = PAGE["The tables for tools"]
    start = text.index(f"\n{table}") + 1
    end = re.compile(r"\n`\w+\.csv`").search(text, start)
    part = text[start : end.start() if end else len(text)]
    head, _, rows = part.partition("| column | is |")
    names = [
        name
        for row in rows.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    if table == "`comparison.csv`":  # and what it has in common with accuracy.csv
        names += re.findall(r"`(\w+)`", head.partition("; with ")[2])
    assert sorted(names) == sorted(TABLES[table])


def test_the_page_says_how_many_rows_are_a_screen():
    assert f"Up to {SCREEN} rows are shown as they are" in PAGE["The page"]

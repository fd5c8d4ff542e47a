"""The report of a study whose scores are made up: all but the answers is what a run makes."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lorascope.planning.plan import Plan
from lorascope.storage.records import write_table
from tests.support.stagehand import Bench

Credits = Mapping[str, Sequence[float]]
"""Category -> credits of its items."""
ENVIRONMENT = {"device": "cpu", "dtype": "float32", "python": "3", "versions": {}}


def counts(**right: int) -> Credits:
    """Return the credits of ten items in each category, of which so many are right."""
    return {c.replace("_", "-"): [1.0] * n + [0.0] * (10 - n) for c, n in right.items()}


def make_report(bench: Bench, scores: Mapping[str, Credits]) -> dict[str, str]:
    """Write the scores of each experiment, run the report, and return its texts by file name."""
    plan = bench.plan
    for identifier, credits in scores.items():
        _write_scores(plan, identifier, credits)
    code, said = bench.run(plan.find("report", {}))
    assert code == 0, said
    folder = plan.report.folder
    files = (path for path in folder.iterdir() if path.suffix in (".md", ".csv", ".json"))
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def _write_scores(plan: Plan, identifier: str, credits: Credits) -> None:
    planned = plan.scores[identifier]
    rows = [
        {"item_id": f"{category}/{i}", "category": category, "clip": f"{category}{i}"}
        | {"options": 4, "status": "valid", "choice": "a", "correct": credit == 1}
        | {"credit": credit, "reason": "made up", "finish_reason": "eos"}
        for category, values in credits.items()
        for i, credit in enumerate(values)
    ]
    settings = planned.experiment.experiment.settings
    note = {
        "lora_scaling": settings.lora_scaling or 0.0,
        "generation": json.dumps(settings.generation.model_dump()),
    }
    write_table(planned.path, pa.Table.from_pylist(rows), "scores", planned.digest, note)
    answers = pa.table({"environment": [json.dumps(ENVIRONMENT)]})
    runtime = planned.experiment.runtime
    write_table(runtime, answers, "runtime", planned.experiment.digest)


def rows_of(text: str) -> list[dict[str, Any]]:
    """Return the rows of a CSV."""
    return list(csv.DictReader(io.StringIO(text)))


def deltas(text: str, column: str = "accuracy_delta") -> dict[tuple[str, str], str]:
    """Return (experiment, category) -> a cell of accuracy.csv or comparison.csv."""
    return {(row["experiment"], row["category"]): row[column] for row in rows_of(text)}


def beside(page: str) -> str:
    """Return what the page says between the title of the table and the table."""
    return page.partition("## Accuracy")[2].partition("| experiment ")[0]

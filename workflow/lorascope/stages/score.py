"""Score the responses of an experiment; saved responses can be scored again at any time."""

import argparse
import sys
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError
from lorascope.planning.score import ScoreJob
from lorascope.scoring.item_score import ItemScore
from lorascope.stages.command import check_code, log, parser, run
from lorascope.storage.records import read_table, write_table
from lorascope.study.categories import scored_category


def work(job: ScoreJob, arguments: argparse.Namespace) -> None:
    """Write the credit, the choice and the reason of every item, for each metric."""
    score = resolve_name(job.score_item)
    check_code(job)
    items = from_table(read_table(job.items, "items", job.dataset))
    columns = ["item_id", "response", "lora_scaling", "generation"]
    predictions = read_table(job.predictions, "predictions", job.predicted, columns)
    responses = dict(
        zip(*(predictions[name].to_pylist() for name in ("item_id", "response")), strict=True)
    )
    if responses.keys() != {item.item_id for item in items}:
        raise UserError(
            f"{job.predictions}: does not answer the items of {job.items}; "
            "delete it and run snakemake again"
        )
    rows = [_row(item, found) for item in items for found in score(responses[item.item_id], item)]
    table = pa.Table.from_pylist(rows, schema=_schema())
    note = {name: predictions[name][-1].as_py() for name in ("lora_scaling", "generation")}
    write_table(arguments.out, table, "scores", job.digest, note)
    log.info("%s: %d of %d correct", job.id, sum(row["correct"] for row in rows), len(rows))


def _row(item: Item, found: ItemScore) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "category": scored_category(item.category, found.metric),
        "clip": item.clip or item.passage,
        "options": len(item.options),
        "status": found.status,
        "choice": found.choice,
        "correct": found.credit == 1,
        "credit": found.credit,
        "reason": found.reason,
    }


def _schema() -> pa.Schema:
    return pa.schema(
        [
            ("item_id", pa.string()),
            ("category", pa.string()),
            ("clip", pa.string()),
            ("options", pa.int32()),
            ("status", pa.string()),
            ("choice", pa.string()),
            ("correct", pa.bool_()),
            ("credit", pa.float64()),
            ("reason", pa.string()),
        ]
    )


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.score", __doc__), ScoreJob, work)


if __name__ == "__main__":
    sys.exit(main())

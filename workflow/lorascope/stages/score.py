"""Score the responses of an experiment; saved responses can be scored again at any time."""

import argparse
import sys

from lorascope.errors import UserError
from lorascope.stages.command import Job, check_code, log, parser, run


def work(job: Job, arguments: argparse.Namespace) -> None:
    """Write correct or incorrect, the choice and the reason for every item."""
    import pyarrow as pa

    from lorascope.benchmarks.items import from_table
    from lorascope.records import read_table, write_table
    from lorascope.scoring import scorer

    score = scorer(job["recipe"]["scorer"])
    check_code(job)
    items = from_table(read_table(job["items"], "items", job["dataset"]))
    predictions = read_table(
        job["predictions"], "predictions", job["predicted"], ["item_id", "response", "lora_scaling"]
    )
    responses = dict(
        zip(*(predictions[name].to_pylist() for name in ("item_id", "response")), strict=True)
    )
    if responses.keys() != {item.item_id for item in items}:
        raise UserError(
            f"{job['predictions']}: does not answer the items of {job['items']}; "
            "delete it and run snakemake again"
        )
    rows = []
    for item in items:
        verdict = score(responses[item.item_id], item.question, item.options, item.gold)
        rows.append(
            {
                "item_id": item.item_id,
                "category": item.category,
                "clip": item.clip,
                "options": len(item.options),
                "status": verdict.status,
                "choice": verdict.choice,
                "correct": verdict.correct,
                "reason": verdict.reason,
            }
        )
    table = pa.Table.from_pylist(rows, schema=_schema())
    scaling = predictions["lora_scaling"][0].as_py()
    write_table(arguments.out, table, "scores", job["digest"], {"lora_scaling": scaling})
    log.info("%s: %d of %d correct", job["id"], sum(row["correct"] for row in rows), len(rows))


def _schema() -> "object":
    import pyarrow as pa

    return pa.schema(
        [
            ("item_id", pa.string()),
            ("category", pa.string()),
            ("clip", pa.string()),
            ("options", pa.int32()),
            ("status", pa.string()),
            ("choice", pa.string()),
            ("correct", pa.bool_()),
            ("reason", pa.string()),
        ]
    )


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.score", __doc__), work)


if __name__ == "__main__":
    sys.exit(main())

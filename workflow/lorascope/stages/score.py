"""Score the responses of an experiment; saved responses can be scored again at any time."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.planning.score import ScoreJob
from lorascope.scoring.item_score import ACCURACY, ItemScore, Measure
from lorascope.stages.command import check_code, log, parser, run
from lorascope.storage.downloads import joined
from lorascope.storage.records import read_table, table_sources, write_table
from lorascope.study.categories import scored_category

REPLY = [
    *("item_id", "response", "finish_reason", "prompt_tokens"),
    *("loglikelihoods", "continuation_tokens", "greedy"),
]
NOTED = ["lora_scaling", "generation"]


def work(job: ScoreJob, arguments: argparse.Namespace) -> None:
    """Write the credit, the choice and the reason of every item, for each metric."""
    score = resolve_name(job.score_item)
    check_code(job)
    asked = read_table(job.items, "items", job.dataset)
    items = from_table(asked)
    predictions = read_table(job.predictions, "predictions", job.predicted, [*REPLY, *NOTED])
    replies = {reply["item_id"]: reply for reply in predictions.select(REPLY).to_pylist()}
    if replies.keys() != {item.item_id for item in items}:
        raise UserError(
            f"{job.predictions}: does not answer the items of {job.items}; "
            "delete it and run snakemake again"
        )
    measures: dict[str, Measure] = {}
    rows = []
    for item in items:
        for found in _scores(item, replies[item.item_id], score, job.fingerprint["settings"]):
            rows.append(_row(item, found, replies[item.item_id]["finish_reason"]))
            measures[rows[-1]["category"]] = found.measure
    table = pa.Table.from_pylist(rows, schema=_schema())
    note: dict[str, Any] = {name: predictions[name][-1].as_py() for name in NOTED}
    note["measures"] = {c: vars(m) for c, m in measures.items() if m != ACCURACY}
    sources = joined([table_sources(asked), table_sources(predictions)])
    write_table(arguments.out, table, "scores", job.digest, note, sources)
    log.info("%s: %d of %d correct", job.id, sum(row["correct"] for row in rows), len(rows))


def _scores(
    item: Item,
    reply: dict[str, Any],
    score: Callable[..., list[ItemScore]],
    own: Mapping[str, Any],
) -> Iterator[ItemScore]:
    """Yield the score of one reply by each metric.

    A response without a word chose nothing, whatever the scorer. One whose computation ended in
    numbers that are none is no reply at all.
    """
    finish, read = reply["finish_reason"], reply["loglikelihoods"]
    given: str | Likelihoods = reply["response"]
    if read is not None:
        tokens, greedy = reply["continuation_tokens"], reply["greedy"]
        given = Likelihoods(tuple(read), tuple(tokens), tuple(greedy), reply["prompt_tokens"])
    for found in score(given, item, **own):
        if finish == "nonfinite":
            yield replace(found, credit=0.0, status=finish, choice=None, reason="non-finite logits")
        elif isinstance(given, str) and not given.strip():
            yield replace(found, status="none", choice=None)
        else:
            yield found


def _row(item: Item, found: ItemScore, finish_reason: str) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "category": scored_category(item.category, found.metric),
        # By content: a clip that two tracks hold under two names is one.
        "clip": item.clip_sha256 or item.passage,
        "options": len(item.options),
        "status": found.status,
        "choice": found.choice,
        "correct": found.credit == 1,
        "credit": found.credit,
        "weight": found.weight,
        "margin": found.margin,
        "reason": found.reason,
        "finish_reason": finish_reason,
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
            ("weight", pa.float64()),
            ("margin", pa.float64()),
            ("reason", pa.string()),
            ("finish_reason", pa.string()),
        ]
    )


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.score", __doc__), ScoreJob, work)


if __name__ == "__main__":
    sys.exit(main())

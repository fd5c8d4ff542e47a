"""Read predictions that were made elsewhere into those of an experiment, item by item."""

import argparse
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError
from lorascope.exchange.replies import UNANSWERED, Reply, matched
from lorascope.planning.checks import check_code
from lorascope.planning.importing import ImportJob
from lorascope.planning.reasons import FINGERPRINT
from lorascope.stages.command import check_data, leave, log, parser, run
from lorascope.storage.columns import table_of
from lorascope.storage.predictions import prediction_fields
from lorascope.storage.records import read_table, table_sources, write_json, write_table


def work(job: ImportJob, arguments: argparse.Namespace) -> None:
    """Write predictions as merging does, and beside them what they were credited with there."""
    read = resolve_name(job.read)
    check_code(job)
    asked = read_table(job.items, "items", job.dataset)
    items, files = from_table(asked), [Path(file) for file in job.files]
    own = job.fingerprint["settings"]
    others_ok = own["others"] == "leave_out" or job.fingerprint["dataset"]["limit"] is not None
    try:
        replies = read(files, items, own)
        check_data(job.fingerprint["predictions"], files, Path(job.source), local=True)
        found, notes = matched(replies, items, own["missing"] == "unanswered", others_ok)
        rows = [prediction_row(item, found.get(item.item_id), job.fingerprint) for item in items]
    except UserError as error:
        raise UserError(f"{job.id}: {error}") from error
    for note in notes:
        log.warning("%s: of the answers to its items, %s", job.id, note)
    _warn_prompts(items, found, job.id)
    write_json(arguments.out.parent / FINGERPRINT, job.fingerprint)
    table = table_of(rows, prediction_schema())
    sources = table_sources(asked)
    write_table(arguments.out, table, "predictions", job.digest, sources=sources)
    log.info("%s: %d answers from %s", job.id, len(found), job.source)


def prediction_row(item: Item, reply: Reply | None, planned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prediction of an item; UserError for a reply of another mode than its own."""
    mode = item.mode or planned["mode"]
    if reply is None:
        if mode != "generate":
            raise UserError(
                f"{item.item_id} has no log-likelihoods, and in mode {mode} nothing stands for an "
                "item that is not answered; leave missing: unanswered out"
            )
        reply = Reply(item=item.item_id, where="", finish_reason=UNANSWERED)
    found = {
        "item_id": item.item_id,
        "category": item.category,
        "prompt": reply.prompt,
        "response": reply.response,
        "tokens": [],
        "prompt_tokens": reply.prompt_tokens,
        "response_tokens": reply.response_tokens,
        "finish_reason": reply.finish_reason,
        "lora_scaling": planned["lora_scaling"],
        "strength": planned.get("strength"),
        "generation": "{}",
        "published": json.dumps(reply.published) if reply.published else None,
    }
    if mode == "generate":
        if reply.loglikelihoods is not None:
            raise UserError(
                f"{reply.where}: has log-likelihoods, and mode generate takes responses; set mode: "
                "choose (or loss) of the experiment"
            )
        return found
    return found | _likelihoods(item, reply, mode)


def _likelihoods(item: Item, reply: Reply, mode: str) -> dict[str, Any]:
    """Return what is particular to a prediction that was read from likelihoods."""
    sums, count = reply.loglikelihoods, len(item.continuations)
    if sums is None or len(sums) != count:
        raise UserError(
            f"{reply.where}: has {len(sums or ())} log-likelihoods for the {count} continuations "
            f"of {item.item_id}, of which mode {mode} needs one each"
        )
    finite = all(map(math.isfinite, sums))
    likeliest = item.continuations[sums.index(max(sums))] if finite and mode == "choose" else ""
    return {
        "response": likeliest,
        "finish_reason": "likelihood" if finite else "nonfinite",
        "loglikelihoods": sums,
        # Nobody says of how many tokens they are: none, of which nothing can be counted.
        "continuation_tokens": _fitting(reply.continuation_tokens, count, 0),
        "greedy": _fitting(reply.greedy, count, False),
    }


def _fitting(values: Sequence[Any] | None, count: int, otherwise: Any) -> Sequence[Any]:
    return values if values is not None and len(values) == count else [otherwise] * count


def _warn_prompts(items: Sequence[Item], found: Mapping[str, Reply], name: str) -> None:
    """Say how many were asked in other words than the items' own; templates add to them."""
    asked = Counter(
        " ".join(item.question.split()) in " ".join(reply.prompt.split())
        for item in items
        if (reply := found.get(item.item_id)) and reply.prompt
    )
    if asked[False]:
        log.warning(
            "%s: %d of %d items were asked in other words than those of the dataset; a comparison "
            "is one of the prompts, too",
            *(name, asked[False], asked.total()),
        )


def prediction_schema() -> pa.Schema:
    """Return the columns of predictions, and the credits that they were given elsewhere.

    ``published`` is JSON, metric -> credit, null where nothing is said.
    """
    return pa.schema([*prediction_fields(), ("published", pa.string())])


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.importing", __doc__), ImportJob, work)


if __name__ == "__main__":
    leave(main())

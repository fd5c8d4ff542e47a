"""Merge the shards of an experiment into its predictions and a sidecar of how they came about."""

import argparse
import shutil
from pathlib import Path

import pyarrow as pa

from lorascope.errors import UserError
from lorascope.planning.infer import answers
from lorascope.planning.merge import MergeJob, copied
from lorascope.planning.reasons import FINGERPRINT
from lorascope.stages.command import leave, log, parser, run
from lorascope.storage.columns import integers
from lorascope.storage.downloads import Commit, joined
from lorascope.storage.records import read_table, table_sources, write_json, write_table

SIDECAR = [
    *("seconds", "finished", "halvings", "environment", "load"),
    *("template_date", "clip", "clip_seconds", "seconds_lost", "clip_finite"),
]


def work(job: MergeJob, arguments: argparse.Namespace) -> None:
    """Write predictions (what is compared) and runtime (timing, host, device, versions)."""
    digest = job.digest
    if job.twin:
        log.info("%s: the same predictions as %s; copied", job.id, job.twin)
        sources = copied(Path(job.twin))
        predictions = read_table(sources["predictions"], "predictions", digest)
        runtime = read_table(sources["runtime"], "runtime", digest)
        made_of = joined([table_sources(predictions), table_sources(runtime)])
    else:
        whole, made_of = _whole(job)
        predictions = whole.drop_columns(SIDECAR)
        runtime = whole.select(["item_id", *SIDECAR])
    folder = arguments.out.parent
    write_json(folder / FINGERPRINT, job.fingerprint)
    write_table(arguments.runtime, runtime, "runtime", digest, sources=made_of)
    write_table(arguments.out, predictions, "predictions", digest, sources=made_of)
    shutil.rmtree(answers(folder), ignore_errors=True)


def _whole(job: MergeJob) -> tuple[pa.Table, dict[str, Commit]]:
    """Return the rows of all shards in the order of the items, and what they were made of.

    UserError if a row is missing.
    """
    ids = read_table(job.items, "items", job.dataset, ["item_id"])["item_id"].to_pylist()
    shards = [read_table(path, "shard", job.digest) for path in job.shards]
    made_of = joined(map(table_sources, shards))
    whole = pa.concat_tables(shards).replace_schema_metadata(None)
    place = {item: row for row, item in enumerate(whole["item_id"].to_pylist())}
    if sorted(place) != sorted(ids) or whole.num_rows != len(ids):
        raise UserError(
            f"{job.id}: the shards hold {whole.num_rows} answers to {len(ids)} items; "
            f"delete {Path(job.shards[0]).parent} and run snakemake again"
        )
    return whole.take(integers([place[item] for item in ids])), made_of


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.merge", __doc__)
    options.add_argument("--runtime", required=True, type=Path, help="sidecar to write")
    return run(options, MergeJob, work)


if __name__ == "__main__":
    leave(main())

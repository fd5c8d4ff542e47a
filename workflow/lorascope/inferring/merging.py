"""The rows of all shards of an experiment, in the order of its items, as two tables."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lorascope.errors import UserError
from lorascope.inferring.handing import Merged
from lorascope.storage.columns import integers
from lorascope.storage.downloads import Commit, joined
from lorascope.storage.records import read_table, table_sources, write_table

if TYPE_CHECKING:
    from lorascope.inferring.shard import Shard

HARMLESS = "puts rows in order"

log = logging.getLogger("lorascope")

SIDECAR = [
    *("seconds", "finished", "halvings", "environment", "load"),
    *("template_date", "clip", "clip_seconds", "seconds_lost", "clip_finite"),
]


@dataclass(frozen=True)
class Tables:
    """Predictions (what is compared) and runtime (timing, host, device, versions)."""

    digest: str
    predictions: pa.Table
    runtime: pa.Table
    sources: dict[str, Commit]

    def write(self, predictions: Path, runtime: Path) -> None:
        """Write both; who finds predictions finds their sidecar."""
        write_table(runtime, self.runtime, "runtime", self.digest, sources=self.sources)
        write_table(predictions, self.predictions, "predictions", self.digest, sources=self.sources)


def merge(name: str, items: str, dataset: str, shards: Sequence[Path], digest: str) -> Tables:
    """Return the tables of an experiment's shards with the ``digest``.

    UserError if an answer is missing to the items, which have the digest ``dataset``.
    """
    ids = read_table(items, "items", dataset, ["item_id"])["item_id"].to_pylist()
    parts = [read_table(path, "shard", digest) for path in shards]
    made_of = joined(map(table_sources, parts))
    whole = pa.concat_tables(parts).replace_schema_metadata(None)
    place = {item: row for row, item in enumerate(whole["item_id"].to_pylist())}
    if sorted(place) != sorted(ids) or whole.num_rows != len(ids):
        raise UserError(
            f"{name}: the shards hold {whole.num_rows} answers to {len(ids)} items; "
            f"delete {shards[0].parent} and run snakemake again"
        )
    whole = whole.take(integers([place[item] for item in ids]))
    beside = whole.select(["item_id", *SIDECAR])
    return Tables(digest, whole.drop_columns(SIDECAR), beside, made_of)


def copy(predictions: Path, runtime: Path, digest: str) -> Tables:
    """Return the tables that another experiment has."""
    answers = read_table(predictions, "predictions", digest)
    beside = read_table(runtime, "runtime", digest)
    return Tables(digest, answers, beside, joined([table_sources(answers), table_sources(beside)]))


def hand_over(shard: "Shard", file: Path) -> None:
    """Merge the file of a shard that is all of its experiment, for the job that merges.

    What goes wrong is left to that job. Of several shards one may be damaged by now, which is for
    that job to find, too.
    """
    if shard.shards > 1:
        return
    job = shard.job
    try:
        tables = merge(job.id, job.items, job.dataset, [file], job.digest)
        Merged(shard.folder, job.digest).give(tables.sources, [file], tables.write)
    except UserError as error:
        log.info("%s: merging is left to its own job: %s", job.id, error)

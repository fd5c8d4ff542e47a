"""A shard of an experiment: what is asked in it, and the answers that are kept."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError, listing, shown
from lorascope.identity.digests import digest
from lorascope.inferring.lanes import batching
from lorascope.models.batching import part
from lorascope.models.profiles import Scaling, as_scaling
from lorascope.planning.checks import adapter_sources, commits
from lorascope.planning.reasons import FINGERPRINT
from lorascope.planning.told import InferJob, answers
from lorascope.running.stopping import undisturbed
from lorascope.storage.adapters import check_adapter
from lorascope.storage.columns import table_of
from lorascope.storage.downloads import Commit, joined
from lorascope.storage.features import features_sources
from lorascope.storage.journal import Journal
from lorascope.storage.predictions import prediction_fields
from lorascope.storage.records import read_table, table_sources, write_json, write_table

Record = dict[str, Any]
REMEDIES = {
    "float16": "set dtype of the model to bfloat16 or float32, whose range is larger",
    "bfloat16": "a smaller lora_scaling may help, or dtype: float32 of the model",
    "float32": "no dtype has a larger range, a smaller lora_scaling may help",
}
"""What to do about answers that overflow, by the model's dtype."""


class Shard:
    """What a job asks of a model, and what is answered of it so far."""

    def __init__(self, job: InferJob, shard: int, shards: int) -> None:
        self.job, self.shard, self.shards = job, shard, shards
        self.folder = Path(job.folder)
        self.journal = Journal(answers(self.folder), job.digest, f"{shard}-of-{shards}")
        self.found: dict[str, Record] = {}

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.job.id}, shard {self.shard} of {self.shards}"

    @property
    def is_exact(self) -> bool:
        """Whether no answer depends on its neighbours: in half precision rounding does."""
        return bool(self.job.fingerprint["dtype"] == "float32")

    @cached_property
    def _table(self) -> pa.Table:
        return read_table(self.job.items, "items", self.job.dataset)

    @cached_property
    def lanes(self) -> list[list[Item]]:
        """The lanes, which were formed before sharding: no answer depends on how many shards."""
        items = from_table(self._table)
        _check_questions(self.job, items)
        return part(batching(self.job).lanes(items), self.shard, self.shards)

    @cached_property
    def items(self) -> list[Item]:
        """The items of all lanes."""
        return [item for lane in self.lanes for item in lane]

    @cached_property
    def sources(self) -> dict[str, Commit]:
        """Every download that answers are made of, directly or not."""
        job = self.job
        notes = [commits(job.sources), table_sources(self._table)]
        notes += [features_sources(Path(chunk), str(job.features)) for chunk in job.chunks]
        if job.adapter and job.trained:
            notes.append(adapter_sources(job.adapter, job.fingerprint["adapter"]))
        return joined(notes)

    @cached_property
    def trained(self) -> dict[str, str] | None:
        """Which adapter of the study's it is answered with; UserError for a damaged one."""
        if not (self.job.adapter and self.job.trained):
            return None
        files = check_adapter(Path(self.job.adapter), self.job.trained)
        weights = {name: sha256 for name, sha256 in files.items() if name.endswith(".safetensors")}
        return {"digest": self.job.trained, "weights": digest(weights)}

    # -------------------------------------------------------------------------- answers

    def prepare(self) -> None:
        """Read what it needs, so that what is wrong with it is said before a model is loaded."""
        write_json(self.folder / FINGERPRINT, self.job.fingerprint)
        _ = self.trained, self.lanes
        self.look()

    def look(self) -> bool:
        """Read the answers that are kept; return whether that is all of them."""
        self.found = self.journal.read(self.sources)
        return self.is_answered

    @property
    def is_answered(self) -> bool:
        """Whether every item is answered, as far as was read or kept."""
        return all(item.item_id in self.found for item in self.items)

    @property
    def missing(self) -> list[Item]:
        """The items that are to be answered: of whole lanes where neighbours touch an answer."""
        return [item for lane in self.missing_lanes for item in lane]

    @property
    def missing_lanes(self) -> list[list[Item]]:
        """What is to be answered of each lane."""
        left = []
        for lane in self.lanes:
            missing = [item for item in lane if item.item_id not in self.found]
            if missing:
                left.append(missing if self.is_exact else lane)
        return left

    def keep(self, records: Sequence[Record]) -> None:
        """Keep answers, durably: a signal waits until all of them are written."""
        with undisturbed():
            self.journal.append(records)
            self.found |= {record["item_id"]: record for record in records}

    def write(self, path: Path) -> None:
        """Write the answers in the order of the lanes."""
        rows = [self.found[item.item_id] for item in self.items]
        texts = [{**r, "environment": json.dumps(r["environment"], sort_keys=True)} for r in rows]
        table = table_of(texts, shard_schema())
        write_table(path, table, "shard", self.job.digest, sources=self.sources)

    def nonfinite(self) -> str | None:
        """Say how many answers are none, since their numbers overflowed, and what may help."""
        rows = [self.found[item.item_id] for item in self.items]
        broken = [r["item_id"] for r in rows if r["finish_reason"] == "nonfinite"]
        if not broken:
            return None
        return (
            f"{self.job.id}: the numbers of {len(broken)} of {len(rows)} items ceased to be finite "
            f"({listing(broken)}): they are no answers; {REMEDIES[self.job.fingerprint['dtype']]}"
        )


def scaling_of(job: InferJob) -> Scaling | None:
    """Return the LoRA scaling that a job is answered under, None for the adapter's own."""
    return as_scaling(job.fingerprint["lora_scaling"])


def _check_questions(job: InferJob, items: Sequence[Item]) -> None:
    """UserError where a model that takes no question is asked one."""
    asking = [item for item in items if item.question]
    if asking and not job.takes_questions:
        dataset = Path(job.items).parent.parent.name
        raise UserError(
            f"{job.id}: dataset {dataset}: {len(asking)} of {len(items)} items have a question "
            f"({asking[0].item_id}: {shown(asking[0].question)}), and the model writes down what "
            "it hears; leave the question of the dataset out, or use a model that is asked"
        )


def shard_schema() -> pa.Schema:
    """Return the columns of a shard: the answers, then what belongs into the sidecar."""
    return pa.schema(
        [
            *prediction_fields(),
            ("seconds", pa.float64()),
            ("finished", pa.float64()),
            ("halvings", pa.int32()),
            ("environment", pa.string()),
            ("load", pa.string()),
            ("template_date", pa.string()),
            ("clip", pa.string()),
            ("clip_seconds", pa.float64()),
            ("seconds_lost", pa.float64()),
            ("clip_finite", pa.bool_()),
        ]
    )

"""Answer the questions of one shard of an experiment, keeping answers as they come."""

# A job whose answers are all there ends without torch.
# ruff: noqa: PLC0415

import argparse
import json
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError, listing, shown
from lorascope.identity.digests import digest
from lorascope.models.batching import make_batches
from lorascope.models.protocol import Answerer, Dialogue, Question
from lorascope.planning.infer import InferJob, answers
from lorascope.planning.reasons import FINGERPRINT
from lorascope.running.devices import lease
from lorascope.running.memory import Halving
from lorascope.running.progress import Progress
from lorascope.stages.command import (
    adapter_sources,
    check_code,
    check_sources,
    commits,
    environment,
    gpu_option,
    leave,
    local_sources,
    log,
    parser,
    run,
)
from lorascope.storage.adapters import check_adapter
from lorascope.storage.downloads import Commit, Noted, joined
from lorascope.storage.features import features_sources, read_features, read_lost
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


def work(job: InferJob, arguments: argparse.Namespace) -> None:
    """Write the answers of one shard; those that an earlier job kept are not asked for again."""
    folder = Path(job.folder)
    write_json(folder / FINGERPRINT, job.fingerprint)
    table = read_table(job.items, "items", job.dataset)
    items, trained = from_table(table), _trained(job)
    _check_questions(job, items)
    sources = _sources(job, table)
    # Batches are formed before sharding, so that no answer depends on the number of shards.
    batches = _batches(items, job.batch_size)
    mine = batches[arguments.shard :: arguments.shards]
    writer = f"{arguments.shard}-of-{arguments.shards}"
    journal = Journal(answers(folder), job.digest, writer)
    with journal.held():
        found = journal.read(sources)
        todo = _unanswered(mine, found, job.fingerprint["dtype"])
        total, left = sum(map(len, mine)), sum(map(len, todo))
        if todo:
            asked = _Asked(job, todo, arguments.gpus, sources, trained)
            with Progress(total, total - left, job.id) as bar:
                for records in asked.answer(todo):
                    journal.append(records)
                    found |= {record["item_id"]: record for record in records}
                    bar.update(len(records))
        records = [found[item.item_id] for batch in mine for item in batch]
        _write(arguments.out, records, job, sources)
    _warn_nonfinite(records, job)
    log.info("%d items, %d of them answered now", total, left)


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


def _batches(items: Sequence[Item], size: int) -> list[list[Item]]:
    """Return what is answered together: items that are answered in the same way."""
    ways: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        ways.setdefault((item.mode, item.generation), []).append(item)
    return [
        [alike[i] for i in batch]
        for alike in ways.values()
        for batch in make_batches([_length(item) for item in alike], size)
    ]


def _length(item: Item) -> int:
    """Return how long an item is, in characters: the question, and the longest that may follow."""
    return len(item.question) + max(map(len, item.continuations), default=0)


def _sources(job: InferJob, items: pa.Table) -> dict[str, Commit]:
    """Return every download that answers are made of, directly or not."""
    notes = [commits(job.sources), table_sources(items)]
    notes += [features_sources(Path(chunk), str(job.features)) for chunk in job.chunks]
    if job.adapter and job.trained:
        notes.append(adapter_sources(job.adapter, job.fingerprint["adapter"]))
    return joined(notes)


def _trained(job: InferJob) -> dict[str, str] | None:
    """Return which adapter that the study trained is answered with; UserError for a damaged one."""
    if not (job.adapter and job.trained):
        return None
    files = check_adapter(Path(job.adapter), job.trained)
    weights = {name: sha256 for name, sha256 in files.items() if name.endswith(".safetensors")}
    return {"digest": job.trained, "weights": digest(weights)}


def _unanswered(
    batches: Sequence[list[Item]], answers: Mapping[str, Record], dtype: str
) -> list[list[Item]]:
    """Return what is left of the batches: whole ones where neighbours may touch an answer."""
    left = []
    for batch in batches:
        missing = [item for item in batch if item.item_id not in answers]
        if missing:
            left.append(missing if dtype == "float32" else batch)
    return left


class _Asked:
    """A loaded model with the features of the clips that are asked about."""

    def __init__(
        self,
        job: InferJob,
        todo: Sequence[Sequence[Item]],
        gpus: int,
        sources: Noted,
        trained: Mapping[str, str] | None,
    ) -> None:
        from transformers.utils.logging import disable_progress_bar

        planned = job.fingerprint
        clips = {item.clip for batch in todo for item in batch} if job.features else set()
        self.features: dict[str, Any] = {}
        self.lost: dict[str, float] = {}
        for chunk in job.chunks:
            self.features |= read_features(Path(chunk), str(job.features), clips)
            self.lost |= read_lost(Path(chunk), str(job.features))
        if lacking := clips - self.features.keys():
            folder = Path(job.chunks[0]).parent
            raise UserError(
                f"{folder}: lacks the features of {len(lacking)} clips ({min(lacking)}); "
                "delete it and run snakemake again"
            )
        self.job = job
        self.lease = lease(gpus)
        settings = {**planned["settings"], **local_sources(job.sources)}
        adapter = job.adapter or settings.pop("adapter", None)
        disable_progress_bar()
        self.model: Answerer = resolve_name(job.load)(
            settings, self.lease.placement, planned["dtype"], planned["lora_scaling"], adapter
        )
        check_code(job)
        check_sources(job, job.sources)
        self.environment = {**environment(self.lease, sources), "dtype": planned["dtype"]}
        if trained:
            self.environment["adapter"] = trained
        self.template_date: str | None = getattr(self.model, "template_date", None)
        log.info(
            "%s: LoRA scaling %g on %d layers, %s on %s",
            job.id,
            self.model.lora_scaling,
            self.model.parameters_adapted,
            planned["dtype"],
            self.environment["device_name"],
        )

    def answer(self, batches: Sequence[Sequence[Item]]) -> Iterator[list[Record]]:
        """Yield the records of each batch, in halves where it does not fit into memory."""
        halving = Halving(self._answer, f"{self.job.id}: items answered at once")
        for batch in batches:
            before = halving.halvings
            for _, records in halving(batch):
                yield [{**record, "halvings": halving.halvings} for record in records]
            if halving.halvings > before and self.job.fingerprint["dtype"] != "float32":
                log.warning(
                    "%s: in %s, answers of halved batches may differ by rounding",
                    self.job.id,
                    self.job.fingerprint["dtype"],
                )

    def _answer(self, batch: Sequence[Item]) -> list[Record]:
        """Return a record for each item of a batch, all of which are answered in one way."""
        started = time.perf_counter()
        mode = batch[0].mode or self.job.fingerprint["mode"]
        replies = self._generated(batch) if mode == "generate" else self._read(batch, mode)
        seconds, finished = (time.perf_counter() - started) / len(batch), time.time()
        return [
            {
                "item_id": item.item_id,
                "category": item.category,
                "prompt": self._prompt(item, mode),
                **reply,
                "lora_scaling": self.model.lora_scaling,
                "seconds": seconds,
                "finished": finished,
                "environment": self.environment,
                "template_date": self.template_date,
                **self._heard(item),
            }
            for item, reply in zip(batch, replies, strict=True)
        ]

    def _features(self, batch: Sequence[Item]) -> list[Any]:
        import torch

        return [torch.from_numpy(self.features[item.clip]) if item.clip else None for item in batch]

    def _generated(self, batch: Sequence[Item]) -> list[Record]:
        """Return what the model says to each item of a batch."""
        planned = self.job.fingerprint
        generation = {**planned["generation"], **json.loads(batch[0].generation or "{}")}
        answers = self.model.answer(
            [asked(item) for item in batch],
            self._features(batch),
            generation,
            [item_seed(planned["seed"], item.item_id) for item in batch],
        )
        return [
            {
                "response": answer.text,
                "tokens": answer.tokens,
                "prompt_tokens": answer.prompt_tokens,
                "response_tokens": len(answer.tokens),
                "finish_reason": answer.finish_reason,
                "generation": json.dumps(
                    self.model.effective_generation(generation, answer.prompt_tokens)
                ),
            }
            for answer in answers
        ]

    def _prompt(self, item: Item, mode: str) -> str:
        """Return what was read before the reply: nothing before a text that is no answer."""
        question = asked(item)
        return self.model.prompt(question) if question or mode != "loss" else ""

    def _read(self, batch: Sequence[Item], mode: str) -> list[Record]:
        """Return how likely the model finds the continuations of each item of a batch."""
        lacking = [item.item_id for item in batch if not item.continuations]
        if lacking:
            raise UserError(f"mode {mode}: nothing is given to be read after {listing(lacking)}")
        if mode == "choose":
            found = self._chosen(batch)
        else:
            questions = [asked(item) for item in batch]
            texts = [item.continuations[0] for item in batch]
            found = self.model.loss(questions, texts, self.job.fingerprint["loss"])
        return [
            {
                "response": _likeliest(item, one) if mode == "choose" else "",
                "tokens": [],
                "prompt_tokens": one.prompt_tokens,
                "response_tokens": 0,
                "finish_reason": "likelihood" if np.isfinite(one.sums).all() else "nonfinite",
                "generation": "{}",
                "loglikelihoods": one.sums,
                "continuation_tokens": one.tokens,
                "greedy": one.greedy,
            }
            for item, one in zip(batch, found, strict=True)
        ]

    def _chosen(self, batch: Sequence[Item]) -> list[Likelihoods]:
        """Return the likelihoods of each item's continuations, after contexts of their own or not.

        Each context is a question of its own to the model.
        """
        split = [_by_context(item) for item in batch]
        parts = [part for parts in split for part in parts]
        found = iter(
            self.model.choose(
                [asked(part) for part in parts],
                self._features(parts),
                [part.continuations for part in parts],
            )
        )
        return [_in_one([next(found) for _ in parts]) for parts in split]

    def _heard(self, item: Item) -> Record:
        """Return what became of an item's clip ("" for none) before it was answered."""
        clip = item.clip
        return {
            "clip": clip,
            "clip_seconds": item.clip_seconds,
            "seconds_lost": self.lost.get(clip, 0.0),
            "clip_finite": not clip or bool(np.isfinite(self.features[clip]).all()),
        }


def _warn_nonfinite(records: Sequence[Record], job: InferJob) -> None:
    """Count the rows of a shard that are no answers, and say what may help."""
    broken = [r["item_id"] for r in records if r["finish_reason"] == "nonfinite"]
    if broken:
        log.warning(
            "%s: the numbers of %d of %d items ceased to be finite (%s): they are no answers; %s",
            *(job.id, len(broken), len(records), listing(broken)),
            REMEDIES[job.fingerprint["dtype"]],
        )


def asked(item: Item) -> Question:
    """Return what a model is asked: a text, or a dialogue where the item has turns."""
    if item.system or item.turns:
        return Dialogue(item.question, item.system, item.turns)
    return item.question


def _likeliest(item: Item, found: Likelihoods) -> str:
    """Return the likeliest option, to be read (scorers look at the numbers); "" where none is."""
    return item.continuations[np.argmax(found.sums)] if np.isfinite(found.sums).all() else ""


def _by_context(item: Item) -> list[Item]:
    """Return an item for each of an item's contexts, itself where it has none."""
    pairs = zip(item.contexts, item.continuations, strict=True) if item.contexts else ()
    return [replace(item, question=c, continuations=(text,)) for c, text in pairs] or [item]


def _in_one(parts: Sequence[Likelihoods]) -> Likelihoods:
    """Return what one item's continuations have, of those that were asked apart."""
    return Likelihoods(
        sums=tuple(number for part in parts for number in part.sums),
        tokens=tuple(number for part in parts for number in part.tokens),
        greedy=tuple(one for part in parts for one in part.greedy),
        prompt_tokens=parts[0].prompt_tokens,
    )


def item_seed(seed: int, item_id: str) -> int:
    """Return the seed of one item's sampling: the same in every batch, shard and run of a seed."""
    return zlib.crc32(f"{seed}/{item_id}".encode())


def _write(path: Path, records: list[Record], job: InferJob, sources: Noted) -> None:
    rows = [{**r, "environment": json.dumps(r["environment"], sort_keys=True)} for r in records]
    table = pa.Table.from_pylist(rows, schema=shard_schema())
    write_table(path, table, "shard", job.digest, sources=sources)


def shard_schema() -> pa.Schema:
    """Return the columns of a shard: the answers, then what belongs into the sidecar."""
    return pa.schema(
        [
            *prediction_fields(),
            ("seconds", pa.float64()),
            ("finished", pa.float64()),
            ("halvings", pa.int32()),
            ("environment", pa.string()),
            ("template_date", pa.string()),
            ("clip", pa.string()),
            ("clip_seconds", pa.float64()),
            ("seconds_lost", pa.float64()),
            ("clip_finite", pa.bool_()),
        ]
    )


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.infer", __doc__)
    options.add_argument("--shard", required=True, type=int, help="number of this shard, from 0")
    options.add_argument("--shards", required=True, type=int, help="number of shards")
    gpu_option(options)
    return run(options, InferJob, work)


if __name__ == "__main__":
    leave(main())

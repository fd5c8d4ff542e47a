"""Shards to answers: what is asked of a loaded model, and the records of what it says."""

import json
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError, listing
from lorascope.inferring.clips import Clips
from lorascope.inferring.lanes import batching, room
from lorascope.inferring.shard import Record, Shard, scaling_of
from lorascope.models.batching import by_way, cut
from lorascope.models.profiles import Profile, Scaling
from lorascope.models.protocol import Answer, Answerer, Asked, Dialogue, Question
from lorascope.models.strength.kinds import no_drift
from lorascope.running.memory import Halving, is_lack_of_memory, memory_problem
from lorascope.storage.predictions import PROFILE


@dataclass(frozen=True)
class Row:
    """An item of one of the shards that are answered together."""

    shard: Shard
    item: Item


class Answering:
    """A loaded model that answers shards which differ in LoRA scaling and seed alone.

    One shard, unless the model ``scales_rows``. The model has the adapter of all of them, at the
    scaling of the first. ``beside`` is what stands beside each record of a shard.
    """

    def __init__(
        self,
        model: Answerer,
        shards: Sequence[Shard],
        clips: Clips,
        beside: Mapping[Shard, Record],
    ) -> None:
        self.model, self.shards, self.clips, self.beside = model, shards, clips, beside
        self.job = shards[0].job
        self.halving: Halving[Row, list[Record]] = Halving(
            self._read, f"{self.job.id}: items answered at once"
        )
        self.warnings: list[str] = []

    def answer(self) -> Iterator[list[tuple[Row, Record]]]:
        """Yield what is missing with its records: as it comes, or a lane at a time.

        A lane in half precision counts as a whole, so it is of no use before it is one.
        """
        if self.shards[0].is_exact:
            for rows in self._together():
                yield from self._timed(rows)
            return
        [shard] = self.shards
        for lane in shard.missing_lanes:
            before = self.halving.halvings
            rows = [Row(shard, item) for item in lane]
            yield [pair for pairs in self._timed(rows) for pair in pairs]
            if self.halving.halvings > before:
                self.warnings.append(
                    f"{shard.job.id}: in {shard.job.fingerprint['dtype']}, answers of halved "
                    "batches may differ by rounding"
                )

    def _together(self) -> Iterator[list[Row]]:
        """Yield all rows that are answered in one way, an item of all shards after another."""
        missing: dict[str, list[Shard]] = {}
        for shard in self.shards:
            for item in shard.missing:
                missing.setdefault(item.item_id, []).append(shard)
        items = [item for item in self.shards[0].items if item.item_id in missing]
        for alike in by_way(items):
            yield [Row(shard, item) for item in alike for shard in missing[item.item_id]]

    def _timed(self, rows: Sequence[Row]) -> Iterator[list[tuple[Row, Record]]]:
        """Yield rows that are answered in one way with their records, as they come.

        The seconds of a row are its share of the time since others came.
        """
        mode = rows[0].item.mode or self.job.fingerprint["mode"]
        last = time.perf_counter()
        replies = self._decoded(rows) if mode == "generate" else self._likelihoods(rows)
        for several in replies:
            now, finished = time.perf_counter(), time.time()
            times = {"seconds": (now - last) / len(several), "finished": finished}
            yield [(row, self._record(row, mode, reply) | times) for row, reply in several]
            last = now

    def _record(self, row: Row, mode: str, reply: Record) -> Record:
        """Return what is kept of an answer, but for its times."""
        return {
            "item_id": row.item.item_id,
            "category": row.item.category,
            "prompt": self._prompt(row.item, mode),
            **reply,
            **self._scaled(row.shard),
            "halvings": self.halving.halvings,
            **self.beside[row.shard],
            **self.clips.heard(row.item),
        }

    def _prompt(self, item: Item, mode: str) -> str:
        """Return what was read before the reply: nothing before a text that is no answer."""
        question = asked(item)
        is_text = mode in ("loss", "drift") and not question
        return "" if is_text else self.model.prompt(question)

    def _scaled(self, shard: Shard) -> Record:
        """Return by how much the adapter was applied: a scaling, a profile, or a strength."""
        own, strength = scaling_of(shard.job), self.model.strength
        if strength is not None:
            return {"lora_scaling": None, "strength": strength}
        if isinstance(own, Profile):
            return {"lora_scaling": None, PROFILE: json.dumps(dict(own.scalings))}
        return {"lora_scaling": self.model.lora_scaling if own is None else own}

    def _own_scalings(self, rows: Sequence[Row]) -> list[Scaling | None] | None:
        """Return what each row asks for, None where all rows of a call have the one in force."""
        if len(self.shards) == 1:
            return None
        return [scaling_of(row.shard.job) for row in rows]

    # ------------------------------------------------------------------------- generating

    def _decoded(self, rows: Sequence[Row]) -> Iterator[list[tuple[Row, Record]]]:
        """Yield rows with what the model says, as they end; with less room if memory lacks."""
        planned, left = self.job.fingerprint, [*rows]
        space = room(self.job, len(self.shards))
        generation = {**planned["generation"], **json.loads(rows[0].item.generation or "{}")}
        while left:
            problem, ended = None, set()
            try:
                for several in self.model.decode(self._asked(left), generation, space):
                    ended |= {i for i, _ in several}
                    yield [(left[i], self._said(answer, generation)) for i, answer in several]
            except (RuntimeError, MemoryError) as error:
                if not is_lack_of_memory(error):
                    raise
                problem = memory_problem(error)
            left = [row for i, row in enumerate(left) if i not in ended]
            # The exception is gone by now, and with it the tensors its traceback held on to.
            if problem is not None:
                most = self.halving.halve(min(space.rows or len(left), len(left)), problem)
                space = replace(space, rows=most, tokens=space.tokens and space.tokens // 2)

    def _asked(self, rows: Sequence[Row]) -> list[Asked]:
        scalings = self._own_scalings(rows) or [None] * len(rows)
        return [
            Asked(
                asked(row.item),
                self.clips.features(row.item),
                row.item.clip,
                item_seed(row.shard.job.fingerprint["seed"], row.item.item_id),
                scaling,
            )
            for row, scaling in zip(rows, scalings, strict=True)
        ]

    def _said(self, answer: Answer, generation: Mapping[str, Any]) -> Record:
        """Return what is kept of what the model said."""
        effective = self.model.effective_generation(generation, answer.prompt_tokens)
        return {
            "response": answer.text,
            "tokens": answer.tokens,
            "prompt_tokens": answer.prompt_tokens,
            "response_tokens": len(answer.tokens),
            "finish_reason": answer.finish_reason,
            "generation": json.dumps(effective),
        }

    # ----------------------------------------------------------------------- likelihoods

    def _likelihoods(self, rows: Sequence[Row]) -> Iterator[list[tuple[Row, Record]]]:
        """Yield rows with how likely the model finds what is given to be read after them."""
        size = batching(self.job).rows([row.item for row in rows])
        for batch in cut(rows, size):
            for part, records in self.halving(batch):
                yield [*zip(part, records, strict=True)]

    def _read(self, rows: Sequence[Row]) -> list[Record]:
        """Return what is kept of the likelihoods of each row's continuations."""
        mode = rows[0].item.mode or self.job.fingerprint["mode"]
        items = [row.item for row in rows]
        lacking = [item.item_id for item in items if not item.continuations]
        if lacking and not self._reads_prompts(mode):
            raise UserError(f"mode {mode}: nothing is given to be read after {listing(lacking)}")
        if mode == "choose":
            found = self._chosen(rows)
        elif mode == "drift":
            found = self._drift(rows)
        else:
            questions = [asked(item) for item in items]
            texts = [item.continuations[0] for item in items]
            settings, scalings = self.job.fingerprint["loss"], self._own_scalings(rows)
            found = self.model.loss(questions, texts, settings, scalings)
        return [
            {
                "response": _likeliest(item, one) if mode == "choose" else "",
                "tokens": [],
                "prompt_tokens": one.prompt_tokens,
                "response_tokens": 0,
                "finish_reason": "likelihood" if one.is_finite else "nonfinite",
                "generation": "{}",
                "loglikelihoods": one.sums,
                "continuation_tokens": one.tokens,
                "greedy": one.greedy,
                "drift": one.drift and asdict(one.drift),
            }
            for item, one in zip(items, found, strict=True)
        ]

    def _reads_prompts(self, mode: str) -> bool:
        """Return whether prompts alone are read, with nothing after them."""
        return mode == "drift" and bool(self.job.fingerprint["drift"]["over"] == "prompt")

    def _drift(self, rows: Sequence[Row]) -> list[Likelihoods]:
        """Return how far each row's item is off without the adapter."""
        planned = self.job.fingerprint
        if self.model.strength is not None:
            raise UserError(no_drift(f"{self.job.id}'s adapter"))
        return self.model.drift(
            [asked(row.item) for row in rows],
            [self.clips.features(row.item) for row in rows],
            [reference(row.item) for row in rows],
            {**planned["loss"], **planned["drift"]},
            self._own_scalings(rows),
            [row.item.clip for row in rows],
        )

    def _chosen(self, rows: Sequence[Row]) -> list[Likelihoods]:
        """Return the likelihoods of each row's continuations, after contexts of their own or not.

        Each context is a question of its own to the model.
        """
        split = [[Row(row.shard, part) for part in _by_context(row.item)] for row in rows]
        parts = [part for several in split for part in several]
        found = iter(
            self.model.choose(
                [asked(part.item) for part in parts],
                [self.clips.features(part.item) for part in parts],
                [part.item.continuations for part in parts],
                self._own_scalings(parts),
                [part.item.clip for part in parts],
            )
        )
        return [_in_one([next(found) for _ in several]) for several in split]


def asked(item: Item) -> Question:
    """Return what a model is asked: a text, or a dialogue where the item has turns."""
    if item.system or item.turns:
        return Dialogue(item.question, item.system, item.turns)
    return item.question


def reference(item: Item) -> str:
    """Return what is right after an item's question: its gold option, or its text; "" for none."""
    letters = [letter for letter, _ in item.options]
    place = letters.index(item.gold) if item.options else 0
    return item.continuations[place] if item.continuations else ""


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

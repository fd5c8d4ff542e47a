"""Score the responses of an experiment; saved responses can be scored again at any time."""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.errors import UserError
from lorascope.planning.score import ScoreJob
from lorascope.scoring.item_score import ACCURACY, ItemScore, Measure
from lorascope.stages.command import check_code, check_modules, log, parser, run
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
    own, measured, rows = job.fingerprint["settings"], _Measured(), []
    for item in items:
        reply = replies[item.item_id]
        try:
            scores = list(_scores(item, reply, score, own))
            measured.add(item, scores)
        except UserError as error:
            raise UserError(f"{job.id}: item {item.item_id}: {error}") from error
        rows += [_row(item, found, reply) for found in scores]
    check_modules(job)
    table = pa.Table.from_pylist(rows, schema=_schema())
    note: dict[str, Any] = {name: predictions[name][-1].as_py() for name in NOTED}
    note["measures"] = {c: vars(m) for c, m in measured.measures.items() if m != ACCURACY}
    sources = joined([table_sources(asked), table_sources(predictions)])
    write_table(arguments.out, table, "scores", job.digest, note, sources)
    judged = [row["correct"] for row in rows if measured.measures[row["category"]].has_best]
    if judged:
        log.info("%s: %d of %d correct", job.id, sum(judged), len(judged))
    else:
        log.info("%s: %d scores", job.id, len(rows))


class _Measured:
    """What the scores of each category measure: every item has the same metrics of one measure."""

    def __init__(self) -> None:
        self.measures: dict[str, Measure] = {}
        self._first: dict[str, tuple[str, list[str]]] = {}

    def add(self, item: Item, scores: Sequence[ItemScore]) -> None:
        """Note an item's scores; UserError where they are not of the kind of those before."""
        metrics = [found.metric for found in scores]
        other, before = self._first.setdefault(item.category, (item.item_id, metrics))
        if metrics != before or len({*metrics}) < len(metrics):
            raise UserError(
                f"its metrics are {_listed(metrics)}, those of item {other} {_listed(before)}; a "
                "scorer has to give the items of a category the same ones, each once"
            )
        for found in scores:
            if found.status != "nonfinite":
                _check(found)
            category = scored_category(item.category, found.metric)
            measure = self.measures.setdefault(category, found.measure)
            if measure != found.measure:
                raise UserError(
                    f"its score in {category} is of the measure {found.measure.title!r}, that of "
                    f"item {other} of {measure.title!r} or another direction; a scorer has to "
                    "measure one thing in a category"
                )


def _listed(metrics: Sequence[str]) -> str:
    return ", ".join(metric or "one without a name" for metric in metrics) or "none"


def _check(found: ItemScore) -> None:
    """Raise UserError for credits and weights that no mean can be made of."""
    if found.credit == 0 == found.weight:  # an item that does not count
        return
    measure, part = found.measure, found.credit / found.weight if found.weight else math.nan
    if not 0 < found.weight < math.inf or math.isnan(part):
        raise UserError(
            f"the scorer gave the credit {found.credit} and the weight {found.weight}, of which no "
            "mean can be made; give numbers, and a weight above 0"
        )
    if measure.bounded and not 0 <= part <= 1:
        raise UserError(
            f"the scorer gave the credit {found.credit:g} of {found.weight:g}, where its measure "
            "has parts of 1; give it a measure with bounded=False"
        )


def _scores(
    item: Item,
    reply: dict[str, Any],
    score: Callable[..., list[ItemScore]],
    own: Mapping[str, Any],
) -> Iterator[ItemScore]:
    """Yield the score of one reply by each metric.

    A response without a word chose nothing, whatever the scorer. One whose computation ended in
    numbers that are none is no reply at all: it has the worst credit that there is. UserError for
    an error in the scorer.
    """
    finish, read = reply["finish_reason"], reply["loglikelihoods"]
    given: str | Likelihoods = reply["response"]
    if read is not None:
        tokens, greedy = reply["continuation_tokens"], reply["greedy"]
        given = Likelihoods(tuple(read), tuple(tokens), tuple(greedy), reply["prompt_tokens"])
    try:
        scores = score(given, item, **own)
    except UserError:
        raise
    except Exception as error:
        log.debug("the scorer failed", exc_info=True)
        raise UserError(f"the scorer failed: {type(error).__name__}: {error}") from error
    for found in scores:
        if finish == "nonfinite":
            credit = found.measure.of_no_reply(found.weight)
            lost = replace(found, credit=credit, choice=None, margin=None)
            yield replace(lost, status=finish, reason="non-finite logits")
        elif isinstance(given, str) and not given.strip():
            yield replace(found, status="none", choice=None)
        else:
            yield found


def _probability(item: Item, choice: str | None, sums: Sequence[float] | None) -> float | None:
    """Return the probability of the chosen option among all, by the likelihoods of the whole."""
    letters = [letter for letter, _ in item.options]
    if choice not in letters or sums is None or len(sums) != len(letters):
        return None
    most = max(sums)
    parts = [math.exp(one - most) for one in sums]
    return parts[letters.index(choice)] / sum(parts)


def _row(item: Item, found: ItemScore, reply: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "category": scored_category(item.category, found.metric),
        # By content: a clip that two tracks hold under two names is one.
        "clip": item.clip_sha256 or item.passage,
        "options": len(item.options),
        "status": found.status,
        "choice": found.choice,
        "correct": found.measure.is_full(found.credit, found.weight),
        "credit": found.credit,
        "weight": found.weight,
        "margin": found.margin,
        "probability": _probability(item, found.choice, reply["loglikelihoods"]),
        "reason": found.reason,
        "finish_reason": reply["finish_reason"],
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
            ("probability", pa.float64()),
            ("reason", pa.string()),
            ("finish_reason", pa.string()),
        ]
    )


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.score", __doc__), ScoreJob, work)


if __name__ == "__main__":
    sys.exit(main())

"""Decide which candidates of a search are asked more of the items, by what is answered so far."""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from statistics import fmean
from typing import Any

from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError
from lorascope.models.batching import Batching, part
from lorascope.planning.checks import check_code
from lorascope.planning.search import KIND, SearchJob
from lorascope.scoring.item_score import ItemScore
from lorascope.scoring.replies import REPLY, reply_scores
from lorascope.stages.command import log, parser, run
from lorascope.storage.records import read_table, write_document
from lorascope.study.categories import scored_category
from lorascope.study.choice_words import MEAN

Record = dict[str, Any]


def work(job: SearchJob, arguments: argparse.Namespace) -> None:
    """Write the scores of all candidates, and the names of those that go on."""
    check_code(job)
    asked: dict[str, frozenset[str]] = {}
    rows, rises = [], True
    for candidate in job.candidates:
        found = [
            (item, score)
            for one in candidate["experiments"]
            for item, score in _scores(one, job, asked)
        ]
        score, rises = _value(found, job.by, candidate["name"])
        items = len({(item.category, item.item_id) for item, _ in found})
        rows.append({"name": candidate["name"], "score": score, "items": items})
    left = _left(rows, rises, job)
    for row in rows:
        log.info(
            "%s: %g, %s", row["name"], row["score"], "goes on" if row["name"] in left else "dropped"
        )
    for row in rows:
        row["score"] = None if math.isnan(row["score"]) else row["score"]
    content = {"rung": job.rung, "parts": job.parts, "of": job.of, "candidates": rows, "left": left}
    write_document(arguments.out, KIND, job.digest, content)


def _left(rows: Sequence[Record], rises: bool, job: SearchJob) -> list[str]:
    """Return who goes on, in the order of the candidates; all that tie with the last one do.

    Where no candidate has a value, as no item of the parts has, all of them do.
    """
    sign = 1 if rises else -1
    goodness = [-math.inf if math.isnan(row["score"]) else sign * row["score"] for row in rows]
    worst = sorted(goodness, reverse=True)[: job.keep][-1]
    names = [row["name"] for row in rows]
    return [n for n, good in zip(names, goodness, strict=True) if good >= worst or n in job.always]


def _scores(
    one: Mapping[str, Any], job: SearchJob, asked: dict[str, frozenset[str]]
) -> Iterator[tuple[Item, ItemScore]]:
    """Yield the scores of an experiment's items that are in the parts; UserError if not all are.

    asked: dataset -> the items of the parts, which are the same for all experiments.
    """
    items = from_table(read_table(one["items"], "items", one["dataset"]))
    lanes = Batching(**one["lanes"]).lanes(items)
    parts = [lane for shard in range(job.parts) for lane in part(lanes, shard, job.of)]
    wanted = {item.item_id: item for lane in parts for item in lane}
    replies = [r for r in _replies(one, job) if r["item_id"] in wanted]
    if len(replies) != len(wanted):
        raise UserError(
            f"{one['id']}: {len(replies)} answers to the {len(wanted)} items of "
            f"{job.parts} of {job.of} parts; delete {Path(one['shards'][0]).parent} and run again"
        )
    if asked.setdefault(one["dataset"], frozenset(wanted)) != wanted.keys():
        raise UserError(f"{one['id']}: its parts have other items than those of other candidates")
    score = resolve_name(one["score_item"])
    for reply in replies:
        item = wanted[reply["item_id"]]
        try:
            yield from ((item, found) for found in reply_scores(item, reply, score, one["own"]))
        except UserError as error:
            raise UserError(f"{one['id']}: item {item.item_id}: {error}") from error


def _replies(one: Mapping[str, Any], job: SearchJob) -> list[Record]:
    """Return the replies of an experiment: of its predictions where it has some."""
    files = [(path, "shard") for path in one["shards"][: job.parts]]
    if Path(one["predictions"]).exists():
        files = [(one["predictions"], "predictions")]
    tables = [read_table(path, kind, one["digest"], REPLY) for path, kind in files]
    return [reply for table in tables for reply in table.to_pylist()]


def _value(found: Sequence[tuple[Item, ItemScore]], by: str, name: str) -> tuple[float, bool]:
    """Return the value of scores, as shown, and whether higher is better.

    Of the mean over categories, those count that the parts have items of.
    """
    groups: dict[str, list[ItemScore]] = {}
    for item, score in found:
        groups.setdefault(scored_category(item.category, score.metric), []).append(score)
    if by != MEAN:
        groups = {by: groups[by]} if by in groups else {}
    measures = {score.measure for scores in groups.values() for score in scores}
    if len({measure.higher_is_better for measure in measures}) > 1 or (
        len(groups) > 1 and not all(measure.is_share for measure in measures)
    ):
        raise UserError(f"{name}: its categories measure different things; set by of the search")
    if not groups:
        return math.nan, True
    measure = next(iter(measures))
    means = [_mean(scores) for scores in groups.values()]
    scale = 100 if measure.scale == "percent" else 1
    if measure.scale == "exponential":
        return math.exp(min(means[0], 700)), measure.higher_is_better
    return scale * fmean(means), measure.higher_is_better


def _mean(scores: Sequence[ItemScore]) -> float:
    weight = math.fsum(score.weight for score in scores)
    return math.fsum(score.credit for score in scores) / weight if weight else math.nan


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.search", __doc__), SearchJob, work)


if __name__ == "__main__":
    sys.exit(main())

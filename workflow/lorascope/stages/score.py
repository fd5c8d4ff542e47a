"""Score the responses of an experiment; saved responses can be scored again at any time."""

import argparse
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError
from lorascope.planning.checks import check_code
from lorascope.planning.told import ScoreJob
from lorascope.scoring.item_score import ACCURACY, UNJUDGED, ItemScore, Measure, Verdict
from lorascope.scoring.replies import REPLY, has_words, is_decided, reply_scores
from lorascope.stages.command import check_modules, leave, log, parser, run
from lorascope.storage.columns import table_of
from lorascope.storage.downloads import Noted, joined
from lorascope.storage.records import read_table, table_sources, write_table
from lorascope.study.categories import scored_category
from lorascope.study.scorer_names import named_scorer

CORRECT, INCORRECT = "correct", "incorrect"
NOTED = ["lora_scaling", "strength", "generation"]
Record = dict[str, Any]


def work(job: ScoreJob, arguments: argparse.Namespace) -> None:
    """Write the credit, the choice and the reason of every item, for each metric."""
    scoring = _Judged(job) if job.verdicts else _Scoring(job)
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
    measured, rows = _Measured(), []
    for item in items:
        reply = replies[item.item_id]
        try:
            scores, beside = scoring.of(item, reply)
            measured.add(item, scores)
        except UserError as error:
            raise UserError(f"{job.id}: item {item.item_id}: {error}") from error
        rows += [_row(item, found, reply) | beside for found in scores]
    check_modules(job)
    table = table_of(rows, pa.schema([*_schema(), *scoring.columns]))
    note: dict[str, Any] = {name: predictions[name][-1].as_py() for name in NOTED}
    note["measures"] = {c: vars(m) for c, m in measured.measures.items() if m != ACCURACY}
    note |= scoring.note
    sources = joined([table_sources(asked), table_sources(predictions), *scoring.sources])
    write_table(arguments.out, table, "scores", job.digest, note, sources)
    _tell(job.id, [row for row in rows if measured.measures[row["category"]].has_best], len(rows))


def _tell(name: str, judged: Sequence[Record], scores: int) -> None:
    """Say in the log how many scores are right, and how many are none."""
    if not judged:
        log.info("%s: %d scores", name, scores)
        return
    unjudged = sum(row["status"] == UNJUDGED for row in judged)
    beside = f", {unjudged} unjudged" if unjudged else ""
    right = sum(bool(row["correct"]) for row in judged)
    log.info("%s: %d of %d correct%s", name, right, len(judged), beside)


class _Scoring:
    """What a scorer says of replies."""

    columns: Sequence[pa.Field] = ()
    """What stands in the table beside the columns that all scores have."""

    def __init__(self, job: ScoreJob) -> None:
        self.score, self.own = resolve_name(job.score_item), job.fingerprint["settings"]
        self.note: Record = {}
        self.sources: list[Noted] = []

    def of(self, item: Item, reply: Record) -> tuple[list[ItemScore], Record]:
        """Return the scores of a reply, and the cells of ``columns``."""
        return list(reply_scores(item, reply, self.score, self.own)), {}


class _Judged(_Scoring):
    """What a judge says of replies, or of those that rules cannot decide.

    ``judge`` is the one whose verdict decided; ``verdict`` is what the first judge said and
    ``second`` what the second one did, whether it decided or not; ``by_rules`` is what the rules
    decided.
    """

    columns = tuple(
        pa.field(name, pa.string()) for name in ("judge", "verdict", "second", "by_rules")
    )

    def __init__(self, job: ScoreJob) -> None:
        super().__init__(job)
        self.rules = resolve_name(job.rules) if job.rules else None
        self.of_rules = named_scorer(self.own["rules"]).own if job.rules else {}
        self.undecided = job.fingerprint.get("undecided", ())
        self.judges = [name for name, _, _ in job.verdicts]
        self.note = {"judges": self.judges}
        tables = [read_table(path, "verdicts", digest) for _, path, digest in job.verdicts]
        self.sources = [table_sources(table) for table in tables]
        self.verdicts = [{row["item_id"]: row for row in t.to_pylist()} for t in tables]

    def of(self, item: Item, reply: Record) -> tuple[list[ItemScore], Record]:
        """Return the scores of a reply, and the cells of ``columns``."""
        said = [verdicts.get(item.item_id) for verdicts in self.verdicts]
        cells = {"verdict": _said(said[0]), "second": _said(said[1]) if said[1:] else None}
        if self.rules:
            scores = list(reply_scores(item, reply, self.rules, self.of_rules))
            if is_decided(scores, self.undecided):
                right = CORRECT if scores[0].credit == 1 else INCORRECT
                return scores, {**cells, "by_rules": right if has_words(reply) else None}
            if not has_words(reply):
                return scores, cells
        first = said[0]
        if first is None and has_words(reply):
            raise UserError("its response was not judged; delete the verdicts and run again")
        verdict = first and Verdict(first["verdict"], first["reason"])
        score = partial(self.score, verdict=verdict)
        judge = self.judges[0] if first and first["calls"] else None
        return list(reply_scores(item, reply, score, {})), {**cells, "judge": judge}


def _said(row: Record | None) -> str | None:
    return row["verdict"] if row and row["calls"] else None


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
            if found.status not in ("nonfinite", UNJUDGED):
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


def _probability(item: Item, choice: str | None, sums: Sequence[float] | None) -> float | None:
    """Return the probability of the chosen option among all, by the likelihoods of the whole."""
    letters = [letter for letter, _ in item.options]
    if choice not in letters or sums is None or len(sums) != len(letters):
        return None
    most = max(sums)
    parts = [math.exp(one - most) for one in sums]
    return parts[letters.index(choice)] / sum(parts)


def _row(item: Item, found: ItemScore, reply: Mapping[str, Any]) -> Record:
    judged = found.status != UNJUDGED
    return {
        "item_id": item.item_id,
        "category": scored_category(item.category, found.metric),
        # By content: a clip that two tracks hold under two names is one.
        "clip": item.clip_sha256 or item.passage,
        "options": len(item.options),
        "status": found.status,
        "choice": found.choice,
        "correct": found.measure.is_full(found.credit, found.weight) if judged else None,
        "credit": found.credit if judged else None,
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
    leave(main())

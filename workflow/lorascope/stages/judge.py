"""Let a judge say of the responses of an experiment what rules cannot; each reply is kept."""

# Only a judge that still has to be asked is loaded, or called.
# ruff: noqa: PLC0415

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, from_table, spread
from lorascope.errors import UserError
from lorascope.judging.asking import (
    Asking,
    Outcome,
    Question,
    ask,
    preferred,
    without_asking,
)
from lorascope.judging.calls import Backend, Call, CallCache, Reply
from lorascope.judging.prompts import PROTOCOLS, read_protocol
from lorascope.planning.checks import (
    adapter_sources,
    check_code,
    check_sources,
    commits,
    local_sources,
)
from lorascope.planning.judge import JudgeJob, lock_of
from lorascope.running.progress import Progress
from lorascope.scoring.replies import REPLY, has_words, is_decided, reply_scores
from lorascope.stages.command import check_modules, gpu_option, leave, log, parser, run
from lorascope.storage.adapters import check_adapter
from lorascope.storage.columns import table_of
from lorascope.storage.downloads import joined
from lorascope.storage.locks import exclusive
from lorascope.storage.records import read_table, table_sources, write_table
from lorascope.study.scorer_names import named_scorer

Replies = Mapping[str, Mapping[str, Any]]
"""Item ID -> what was predicted."""
MOST_TOLD = 3  # reasons that the log names


def work(job: JudgeJob, arguments: argparse.Namespace) -> None:
    """Write a verdict on each response that needs one, or why there is none."""
    check_code(job)
    asked = read_table(job.items, "items", job.dataset)
    tables = [_predictions(job.predictions, job.predicted)]
    if job.rivals and job.rivalled:
        tables.append(_predictions(job.rivals, job.rivalled))
    replies = [{row["item_id"]: row for row in table.to_pylist()} for table in tables]
    with exclusive(lock_of(arguments.out), f"the verdicts of {job.judge} on {job.id}"):
        cache = CallCache(Path(job.cache))
        judging = _Judging(job, cache, arguments.gpus)
        if len(replies) == 2:
            outcomes = judging.preferences(from_table(asked), *replies)
        else:
            outcomes = judging.verdicts(_to_judge(job, from_table(asked), replies[0]), replies[0])
    check_modules(job)
    rows = [{"item_id": identifier, **vars(found)} for identifier, found in outcomes.items()]
    made_of = [table_sources(table) for table in (asked, *tables)]
    made_of += [commits(job.sources)] if job.sources else []
    if job.adapter and job.trained:
        made_of.append(adapter_sources(job.adapter, job.fingerprint["judge"]["adapter"]))
    note = {"judge": job.judge, "identity": job.identity}
    table = table_of(rows, verdict_schema())
    write_table(arguments.out, table, "verdicts", job.digest, note, joined(made_of))
    _tell(job, outcomes)


def _predictions(path: str, digest: str) -> pa.Table:
    return read_table(path, "predictions", digest, REPLY)


def _to_judge(job: JudgeJob, items: Sequence[Item], replies: Replies) -> list[Item]:
    """Return the items whose responses are judged: those with words that rules do not decide.

    So many of those that they do as the scorer's key agreement says are judged, too.
    """
    worded = [item for item in items if has_words(replies[item.item_id])]
    planned = job.fingerprint["rules"]
    if job.rules is None or planned is None:
        return worded
    score, (_, own) = resolve_name(job.rules), named_scorer(_written(planned))
    decided = []
    for item in worded:
        try:
            scores = list(reply_scores(item, replies[item.item_id], score, own))
            if is_decided(scores, planned["undecided"]):
                decided.append(item)
        except UserError as error:
            raise UserError(f"{job.id}: item {item.item_id}: {error}") from error
    beside = spread(decided, planned["agreement"], lambda item: item.item_id)
    passed = {item.item_id for item in decided} - {item.item_id for item in beside}
    return [item for item in worded if item.item_id not in passed]


def _written(planned: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": planned["scorer"], **planned["settings"]}


class _Judging:
    """A judge that is asked about items: what it said before is not asked again."""

    def __init__(self, job: JudgeJob, cache: CallCache, gpus: int) -> None:
        planned = job.fingerprint
        self.job, self.cache, self.gpus = job, cache, gpus
        protocol = PROTOCOLS.get(job.protocol) if isinstance(planned["protocol"], str) else None
        self.how = Asking(
            kind=planned["asks"],
            protocol=protocol or read_protocol(Path(job.protocol), planned["asks"]),
            judge=job.identity,
            **planned["settings"],
        )

    def verdicts(self, items: Sequence[Item], replies: Replies) -> dict[str, Outcome]:
        """Return item ID -> verdict on its response."""
        questions = [Question(item, (replies[item.item_id]["response"],)) for item in items]
        names = [item.item_id for item in items]
        return dict(zip(names, self._ask(questions), strict=True))

    def preferences(
        self, items: Sequence[Item], replies: Replies, others: Replies
    ) -> dict[str, Outcome]:
        """Return item ID -> whether its response is better than the other one, in both orders."""
        found: dict[str, Outcome] = {}
        questions, names = [], []
        for item in items:
            name = item.item_id
            own, other = (_words(of[name]) for of in (replies, others))
            if outcome := without_asking(own, other):
                found[name] = outcome
            else:
                names.append(name)
                questions += [Question(item, pair) for pair in ((own, other), (other, own))]
        said = self._ask(questions)
        found |= {name: preferred(*said[2 * i : 2 * i + 2]) for i, name in enumerate(names)}
        return {item.item_id: found[item.item_id] for item in items}

    def _ask(self, questions: Sequence[Question]) -> list[Outcome]:
        with Progress(len(questions), 0, f"{self.job.id}: {self.job.judge}", "response") as bar:
            backend = _backend(self.job, self.cache, self.gpus)
            outcomes = ask(questions, self.how, backend, bar.update)
        if outcomes and all(outcome.text is None for outcome in outcomes):
            raise UserError(
                f"{self.job.id}: {self.job.judge} replied to none of {len(outcomes)} questions "
                f"({outcomes[0].reason}); correct that, and run snakemake again"
            )
        return outcomes


def _words(reply: Mapping[str, Any]) -> str:
    """Return a response; "" for one of numbers that ceased to be finite."""
    return reply["response"] if has_words(reply) else ""


def _backend(job: JudgeJob, cache: CallCache, gpus: int) -> Backend:
    """Return who is asked: a server, or a model that is loaded once there is something to ask."""
    if job.server is None:
        return _Model(job, cache, gpus)
    from lorascope.judging.server import ServerBackend
    from lorascope.study.judge_servers import JudgeServer

    return ServerBackend(JudgeServer.model_validate(job.server), cache)


class _Model:
    """A model of the study that is asked what the cache does not hold."""

    def __init__(self, job: JudgeJob, cache: CallCache, gpus: int) -> None:
        self.job, self.cache, self.gpus = job, cache, gpus
        self.backend: Backend | None = None

    def ask(self, calls: Iterable[Call]) -> Iterator[tuple[Call, Reply]]:
        """Yield each call with its reply: at once where it was asked before."""
        new = []
        for call in calls:
            text = self.cache.get(call)
            if text is None:
                new.append(call)
            else:
                yield call, Reply(text)
        if new:
            self.backend = self.backend or self._loaded()
            yield from self.backend.ask(new)

    def _loaded(self) -> Backend:
        from transformers.utils.logging import disable_progress_bar

        from lorascope.judging.local import LocalBackend
        from lorascope.running.devices import lease

        job, planned = self.job, self.job.fingerprint["judge"]
        if job.adapter and job.trained:
            check_adapter(Path(job.adapter), job.trained)
        settings = {**planned["settings"], **local_sources(job.sources)}
        adapter = job.adapter or settings.pop("adapter", None)
        device = lease(self.gpus).placement
        disable_progress_bar()
        model = resolve_name(str(job.load))(
            settings, device, planned["dtype"], planned["lora_scaling"], adapter
        )
        check_code(job)
        check_sources(job, job.sources)
        what = f"{job.id}: {job.judge}"
        return LocalBackend(model, self.cache, job.batch_size, job.tokens_at_once, what)


def verdict_schema() -> pa.Schema:
    """Return the columns of a table of verdicts; a verdict of null is none: unjudged."""
    return pa.schema(
        [
            ("item_id", pa.string()),
            ("verdict", pa.string()),
            ("reason", pa.string()),
            ("text", pa.string()),
            ("calls", pa.int32()),
        ]
    )


def _tell(job: JudgeJob, outcomes: Mapping[str, Outcome]) -> None:
    """Say in the log how many responses are judged, and why others are not."""
    reasons = Counter(o.reason for o in outcomes.values() if o.verdict is None)
    left = reasons.total()
    log.info("%s: %s judged %d responses", job.id, job.judge, len(outcomes) - left)
    if left:
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(MOST_TOLD))
        log.warning("%s: %d of %d responses are unjudged: %s", job.id, left, len(outcomes), why)


def main() -> int:
    """Run the stage from the command line."""
    options = parser("lorascope.stages.judge", __doc__)
    gpu_option(options)
    return run(options, JudgeJob, work)


if __name__ == "__main__":
    leave(main())

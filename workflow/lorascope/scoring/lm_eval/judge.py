"""Replies judged by tasks of lm-evaluation-harness, each for itself."""

# The harness's libraries read their environment when they are imported, so that comes first.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lorascope.benchmarks.items import Item
from lorascope.benchmarks.likelihoods import Likelihoods
from lorascope.benchmarks.lm_eval.tasks import OFFLINE, Task
from lorascope.errors import UserError, shown
from lorascope.scoring.item_score import ACCURACY, ItemScore, Measure

if TYPE_CHECKING:
    from lorascope.benchmarks.lm_eval.harness import JudgingTask

DEFAULT_FILTER = "none"
"""The harness's name for what a task without filters does to its replies."""
NO_ANSWER = "[invalid]"
"""What the harness's filters give where they find nothing."""
SIZES: Mapping[str, Callable[[str], int]] = {
    "acc": lambda text: 1,
    "acc_norm": len,
    "acc_bytes": lambda text: len(text.encode()),
}
"""Metric of a choice -> by what the log-likelihood of an option's text is divided."""
NOT_LEGAL = re.compile(r"[^A-Za-z0-9._-]+")
_JUDGES: dict[tuple[str, int, int], JudgingTask] = {}


def score_item(reply: str | Likelihoods, item: Item) -> list[ItemScore]:
    """Return a score for each metric of the item's task, under each of its filters.

    Metrics are named as the harness reports them, <metric>-<filter>, the metric alone where a task
    has no filters. UserError where the task's files are not those that the item was made by.
    """
    record = json.loads(item.record)
    task = _judge(record)
    found = []
    for name, responses in _filtered(task, record, reply).items():
        # A row of its own for each filter: what judges may change it.
        row = json.loads(item.record)["row"]
        results = task.process_results(row, responses)
        choices = _choices(reply, item) if isinstance(reply, Likelihoods) else {}
        for metric, value in results.items():
            if metric not in task.left_out:
                where = f"{item.item_id}: metric {metric}"
                verdict = _verdict(reply, responses, choices.get(metric))
                found.append(_score(task, metric, name, value, verdict, where))
    _refuse_twins([score.metric for score in found], item.item_id)
    return found


def _judge(record: Mapping[str, Any]) -> JudgingTask:
    """Return the task that a record was made by; it is made once."""
    key = record["task"], record["inputs"], record["targets"]
    if key not in _JUDGES:
        os.environ.update(OFFLINE)
        from lorascope.benchmarks.lm_eval.harness import JudgingTask

        task, inputs, targets = key
        _JUDGES[key] = JudgingTask(Task(**json.loads(task)), record["row"], inputs, targets)
    return _JUDGES[key]


def _filtered(
    task: JudgingTask, record: Mapping[str, Any], reply: str | Likelihoods
) -> dict[str, list[Any]]:
    """Return filter -> what it leaves of the replies to the requests of one row."""
    from lm_eval.api.instance import Instance

    kind, about = task.OUTPUT_TYPE, (task.task_name, record["number"], 1)
    requests = [
        Instance(kind, record["row"], (), number, about, resps=[response])
        for number, response in enumerate(_responses(reply, kind))
    ]
    task._instances = requests
    task.apply_filters()
    names = requests[0].filtered_resps
    return {name: [request.filtered_resps[name] for request in requests] for name in names}


def _responses(reply: str | Likelihoods, kind: str) -> Sequence[Any]:
    """Return what the harness's models would have returned for the requests of one row."""
    if isinstance(reply, str):
        return [reply]
    if kind == "loglikelihood_rolling":
        return reply.sums
    return list(zip(reply.sums, reply.greedy, strict=True))


# -------------------------------------------------------------------------------- the verdict


def _score(
    task: JudgingTask,
    metric: str,
    filtered: str,
    value: Any,
    verdict: Mapping[str, Any],
    where: str,
) -> ItemScore:
    """Return the score of a metric's value for one item.

    As in the harness, a metric of which the task says nothing is a mean, and more is better.
    """
    from lm_eval.api.metrics import mean

    from lorascope.benchmarks.lm_eval.measuring import MEANS, SHARES

    aggregation = task.aggregation().get(metric, mean)
    of_items = MEANS[aggregation]
    try:
        credit, weight = of_items.count(value)
    except (TypeError, ValueError):
        raise UserError(f"{where} is {shown(value)}, which is no number") from None
    called = metric if filtered == DEFAULT_FILTER else f"{metric}-{filtered}"
    higher = task.higher_is_better().get(metric) is not False
    share = aggregation is mean and metric in SHARES
    if share and not 0 <= credit <= 1 and math.isfinite(credit):
        raise UserError(
            f"{where} is {credit:g}, and is taken for a share, between 0 and 1; give it another "
            "name in the task's file"
        )
    measure = ACCURACY if share and higher else Measure(called, of_items.scale, higher, False)
    named = NOT_LEGAL.sub("-", called)
    return ItemScore(named, credit, weight=weight, measure=measure, **verdict)


def _verdict(
    reply: str | Likelihoods, responses: list[Any], choice: tuple[str, float | None] | None
) -> dict[str, Any]:
    """Return status, choice, reason and margin of a score."""
    if isinstance(reply, str):
        taken = responses[0]
        nothing = taken in (NO_ANSWER, [NO_ANSWER], [])
        reason = "no answer that the filter knows" if nothing else f"taken for {shown(taken)}"
        return {"status": "none" if nothing else "valid", "choice": None, "reason": reason}
    if choice is None:
        return {"status": "valid", "choice": None, "reason": "its likelihood"}
    letter, margin = choice
    return {"status": "valid", "choice": letter, "reason": "the likeliest", "margin": margin}


def _choices(reply: Likelihoods, item: Item) -> dict[str, tuple[str, float | None]]:
    """Return metric -> the option it takes, and how far the right one is ahead of the best other.

    Nothing for items that are no choice, and where a number is not finite.
    """
    count = len(item.options)
    if not count or not all(map(math.isfinite, reply.sums)):
        return {}
    letters, texts = zip(*item.options, strict=True)
    sums, alone = reply.sums[:count], reply.sums[count:]
    found = {}
    for metric, size in SIZES.items():
        if all(map(size, texts)):
            found[metric] = [s / size(text) for s, text in zip(sums, texts, strict=True)]
    if len(alone) == count:
        found["acc_mutual_info"] = [s - of for s, of in zip(sums, alone, strict=True)]
    return {
        metric: (letters[numbers.index(max(numbers))], _margin(numbers, letters, item.gold))
        for metric, numbers in found.items()
    }


def _margin(numbers: Sequence[float], letters: Sequence[str], gold: str) -> float | None:
    others = [n for n, letter in zip(numbers, letters, strict=True) if letter != gold]
    if len(others) != len(numbers) - 1 or not others:
        return None
    return numbers[letters.index(gold)] - max(others)


def _refuse_twins(names: list[str], where: str) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise UserError(f"{where}: two metrics have the name {twins[0]}; rename one in the task")

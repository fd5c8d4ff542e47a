"""lm-evaluation-harness's files of samples, ``samples_<task>_<date>.jsonl`` of its --log_samples.

A line is a row of a task: ``doc_id``, ``arguments`` (what was asked), ``resps`` (what came of each
request), ``filter`` and scores; with several filters a row has a line for each. Since 0.4.4
arguments are ``{"gen_args_0": {"arg_0": ...}}``, and lists before. See
``lm_eval.loggers.evaluation_tracker.EvaluationTracker.save_results_samples``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError, shown
from lorascope.exchange.replies import Reply, json_lines, text_of
from lorascope.study.declarations import PredictionFormat
from lorascope.study.settings import PredictionSettings

_NAME = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")
_NOT_LEGAL = re.compile(r"[^A-Za-z0-9._-]+")
"""What IDs of items hold no more of a task's name."""
_NO_FILTER = "none"
"""What samples call a task's having no filters."""


_MOST = 1e300


class SamplePredictions(PredictionSettings):
    """Files of samples of lm-evaluation-harness, one for each task of the dataset."""


def read(files: Sequence[Path], items: Sequence[Item], own: Mapping[str, Any]) -> list[Reply]:
    """Return the reply in each row of the tasks' files; UserError for what holds no samples.

    Of several files of one task it is not known which one is meant: UserError.
    """
    by_id = {item.item_id: item for item in items}
    tasks: dict[str, Path] = {}
    found: list[Reply] = []
    for file in files:
        name = _NAME.fullmatch(file.name)
        if name is None:
            raise UserError(
                f"{file}: is not called samples_<task>_<date>.jsonl, which says its task"
            )
        task = _NOT_LEGAL.sub("-", name["task"])
        if (first := tasks.setdefault(task, file)) != file:
            raise UserError(
                f"{file}: {first.name} has the samples of {task}, too; name one of them as source, "
                "or leave one alone in the folder"
            )
        found += _rows(file, task, by_id)
    return found


def _rows(file: Path, task: str, items: Mapping[str, Item]) -> list[Reply]:
    """Return a reply for each row of a task; the lines of other filters have the same one."""
    found: dict[str, list[Reply]] = {}
    filters: dict[str, list[str]] = {}
    for record, where in json_lines(file):
        number = record.get("doc_id")
        if type(number) is not int:
            raise UserError(f"{where}: is no sample of lm-eval; it has no doc_id")
        name, way = f"{task}/{number}", str(record.get("filter", _NO_FILTER))
        reply = _reply(name, record, where, items.get(name))
        own, ways = found.setdefault(name, []), filters.setdefault(name, [])
        if own and way not in ways:
            published = {**own[0].published, **reply.published}
            own[0] = replace(own[0], published=published)
        else:
            own.append(reply)
        ways.append(way)
    return [reply for several in found.values() for reply in several]


def _reply(name: str, record: Mapping[str, Any], where: str, item: Item | None) -> Reply:
    asked, said = _requests(record, where)
    _check_row(record, where, item)
    reply = Reply(
        item=name, where=where, prompt=str(asked[0][0]), published=dict(_published(record))
    )
    if len(asked[0]) > 1 and not isinstance(asked[0][1], str):
        return replace(reply, response=text_of(said[0], where, "resps"))
    pairs = [one if isinstance(one, list) else [one] for one in said]
    try:
        sums = tuple(float(pair[0]) for pair in pairs)
    except (TypeError, ValueError, IndexError, OverflowError):
        raise UserError(f"{where}: resps: {shown(said)} are no log-likelihoods") from None
    texts = [str(one[1] if len(one) > 1 else one[0]).strip() for one in asked]
    if item and item.continuations and [text.strip() for text in item.continuations] != texts:
        raise UserError(
            f"{where}: log-likelihoods are of {shown(texts)}, and the item's continuations are "
            f"{shown(item.continuations)}; is it the same version of the task?"
        )
    greedy = tuple(str(pair[1]) == "True" for pair in pairs if len(pair) > 1)
    return replace(reply, loglikelihoods=sums, greedy=greedy if len(greedy) == len(sums) else None)


def _requests(record: Mapping[str, Any], where: str) -> tuple[list[list[Any]], list[Any]]:
    """Return the arguments of a row's requests, and what came of each."""
    arguments, said = record.get("arguments"), record.get("resps")
    calls = list(arguments.values()) if isinstance(arguments, dict) else arguments
    parts = [
        list(call.values()) if isinstance(call, dict) else call
        for call in (calls if isinstance(calls, list) else ())
    ]
    fits = isinstance(said, list) and len(said) == len(parts) > 0
    if not fits or not all(isinstance(part, list) and part for part in parts):
        raise UserError(f"{where}: is no sample of lm-eval; expected arguments and resps of each")
    for one in said or ():
        if not isinstance(one, list) or len(one) != 1:
            count = len(one) if isinstance(one, list) else 0
            raise UserError(
                f"{where}: resps: {count} replies to one request; run it with repeats: 1"
            )
    return parts, [one[0] for one in said or ()]


def _check_row(record: Mapping[str, Any], where: str, item: Item | None) -> None:
    """Refuse a row that is another one than the item's: the number alone does not say which."""
    asked = item.row.get("row") if item else None
    given = record.get("doc")
    if isinstance(asked, dict) and isinstance(given, dict):
        differing = [key for key in asked if key in given and asked[key] != given[key]]
        if differing:
            key = differing[0]
            there, here = shown(given[key], 60), shown(asked[key], 60)
            raise UserError(
                f"{where}: is about another row than the dataset's: {key} is {there} there and "
                f"{here} here; use the version of the data that was asked"
            )


def _published(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield metric and value of a row, named as lorascope names the harness's metrics."""
    names, way = record.get("metrics"), str(record.get("filter", _NO_FILTER))
    for name in names if isinstance(names, list) else ():
        value = record.get(name) if isinstance(name, str) else None
        if isinstance(value, int | float) and -_MOST < value < _MOST:
            called = name if way == _NO_FILTER else f"{name}-{way}"
            yield _NOT_LEGAL.sub("-", called), float(value)


PREDICTIONS = PredictionFormat(
    settings=SamplePredictions, read="lorascope.exchange.lm_eval:read", files="samples_*.jsonl"
)

"""Items of lm-evaluation-harness: the requests that it would send to a model, one for each row."""

# Their libraries read their environment when they are imported, so that comes first.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.benchmarks.items import Item, smaller
from lorascope.benchmarks.lm_eval.generation import generation_of
from lorascope.benchmarks.lm_eval.tasks import OFFLINE, Task, check_unchanged, tasks_of
from lorascope.errors import UserError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from lorascope.benchmarks.lm_eval.harness import DataTask

NOT_LEGAL = re.compile(r"[^A-Za-z0-9._-]+")
Turns = tuple[str, tuple[tuple[str, str], ...], str]
"""The system's turn, examples, and the question."""


def build_items(
    root: Path, settings: Mapping[str, Any], limit: int | None
) -> tuple[list[Item], list[str]]:
    """Return an item for each row of each task, in the harness's order, and notes for the log.

    Nothing is fetched. UserError, naming the task, where its data or its templates do not hold.
    """
    os.environ.update(OFFLINE)
    from lorascope.benchmarks.lm_eval.harness import DataTask

    items: dict[str, Item] = {}
    notes = list(settings["notes"])
    with tempfile.TemporaryDirectory() as scratch:
        for task in tasks_of(settings):
            check_unchanged(task)
            try:
                made = DataTask(task, root, settings["folders"], Path(scratch))
                found = list(_items(task, made, settings, smaller(settings["items"], limit)))
            except UserError:
                raise
            except Exception as error:  # its templates and functions may do anything
                words = " ".join(str(error).split())
                raise UserError(
                    f"task {task.name}: the harness cannot make its items: "
                    f"{type(error).__name__}: {words}; correct the task, or leave it out"
                ) from error
            _add(items, found, task.name)
            notes.append(f"{task.name}: {len(found)} of {len(made.task_docs)} rows")
    return list(items.values()), notes


def _add(items: dict[str, Item], found: list[Item], name: str) -> None:
    for item in found:
        if items.setdefault(item.item_id, item) is not item:
            raise UserError(f"task {name}: {item.item_id} stands for a row of another one, too")


def _items(
    task: Task, made: DataTask, settings: Mapping[str, Any], limit: int | None
) -> Iterator[Item]:
    _set_examples(made, settings)
    in_turns = settings["apply_chat_template"]
    made.build_all_requests(
        limit=limit,
        apply_chat_template=in_turns,
        fewshot_as_multiturn=in_turns and settings["fewshot_as_multiturn"],
        chat_template=_as_json if in_turns else None,
    )
    own = json.dumps(asdict(task), sort_keys=True)
    shape = {"inputs": made.multiple_input, "targets": made.multiple_target}
    for number, group in groupby(made.instances, key=lambda request: request.doc_id):
        requests = list(group)
        name = NOT_LEGAL.sub("-", task.name)
        row = {"task": own, "row": requests[0].doc, "number": number, **shape}
        yield Item(
            item_id=f"{name}/{number}",
            category=settings["category"] or name,
            passage=f"{name}/{number}",
            record=_record(row, f"task {task.name}: row {number}"),
            **_asked(requests, in_turns),
            **_gold(made, requests[0].doc),
        )


def _set_examples(made: DataTask, settings: Mapping[str, Any]) -> None:
    """Say how many examples there are, as `lm_eval.evaluator.simple_evaluate` does."""
    own, wanted = made.config.num_fewshot, settings["num_fewshot"]
    if own != 0 and wanted is not None:
        made.set_config("num_fewshot", wanted)
    elif own is None:
        made.set_config("num_fewshot", 0)
    made.set_fewshot_seed(settings["fewshot_seed"])


def _record(row: dict[str, Any], where: str) -> str:
    try:
        text = json.dumps(row, ensure_ascii=False)
    except TypeError as error:
        raise UserError(f"{where}: {error}; rows have to hold texts, numbers and lists") from None
    return text


def _as_json(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
    """Keep a dialogue as it is: the model's family writes it in the model's template."""
    return json.dumps(messages)


# ------------------------------------------------------------------------------- what is asked


def _asked(requests: list[Instance], in_turns: bool) -> dict[str, Any]:
    """Return the fields of an item that say what a model is asked, and how."""
    kind = requests[0].request_type
    if kind == "loglikelihood_rolling":
        (text,) = requests[0].args
        return {"mode": "loss", "question": "", "continuations": (text,)}
    turns = [_turns(request.args[0], in_turns) for request in requests]
    system, examples, question = turns[0]
    found = {"system": system, "turns": examples, "question": question}
    if kind == "generate_until":
        own = json.dumps(generation_of(requests[0].args[1]), sort_keys=True)
        return {**found, "mode": "generate", "generation": own}
    asked = [
        _cut(question, request.args[1], in_turns)
        for (_, _, question), request in zip(turns, requests, strict=True)
    ]
    contexts, texts = tuple(c for c, _ in asked), tuple(text for _, text in asked)
    return {
        **found,
        "mode": "choose",
        "question": contexts[0],
        "continuations": texts,
        "contexts": contexts if len(set(contexts)) > 1 else (),
    }


def _turns(context: str, in_turns: bool) -> Turns:
    """Return a context as turns; it is one text unless it was kept by `_as_json`."""
    if not in_turns:
        return "", (), context
    messages = json.loads(context)
    system = messages.pop(0)["content"] if messages[0]["role"] == "system" else ""
    texts = [message["content"] for message in messages]
    pairs = tuple(zip(texts[:-1:2], texts[1::2], strict=True))
    return system, pairs, texts[-1]


def _cut(context: str, text: str, in_turns: bool) -> tuple[str, str]:
    """Return context and continuation as the harness's models take them apart.

    `lm_eval.api.model.TemplateLM._encode_pair`: blanks at the end belong to what follows.
    """
    kept = context if in_turns else context.rstrip()
    return kept, context[len(kept) :] + text


# ----------------------------------------------------------------------------- what is right


def _gold(made: DataTask, row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an item that say what is right, to be shown: the task itself judges."""
    target = made.doc_to_text(row) if made.multiple_input else made.doc_to_target(row)
    if made.OUTPUT_TYPE != "multiple_choice":
        answers = tuple(map(str, target if isinstance(target, list) else [target]))
        return {"answer": answers[0] if answers else "", "answers": answers}
    texts = [str(text) for text in made.doc_to_choice(row)]
    options = tuple((letter(i), text) for i, text in enumerate(texts))
    right = [_position(one, texts) for one in (target if isinstance(target, list) else [target])]
    known = [i for i in right if i is not None]
    answers = tuple(texts[i] for i in known)
    gold = letter(known[0]) if len(known) == 1 else ""
    return {
        "options": options,
        "gold": gold,
        "answer": answers[0] if answers else "",
        "answers": answers,
    }


def _position(target: Any, texts: list[str]) -> int | None:
    """Return which of the options a target is, None where it is none of them."""
    if isinstance(target, str):
        return texts.index(target) if target in texts else None
    number = int(target)
    return number if -len(texts) <= number < len(texts) else None


def letter(number: int) -> str:
    """Return the name of an option by its number, from 0: a to z, then aa, ab, ..."""
    ahead, last = divmod(number, 26)
    return (letter(ahead - 1) if ahead else "") + chr(ord("a") + last)

"""The answers of an experiment that is done, read with their items and scores."""

# Looking at a study reads tables only where a command shows what is in them.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.benchmarks.items import Item, from_table
from lorascope.errors import UserError
from lorascope.exchange.answers import Answer, Answered, Score, plain
from lorascope.scoring.item_score import Measure
from lorascope.storage.records import read_table, table_note

if TYPE_CHECKING:
    from lorascope.planning.infer import PlannedExperiment
    from lorascope.planning.plan import Plan

HARMLESS = "looks, and decides nothing"

MOST_NAMED = 5
"""Experiments that a message names as not done."""
SCORE = [field.name for field in fields(Score)]
ANSWER = [field.name for field in fields(Answer) if field.name not in ("item", "scores")]


def check_done(plan: Plan, only: Iterable[str]) -> None:
    """Raise UserError, naming the command to run, unless these experiments have answers and scores.

    What they were made of may be gone; their items have to be there.
    """
    missing = {name: why for name in only if (why := _lacks(plan, name))}
    if missing:
        named = [f"{name} ({why})" for name, why in missing.items()][:MOST_NAMED]
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise UserError(
            f"{plan.study.file}: not done: {', '.join(named)}{more}; "
            f"run {_command(plan, list(missing))}"
        )
    for name in only:
        items = plan.experiments[name].dataset.items
        if not items.exists():
            raise UserError(f"{items}: not there any more; run {_command(plan, [str(items)])}")


def _lacks(plan: Plan, identifier: str) -> str:
    """Say what an experiment lacks; "" if it is done."""
    if not plan.scores[identifier].path.exists():
        return plan.why(identifier) or "to be scored"
    return "" if plan.experiments[identifier].predictions.exists() else "its answers are gone"


def _command(plan: Plan, targets: list[str]) -> str:
    """Return the command that makes some files or experiments of a study."""
    files = plan.study.file.split(", ")
    asked = targets if len(targets) <= MOST_NAMED else []
    told = [] if files == ["config.yaml"] else ["--configfile", *files]
    return shlex.join(["snakemake", *asked, *told])


def read_answered(plan: Plan, identifier: str) -> Answered:
    """Return the answers of an experiment that is done; UserError for files of no use."""
    planned = plan.experiments[identifier]
    scores = read_table(plan.scores[identifier].path, "scores", plan.scores[identifier].digest)
    note = table_note(scores)
    items = from_table(read_table(planned.dataset.items, "items", planned.dataset.digest))
    replies = _replies(planned)
    scored = _scores(scores.to_pylist(), {item.item_id: item for item in items})
    for kind, found in (("answers", replies), ("scores", scored)):
        if found.keys() != {item.item_id for item in items}:
            raise UserError(
                f"{identifier}: its {kind} are not those of the items of {planned.dataset.items}; "
                f"delete {planned.folder} and run {_command(plan, [identifier])}"
            )
    scaling = plan.study.scaling_of(planned.experiment)
    return Answered(
        id=identifier,
        base=planned.experiment.base,
        run=planned.experiment.run,
        lora_scaling=plain(note["lora_scaling"]),
        strength=note.get("strength"),
        answers=[
            Answer(item=item, scores=scored[item.item_id], **replies[item.item_id])
            for item in items
        ],
        measures={c: Measure(**found) for c, found in note.get("measures", {}).items()},
        digests={
            "items": planned.dataset.digest,
            "predictions": planned.digest,
            "scores": plan.scores[identifier].digest,
        },
        profile=scaling if isinstance(scaling, Mapping) else None,
        **_made_of(plan, planned),
        **_sidecar(planned),
    )


def _replies(planned: PlannedExperiment) -> dict[str, dict[str, Any]]:
    """Return item -> its columns in the predictions, those that an answer has."""
    table = read_table(planned.predictions, "predictions", planned.digest)
    kept = ["item_id", *(name for name in ANSWER if name in table.column_names)]
    rows = table.select(kept).to_pylist()
    return {row.pop("item_id"): row for row in rows}


def _scores(
    rows: Iterable[Mapping[str, Any]], items: Mapping[str, Item]
) -> dict[str, dict[str, Score]]:
    """Return item -> metric -> its score."""
    found: dict[str, dict[str, Score]] = {}
    for row in rows:
        item = items.get(row["item_id"])
        metric = row["category"].removeprefix(item.category).removeprefix("-") if item else ""
        own = {name: row[name] for name in SCORE if row.get(name) is not None}
        credit = own.pop("credit", None)
        score = Score(**{"correct": None, **own}, credit=None if credit != credit else credit)
        found.setdefault(row["item_id"], {})[metric] = score
    return found


def _made_of(plan: Plan, planned: PlannedExperiment) -> dict[str, Any]:
    """Return the settings of an experiment, and of what they name, as a file could hold them."""
    study, settings = plan.study.resolved(), planned.experiment.settings.model_dump()
    made_of = {"settings": settings, "data": study["datasets"][settings["dataset"]]}
    if "predictions" in settings:  # made elsewhere, where names of models are but words
        return {**made_of, "model": {}, "adapter": None}
    return {
        **made_of,
        "sources": plan.context.family(settings["model"]).sources,
        "model": study["models"][settings["model"]],
        "adapter": study["adapters"].get(settings["adapter"]),
    }


def _sidecar(planned: PlannedExperiment) -> dict[str, Any]:
    """Return when and where the answers came, where that is known."""
    if not planned.runtime.exists():
        return {}
    import pyarrow.compute as pc

    table = read_table(planned.runtime, "runtime", planned.digest, ["finished", "environment"])
    if not table.num_rows:
        return {}
    return {
        "finished": pc.max(table["finished"]).as_py(),
        "environment": json.loads(table["environment"][-1].as_py()),
    }


def clip_file(plan: Plan, planned: PlannedExperiment, item: Item) -> Path | None:
    """Return where the file of the clip that an item is about lies; None without a clip."""
    return planned.dataset.clip_root / item.clip if item.clip else None

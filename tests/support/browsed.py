"""Item pages of studies whose answers and scores are made up, read as a browser reads them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lorascope.benchmarks.items import Item, to_table
from lorascope.inferring.merging import SIDECAR
from lorascope.inferring.shard import shard_schema
from lorascope.planning.plan import Plan
from lorascope.stages.score import _schema as scores_schema
from lorascope.storage.records import write_table
from tests.support.reports import ENVIRONMENT
from tests.support.stagehand import Bench

_SCRIPT = re.compile(r"lorascope\.load\(\"([\w-]+)\",JSON\.parse\('(.*)'\)\);\n")
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|(.))")


def value_of(path: Path) -> Any:
    """Return what a data file hands to the page, which is by the file's name."""
    script = _SCRIPT.fullmatch(path.read_text(encoding="utf-8"))
    assert script, path
    assert script[1] == path.stem
    return json.loads(_ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], script[2]))


def items_of(categories: Mapping[str, int], **more: Any) -> list[Item]:
    """Return so many items of each category, with four options, of which b is right."""
    options = (("a", "cat"), ("b", "dog"), ("c", "cow"), ("d", "owl"))
    own = {"options": options, "gold": "b", "answer": "dog", "answers": ("dog",)} | more
    return [
        Item(item_id=f"{name}/{i}", category=name, question=f"{name}? {i}", passage=str(i), **own)
        for name, count in categories.items()
        for i in range(count)
    ]


def write_items(plan: Plan, dataset: str, items: Iterable[Item]) -> None:
    """Write the items of a dataset, as its stage does."""
    planned = plan.datasets[dataset]
    write_table(planned.items, to_table(items), "items", planned.digest)


def write_answers(plan: Plan, identifier: str, replies: Sequence[Mapping[str, Any]]) -> None:
    """Write what an experiment answered, and its sidecar; a reply has what differs from others."""
    planned, schema = plan.experiments[identifier], shard_schema()
    usual = {"response": "(b) dog", "finish_reason": "eos", "prompt_tokens": 9}
    usual |= {"response_tokens": 3, "lora_scaling": 1.0, "generation": "{}"}
    usual |= {"seconds_lost": 0.0, "environment": json.dumps(ENVIRONMENT)}
    rows = [dict.fromkeys(schema.names) | usual | dict(reply) for reply in replies]
    table = pa.Table.from_pylist(rows, schema=schema)
    answers, beside = table.drop_columns(SIDECAR), table.select(["item_id", *SIDECAR])
    write_table(planned.predictions, answers, "predictions", planned.digest)
    write_table(planned.runtime, beside, "runtime", planned.digest)


def write_scores(
    plan: Plan,
    identifier: str,
    rows: Sequence[Mapping[str, Any]],
    measures: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write the scores of an experiment; a row has item_id, category, credit and what differs."""
    planned = plan.scores[identifier]
    usual = {"clip": "", "options": 4, "status": "valid", "choice": "b", "weight": 1.0}
    usual |= {"margin": None, "probability": None, "reason": "made up", "finish_reason": "eos"}
    whole = [usual | {"correct": row["credit"] == 1} | dict(row) for row in rows]
    for row in whole:
        row["clip"] = row["clip"] or row["item_id"].partition("/")[2]
    scaling = planned.experiment.experiment.settings.lora_scaling or 0.0
    generation = json.dumps(planned.experiment.experiment.settings.generation.model_dump())
    note = {"lora_scaling": scaling, "generation": generation, "measures": measures or {}}
    extra = [pa.field("judge", pa.string())] if any("judge" in row for row in whole) else []
    schema = pa.schema([*scores_schema(), *extra])
    table = pa.Table.from_pylist(whole, schema=schema)
    write_table(planned.path, table, "scores", planned.digest, note)


def make_page(bench: Bench) -> dict[str, Any]:
    """Run the stages report and page; return the value of each data file by its name."""
    for stage in ("report", "page"):
        code, said = bench.run(bench.plan.find(stage, {}))
        assert code == 0, said
    return read_page(bench.plan.page.folder)


def read_page(folder: Path) -> dict[str, Any]:
    """Return the value of each data file of a page by its name."""
    return {path.stem: value_of(path) for path in sorted((folder / "page/data").glob("*.js"))}


def cells(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a table of the page as mappings."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def texts(column: Mapping[str, Any]) -> list[str | None]:
    """Return the values of a column of names and places."""
    return [None if code < 0 else column["names"][code] for code in column["codes"]]

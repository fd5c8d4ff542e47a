"""Decisions of a search: scores of parts, who goes on, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lorascope.benchmarks.items import Item, to_table
from lorascope.models.batching import Batching, part
from lorascope.planning.search import plan_searches
from lorascope.scoring.replies import REPLY
from lorascope.storage.predictions import prediction_fields
from lorascope.storage.records import write_table
from tests.support.stagehand import Bench
from tests.support.studies import STUDY

PARTS = 4
ITEMS = [
    Item(
        item_id=f"i{n}",
        category=("animal-single", "animal-multi")[n % 3 == 0],
        question="What is it? (a) cat (b) dog" + "?" * (n // 2),
        options=(("a", "cat"), ("b", "dog")),
        gold="a",
        answer="cat",
        answers=("cat",),
        clip=f"clip{n // 2}",
    )
    for n in range(48)
]
SEARCHED: dict[str, Any] = {
    **STUDY,
    "experiments": [{**STUDY["experiments"][0], "grid": {"lora_scaling": [0, 1, 2, 3]}}],
    "baseline": {"animal-single": 50.0, "animal-multi": 50.0},
    "search": {"among": "SF-{lora_scaling}", "parts": PARTS},
}
SEARCHED["datasets"] = {"sakura": {**STUDY["datasets"]["sakura"], "tracks": ["animal"]}}
Right = Callable[[int, Item], bool]


def answered(bench: Bench, right: Right, whole: tuple[int, ...] = ()) -> None:
    """Write items and the first part of every candidate's answers, all answers of ``whole``."""
    for i, planned in enumerate(bench.plan.experiments.values()):
        items = planned.dataset
        write_table(items.items, to_table(ITEMS), "items", items.digest)
        asked = planned.experiment.asked
        lanes = Batching("float32", asked.batch_size, asked.tokens_at_once, asked.mode,
                         planned.fingerprint["generation"]).lanes(ITEMS)  # fmt: skip
        parts = {planned.predictions: lanes} if i in whole else {}
        parts = parts or {planned.shard_files()[0]: part(lanes, 0, PARTS)}
        for path, own in parts.items():
            rows = [_reply(item, right(i, item)) for lane in own for item in lane]
            table = pa.Table.from_pylist(rows, schema=pa.schema([*prediction_fields()])).select(
                REPLY
            )
            kind = "predictions" if i in whole else "shard"
            write_table(path, table, kind, planned.digest)
        if i in whole:
            write_table(planned.runtime, pa.table({"seconds": [1.0]}), "runtime", planned.digest)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([*prediction_fields()])).select(REPLY)


def _reply(item: Item, right: bool) -> dict[str, Any]:
    return {"item_id": item.item_id, "response": "(a)" if right else "(b)", "finish_reason": "eos"}


def decide(bench: Bench) -> dict[str, Any]:
    """Make the first decision and return it."""
    (search,) = plan_searches(bench.plan.context)
    code, said = bench.run(bench.plan.find("search", {"digest": search.digest, "rung": 0}))
    assert code == 0, said
    return json.loads(search.path(0).read_text())


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return lambda **changes: Bench({**SEARCHED, **changes}, capsys)


def by_number(i: int, item: Item) -> bool:
    return int(item.item_id[1:]) * 7 % 12 < 1 + 3 * i


def test_the_better_half_of_the_first_part_goes_on(bench):
    study = bench()
    answered(study, by_number)
    found = decide(study)
    lanes = Batching("float32", None, 1, "generate", {"max_new_tokens": 1, "num_beams": 1})
    first = [item for lane in part(lanes.lanes(ITEMS), 0, PARTS) for item in lane]
    assert len(first) == 12
    for i, row in enumerate(found["candidates"]):
        means = [
            sum(by_number(i, item) for item in own) / len(own)
            for c in ("animal-single", "animal-multi")
            for own in ([item for item in first if item.category == c],)
        ]
        assert row["score"] == pytest.approx(100 * sum(means) / 2)
        assert row["items"] == len(first)
    assert found["left"] == ["lora_scaling 2", "lora_scaling 3"]


def test_one_category_alone_decides_where_it_is_asked_for(bench):
    study = bench(search={**SEARCHED["search"], "by": "animal-multi"})
    answered(study, lambda i, item: (i == 0) == (item.category == "animal-multi"))
    found = decide(study)
    assert [row["score"] for row in found["candidates"]] == [100, 0, 0, 0]
    assert found["left"] == [f"lora_scaling {i}" for i in range(4)], "who ties goes on, too"


def test_what_others_are_compared_with_goes_on_however_bad(bench):
    study = bench(baseline="SF-0")
    answered(study, by_number)
    assert decide(study)["left"] == [f"lora_scaling {i}" for i in (0, 2, 3)]


def test_answers_that_are_merged_count_by_the_items_of_the_part(bench):
    study = bench()
    answered(study, by_number)
    before = decide(study)
    answered(study, by_number, whole=(2,))
    assert decide(study)["candidates"] == before["candidates"]


def test_a_part_that_lacks_answers_is_refused(bench):
    study = bench()
    answered(study, by_number)
    (search,) = plan_searches(study.plan.context)
    planned = study.plan.experiments["SF-1"]
    rows = [_reply(ITEMS[0], True)]
    table = _table(rows)
    write_table(planned.shard_files()[0], table, "shard", planned.digest)
    code, said = study.run(study.plan.find("search", {"digest": search.digest, "rung": 0}))
    assert code == 1
    assert "SF-1: " in said
    assert "answers to the" in said
    assert not search.path(0).exists()

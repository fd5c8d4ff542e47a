"""The page's data says what the scores and the report's tables say, item by item."""

import json
import random
import shutil
import subprocess
from copy import deepcopy
from functools import cached_property
from typing import Any

import pyarrow.parquet as pq
import pytest

from lorascope.planning.plan import Plan, load_plan
from lorascope.reporting import plots
from lorascope.reporting.comparison import ALL_ITEMS
from lorascope.scoring.item_score import Measure
from tests.support.browsed import (
    cells,
    items_of,
    make_page,
    texts,
    write_answers,
    write_items,
    write_scores,
)
from tests.support.stagehand import Bench

SALMONN = {"family": "salmonn", "llm": "l", "whisper": "w", "beats": "b", "checkpoint": "c"}
CLEAN = {"benchmark": "sakura", "source": "nowhere", "tracks": ["animal"]}
STUDY: dict[str, Any] = {
    "study": "browsed",
    "description": "What <b> does & why",
    "models": {"tiny": SALMONN},
    "datasets": {"clean": CLEAN},
    "experiments": [
        {"id": "SF-{lora_scaling}", "model": "tiny", "dataset": "clean"}
        | {"grid": {"lora_scaling": [0, 1, 2]}}
    ],
    "baseline": "SF-1",
}
CATEGORIES = {"animal-single": 7, "animal-multi": 5}
ERRORS = vars(Measure("word error rate", higher_is_better=False, bounded=False))
SURPRISE = vars(Measure("perplexity", "exponential", higher_is_better=False, bounded=False))
NASTY = 'it\'s \\ \u2028\u2029 </script><!-- "x" \n\t\0 é 猫 ${1} __proto__'


class Held(Bench):
    """A study that is planned once."""

    @cached_property
    def plan(self) -> Plan:
        return load_plan(deepcopy(self.study), "study.yaml")


def no_chart(points, levels, chance, title, svg, png, **more: Any) -> None:
    """Draw nothing: half a second each time, and no matter here."""
    svg.touch()
    png.touch()


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("accuracy_chart", "accuracy_bars"):
        monkeypatch.setattr(plots, name, no_chart)
    return lambda **changes: Held(STUDY | changes, capsys)


def fill(bench: Bench, credit: Any, metrics: tuple[str, ...] = ("",), **more: Any) -> None:
    """Write the items, and answers and scores of every experiment; credit(dice) is an item's."""
    items, dice, plan = items_of(CATEGORIES), random.Random(5), bench.plan
    for dataset in plan.datasets:
        write_items(plan, dataset, items)
    for name in plan.experiments:
        write_answers(plan, name, [{"item_id": item.item_id} for item in items])
        rows = [
            {"item_id": item.item_id, **credit(dice)}
            | {"category": f"{item.category}-{metric}" if metric else item.category}
            for item in items
            for metric in metrics
        ]
        write_scores(plan, name, rows, **more)


def changed(data: dict[str, Any], experiment: str, base: str, category: str) -> tuple[int, int]:
    """Return how many items are better and worse than in another experiment, by the index."""
    found = data["index-0"]["experiments"]
    measures = {one["name"]: one for one in data["study"]["categories"]}
    names = [*measures] if category == ALL_ITEMS else [category]
    better = worse = 0
    for metric, ours in found[experiment].items():
        theirs = found[base][metric]
        for place, code in enumerate(data["index-0"]["items"]["category"]["codes"]):
            pair = [part(one, place) for one in (ours, theirs)]
            if (name := ours["categories"][code]) in names and None not in pair:
                difference = (pair[0] - pair[1]) * (1 if measures[name]["higher_is_better"] else -1)
                better, worse = better + (difference > 0), worse + (difference < 0)
    return better, worse


def part(scores: dict[str, Any], place: int) -> float | None:
    """Return an item's part of full credit."""
    credit = scores["credit"][place]
    return None if credit is None else credit / (scores["weight"][place] if scores["weight"] else 1)


def right(dice: random.Random) -> dict[str, Any]:
    return {"credit": float(dice.random() < 0.5)}


def shares(dice: random.Random) -> dict[str, Any]:
    return {"credit": dice.choice((0.0, 1 / 3, 2 / 3, 0.6666, 1.0)), "options": 0}


def errors(dice: random.Random) -> dict[str, Any]:
    return {"credit": float(dice.randint(0, 3)), "weight": float(dice.randint(1, 4)), "options": 0}


def of_every_category(measure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict.fromkeys(CATEGORIES, measure)


CASES: dict[str, dict[str, Any]] = {
    "accuracy": {"credit": right},
    "f1 and em": {"credit": shares, "metrics": ("f1", "em")},
    "lower is better": {"credit": errors, "measures": of_every_category(ERRORS)},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_index_has_every_score_and_with_them_what_flipped(bench, case):
    own = bench()
    fill(own, **case)
    data = make_page(own)
    for name, planned in own.plan.scores.items():
        check_scores(data["index-0"], name, pq.read_table(planned.path).to_pylist())
    compared = [row for row in cells(data["study"]["tables"]["comparison"]) if row["delta"]]
    assert len(compared) >= 4
    assert sum(row["gained"] + row["lost"] for row in compared) > 10
    for row in compared:
        found = changed(data, row["experiment"], "SF-1", row["category"])
        assert found == (row["gained"], row["lost"]), row


def check_scores(index: dict[str, Any], experiment: str, rows: list[dict[str, Any]]) -> None:
    items = index["items"]
    places, categories = items["id"], texts(items["category"])
    for row in rows:
        place = places.index(row["item_id"])
        metric = row["category"].removeprefix(categories[place]).strip("-")
        found = index["experiments"][experiment][metric]
        assert found["categories"][items["category"]["codes"][place]] == row["category"]
        assert found["credit"][place] == row["credit"]
        assert (found["weight"] or [1] * len(places))[place] == row["weight"]
        assert found["correct"][place] == {True: "1", False: "0", None: "-"}[row["correct"]]
        for key in ("status", "reason", "choice"):
            assert texts(found[key])[place] == row[key]


def test_what_no_judge_could_judge_is_neither_right_nor_wrong_and_flips_nowhere(bench):
    own = bench()
    fill(own, right)
    names = {
        name: pq.read_table(own.plan.scores[name].path).to_pylist() for name in own.plan.scores
    }
    wrong = {row["item_id"] for row in names["SF-1"] if not row["credit"]}
    unjudged = {"credit": None, "correct": None, "status": "unjudged", "reason": "two verdicts"}
    rows = [row | unjudged if row["item_id"] in wrong else row for row in names["SF-0"]]
    write_scores(own.plan, "SF-0", rows)
    data = make_page(own)
    check_scores(data["index-0"], "SF-0", rows)
    assert data["index-0"]["experiments"]["SF-0"][""]["correct"].count("-") == len(wrong) > 2
    for row in cells(data["study"]["tables"]["comparison"]):
        if row["experiment"] == "SF-0":
            found = changed(data, "SF-0", "SF-1", row["category"])
            assert found == (row["gained"], row["lost"])
    # Not even where a scorer left a credit.
    write_scores(own.plan, "SF-0", [row | {"status": "unjudged"} for row in names["SF-0"]])
    found = make_page(own)["index-0"]["experiments"]["SF-0"][""]
    assert ({*found["correct"]}, {*found["credit"]}) == ({"-"}, {None})


def test_an_accuracy_is_the_mean_credit_of_the_index(bench):
    own = bench()
    fill(own, right)
    data = make_page(own)
    items = data["index-0"]["items"]["category"]
    for row in cells(data["study"]["tables"]["accuracy"]):
        credits = data["index-0"]["experiments"][row["experiment"]][""]["credit"]
        own_ones = [
            c for c, name in zip(credits, texts(items), strict=True) if name == row["category"]
        ]
        assert row["correct"] == sum(own_ones)
        assert row["accuracy"] == pytest.approx(100 * sum(own_ones) / len(own_ones))


def test_a_value_that_is_none_is_null_and_neither_right_nor_wrong(bench):
    own, odd = (
        bench(),
        {"animal-single/0": (float("nan"), "nonfinite"), "animal-multi/0": (2.0, "")},
    )
    fill(own, lambda dice: {"credit": dice.random()}, measures=of_every_category(SURPRISE))
    rows = [
        {"item_id": item.item_id, "category": item.category, "correct": False}
        | dict(zip(("credit", "status"), odd.get(item.item_id, (1.5, "valid")), strict=True))
        for item in items_of(CATEGORIES)
    ]
    write_scores(own.plan, "SF-2", rows, of_every_category(SURPRISE))
    data = make_page(own)
    found = data["index-0"]["experiments"]["SF-2"][""]
    assert found["credit"][0] is None
    assert texts(found["status"])[0] == "nonfinite"
    assert found["credit"][7] == 2
    assert {*found["correct"]} == {"-"}


def test_the_study_says_what_the_report_says(bench):
    own = bench(report={"title": "A title"})
    own.study["experiments"].append(
        {"id": "TWICE", "model": "tiny", "dataset": "clean", "runs": 2, "lora_scaling": 4}
        | {"table": False, "generation": {"do_sample": True, "temperature": 0.5}}
    )
    fill(own, right)
    study = make_page(own)["study"]
    folder = own.plan.page.folder
    assert (study["title"], study["description"]) == ("A title", "What <b> does & why")
    assert [one["id"] for one in study["experiments"]] == [
        "SF-1",
        "SF-0",
        "SF-2",
        "TWICE",
        "TWICE-1",
    ]
    by_id = {one["id"]: one for one in study["experiments"]}
    assert [one["is_baseline"] for one in by_id.values()] == [True, False, False, False, False]
    again = by_id["TWICE-1"]
    assert (again["base"], again["run"], again["in_table"]) == ("TWICE", 1, False)
    assert again["settings"]["generation"]["temperature"] == 0.5
    assert (again["lora_scaling"], again["mode"], again["scorer"], again["n"]) == (
        4,
        "generate",
        "choice",
        12,
    )
    assert study["swept"]
    points = cells(study["points"])
    assert [p["runs"] for p in points if p["experiment"] == "TWICE"] == [2, 2]
    accuracy = {(r["experiment"], r["category"]): r for r in cells(study["tables"]["accuracy"])}
    for point in points[:6]:
        row = accuracy[(point["experiment"], point["category"])]
        assert point["accuracy"] == pytest.approx(row["accuracy"])
        assert point["low"] <= point["accuracy"] <= point["high"]
    assert study["levels"][""]["animal-multi"] == accuracy[("SF-1", "animal-multi")]["accuracy"]
    assert {one["name"]: one["chance"] for one in study["categories"]} == dict.fromkeys(
        sorted(CATEGORIES), 25
    )
    assert {*study["files"]} >= {"accuracy.md", "accuracy.csv", "comparison.csv", "accuracy.svg"}
    assert all((folder / name).exists() for name in study["files"])


def test_texts_are_whatever_they_were(bench):
    own = bench()
    fill(own, right)
    items = items_of(CATEGORIES, turns=(("One?", NASTY),), system=NASTY)
    write_items(own.plan, "clean", items)
    replies = [{"item_id": item.item_id, "response": f"{NASTY} {item.item_id}"} for item in items]
    write_answers(own.plan, "SF-0", replies[::-1])  # in another order than the items
    data = make_page(own)
    (chunk,) = (data["items-0-0"],)
    assert [one["id"] for one in chunk["items"]] == data["index-0"]["items"]["id"]
    assert [r["text"] for r in chunk["responses"]["SF-0"]] == [r["response"] for r in replies]
    assert chunk["items"][0]["system"] == NASTY
    assert chunk["items"][0]["turns"] == [["One?", NASTY]]
    for path in (own.plan.page.folder / "page/data").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not {"\u2028", "\u2029"} & {*text}
        assert "</" not in text


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_a_browser_reads_the_very_texts(bench):
    own = bench()
    fill(own, right)
    write_items(own.plan, "clean", items_of(CATEGORIES, system=NASTY))
    data = make_page(own)
    files = sorted(map(str, own.plan.page.folder.glob("page/data/*.js")))
    code = (
        "const found = {}; globalThis.lorascope = {load: (name, value) => found[name] = value};"
        f"for (const file of {json.dumps(files)}) "
        "(0, eval)(require('fs').readFileSync(file, 'utf8')); console.log(JSON.stringify(found))"
    )
    said = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == data


def test_likelihoods_and_texts_that_were_read(bench):
    own = bench()
    fill(own, lambda dice: right(dice) | {"margin": dice.uniform(-2, 2), "probability": 0.5})
    items = items_of(
        CATEGORIES, continuations=(" cat", " dog", " cow", " owl"), contexts=tuple("abcd")
    )
    write_items(own.plan, "clean", items)
    chosen = {
        "finish_reason": "likelihood",
        "response": " dog",
        "continuation_tokens": [1, 1, 2, 1],
    }
    sums = [-1.123456, float("-inf"), -3.0, -4.5]
    replies = [{"item_id": item.item_id, **chosen, "loglikelihoods": sums} for item in items]
    write_answers(own.plan, "SF-0", replies)
    lost = {"finish_reason": "likelihood", "response": "", "loglikelihoods": [-5.0]}
    write_answers(own.plan, "SF-2", [{"item_id": item.item_id, **lost} for item in items])
    data = make_page(own)
    margins = data["index-0"]["experiments"]["SF-0"][""]["margin"]
    scores = pq.read_table(own.plan.scores["SF-0"].path)
    assert margins == pytest.approx(scores["margin"].to_pylist(), abs=6e-5)
    chunk = data["items-0-0"]
    assert chunk["items"][0]["continuations"] == [" cat", " dog", " cow", " owl"]
    assert chunk["items"][0]["contexts"] == ["a", "b", "c", "d"]
    reply = chunk["responses"]["SF-0"][0]
    assert reply["loglikelihoods"] == [-1.1235, None, -3, -4.5]
    assert (reply["text"], reply["tokens"], reply["continuation_tokens"]) == (
        " dog",
        None,
        [1, 1, 2, 1],
    )
    assert chunk["responses"]["SF-2"][0]["text"] is None
    generated = chunk["responses"]["SF-1"][0]
    assert (generated["text"], generated["tokens"], generated["loglikelihoods"]) == (
        "(b) dog",
        3,
        None,
    )


def test_the_same_files_twice_and_nothing_left_of_an_earlier_page(bench):
    own = bench()
    fill(own, right)
    make_page(own)
    folder = own.plan.page.folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "page-000000000000.json").write_text("{}")
    for name in ("items-0-7.js", "index-3.js", ".1234.study.js"):
        (folder / "page/data" / name).write_text("")
    job = own.plan.find("page", {})
    assert own.run(job)[0] == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    listing = json.loads(job.out.read_text())
    assert {folder / name for name in listing["files"]} >= {*(folder / "page/data").iterdir()}


def test_datasets_apart_and_long_ones_in_chunks(bench, monkeypatch):
    noise = {"type": "noised", "position": "late", "target_len": 9}
    own = bench(datasets={"clean": CLEAN, "noisy": CLEAN | {"audio": noise}})
    (swept,) = own.study["experiments"]
    del swept["dataset"]
    swept["grid"]["dataset"] = ["clean", "noisy"]
    swept["id"] = "SF-{lora_scaling}-{dataset}"
    own.study |= {"baseline": "SF-1-clean"}
    monkeypatch.setattr("lorascope.reporting.browsing.texts.MOST_ITEMS", 5)
    fill(own, right)
    data = make_page(own)
    parts = data["study"]["datasets"]
    assert [(p["name"], p["index"], p["chunks"]) for p in parts] == [
        ("clean", "index-0", 3),
        ("noisy", "index-1", 3),
    ]
    for place, name in enumerate(("clean", "noisy")):
        ids = [one["id"] for k in range(3) for one in data[f"items-{place}-{k}"]["items"]]
        assert ids == data[f"index-{place}"]["items"]["id"]
        expected = {f"SF-{scaling}-{name}" for scaling in range(3)}
        assert data[f"index-{place}"]["experiments"].keys() == expected
        assert data[f"items-{place}-2"]["responses"].keys() == expected
    assert all(one["datasets"] == ["clean", "noisy"] for one in data["study"]["categories"])


def test_what_a_judge_said(bench, monkeypatch):
    own = bench()
    fill(own, lambda dice: right(dice) | {"judge": "correct" if dice.random() < 0.5 else None})
    data = make_page(own)
    index = data["index-0"]["experiments"]["SF-0"][""]
    scores = pq.read_table(own.plan.scores["SF-0"].path)
    assert texts(index["judge"]) == scores["judge"].to_pylist()


def test_a_table_that_somebody_edited_is_not_shown(bench):
    own = bench()
    fill(own, right)
    make_page(own)
    table = own.plan.page.folder / "accuracy.csv"
    table.write_text(table.read_text().replace("SF-0", "SF-9"))
    code, said = own.run(own.plan.find("page", {}))
    assert code == 1
    assert f"{table}: not as the report wrote it; moved aside" in said
    assert (table.parent / "accuracy.md").exists()
    assert not own.plan.page.index.exists()
    assert own.left() and "page" in own.left()

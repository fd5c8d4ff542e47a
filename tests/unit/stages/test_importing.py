"""Predictions made elsewhere become an experiment: the same columns, scores, tables and words."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from lorascope.benchmarks.items import to_table
from lorascope.errors import UserError
from lorascope.inferring.merging import SIDECAR
from lorascope.inferring.shard import shard_schema
from lorascope.inspecting.export import export_lines
from lorascope.inspecting.overview import plan_lines
from lorascope.inspecting.prune import unplanned
from lorascope.inspecting.status import status_lines
from lorascope.inspecting.whereabouts import path_lines
from lorascope.planning.absent import refuse_absent
from lorascope.stages.importing import prediction_schema
from lorascope.storage.records import write_table
from tests.support.basics import ROOT
from tests.support.published import items_of, write_published
from tests.support.reports import rows_of
from tests.support.stagehand import Bench

RIGHT = {"animal-single": 4, "gender-multi": 3}
ITEMS = items_of(RIGHT, 6)


def study(*entries: dict, **keys) -> dict:
    """Return a study of predictions made elsewhere alone; ``entries`` change keys of one each."""
    plain = {"dataset": "sakura", "predictions": {"source": "there", "format": "sakura"}}
    found = {
        "study": "elsewhere",
        "datasets": {"sakura": {"benchmark": "sakura", "source": "data"}},
        "experiments": [{"id": f"E{n}", **plain, **entry} for n, entry in enumerate(entries)],
        "baseline": "E0",
    }
    return found | keys


@pytest.fixture
def start(tmp_path, monkeypatch, capsys):
    """Return a function that starts such a study, whose items lie there already."""
    monkeypatch.chdir(tmp_path)

    def started(*entries: dict, items=ITEMS, **keys) -> Bench:
        bench = Bench(study(*entries, **keys), capsys)
        for planned in bench.plan.datasets.values():
            write_table(planned.items, to_table(items), "items", planned.digest)
        return bench

    return started


def predictions(bench: Bench, identifier: str = "E0") -> list[dict]:
    return pq.read_table(bench.plan.experiments[identifier].predictions).to_pylist()


def refused(bench: Bench) -> str:
    """Return what importing says against the files of the one experiment."""
    (job,) = bench.plan.of_stage("importing")
    code, said = bench.run(job)
    assert code == 1
    assert not job.out.exists()
    return said


# --------------------------------------------------------------------- the published counts


def golden(*experiments: str) -> dict[str, list[dict[str, str]]]:
    """Return experiment -> its rows in the published table."""
    rows = rows_of((ROOT / "tests/golden/sakura_table.csv").read_text(encoding="utf-8"))
    return {name: [row for row in rows if row["experiment"] == name] for name in experiments}


def test_results_in_the_published_format_reproduce_their_counts(start):
    """The published table of a scaling, from its 4,000 answers and their verdicts."""
    name = "SKR-LoRA-SF-{}-B5"
    table = golden(name.format(3))
    items = items_of([row["category"] for row in table[name.format(3)]], 500)
    for experiment, rows in table.items():
        right = {row["category"]: int(row["correct"]) for row in rows}
        write_published(Path("there", experiment), items, right, judged=True)
    entry = {
        "id": name.format("{lora_scaling}"),
        "model": "SALMONN",
        "predictions": {"source": "there/" + name.format("{lora_scaling}"), "format": "sakura"},
        "grid": {"lora_scaling": [3]},
    }
    deltas = ((r["category"], r["accuracy"], r["accuracy_delta"]) for r in table[name.format(3)])
    levels = {category: round(float(now) - float(less), 1) for category, now, less in deltas}
    folder = start(entry, items=items, baseline=levels).finish()
    made = rows_of((folder / "accuracy.csv").read_text(encoding="utf-8"))
    for row, of in zip(made, [row for rows in table.values() for row in rows], strict=True):
        assert {key: _plain(row[key]) for key in of} == {key: _plain(of[key]) for key in of}
    counts = [row["correct"] for row in table[name.format(3)]]
    assert verdicts(folder) == [["500", count, count, "0"] for count in counts]


def _plain(cell: str) -> float | str:
    return float(cell) if cell.replace(".", "").lstrip("-").isdigit() else cell


def verdicts(folder: Path) -> list[list[str]]:
    """Return judged, published, here and differ of the report's table of published verdicts."""
    section = (folder / "accuracy.md").read_text().partition("sums of their credits")[2]
    table = section.partition("| experiment")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[3:-1]] for line in table]


# ------------------------------------------------------------------------ what is written


def test_predictions_have_the_columns_of_those_made_here():
    made_here = {f.name: f.type for f in shard_schema() if f.name not in SIDECAR}
    elsewhere = {field.name: field.type for field in prediction_schema()}
    assert elsewhere.pop("published")
    assert elsewhere == made_here


def test_answers_are_scored_compared_and_shown(start):
    write_published(Path("there"), ITEMS, RIGHT)
    write_published(Path("other"), ITEMS, {"animal-single": 6, "gender-multi": 3}, judged=True)
    other = {"source": "other", "format": "sakura"}
    bench = start({"lora_scaling": 0}, {"predictions": other, "lora_scaling": 4, "adapter": "a"})
    assert bench.left() == ["importing", "importing", "page", "report", "score", "score"]
    # A verdict that rules do not share.
    file = Path("other/animal_model_single_judgements.json")
    file.write_text(
        file.read_text().replace('"Judgement": "correct"', '"Judgement": "incorrect"', 1)
    )
    folder = bench.finish()
    rows = predictions(bench, "E1")
    assert [row["item_id"] for row in rows] == [item.item_id for item in ITEMS]
    assert {row["finish_reason"] for row in rows} == {"unknown"}
    assert {row["lora_scaling"] for row in rows} == {4}
    assert not bench.plan.experiments["E1"].runtime.exists()
    compared = rows_of((folder / "comparison.csv").read_text())
    gained = {row["category"]: row["gained"] for row in compared if row["experiment"] == "E1"}
    assert (gained["animal-single"], gained["gender-multi"]) == ("2", "0")
    said = (folder / "accuracy.md").read_text()
    assert "- E0: imported from there (sakura).\n- E1: imported from other (sakura)." in said
    assert verdicts(folder) == [["6", "5", "6", "1"], ["6", "3", "3", "0"]]
    manifest = json.loads(next(folder.glob("manifest-*.json")).read_text())
    assert manifest["ran"] == []
    assert [row["runtime"] for row in manifest["rows"]] == [None, None]


def test_nothing_is_done_again_but_what_the_content_asks_for(start):
    write_published(Path("there"), ITEMS, RIGHT)
    bench = start({"lora_scaling": 4, "model": "SALMONN"})
    bench.finish()
    before = bench.plan.experiments["E0"].digest
    os.utime("there/animal_model_single.json", (0, 0))
    Path("there").rename("moved")
    bench.study["experiments"][0]["predictions"]["source"] = "moved"
    bench.study["experiments"][0]["model"] = "another label"
    assert bench.left() == ["page", "report"]
    write_published(Path("moved"), ITEMS, RIGHT | {"gender-multi": 2})
    assert bench.left() == ["importing", "page", "report", "score"]
    assert bench.plan.why("E0") == "imported from moved (sakura): files of the predictions changed"
    bench.study["experiments"][0]["lora_scaling"] = 3
    assert "lora_scaling 4 -> 3" in bench.plan.why("E0")
    assert [path.parts[-1] for path in unplanned([bench.plan])] == [before]


def test_commands_say_what_was_imported(start, capsys):
    write_published(Path("there"), ITEMS, RIGHT)
    bench = start({"adapter": "label"})
    plan = bench.plan
    lines = [*plan_lines(plan, [])]
    assert "  E0  imported from there (sakura): new" in lines
    assert "jobs: importing 1, score 1, report 1, page 1" in lines
    assert not any("GPU" in line and "none" not in line for line in lines)
    (first, *_) = status_lines(plan, [*plan.experiments.values()])
    assert first.startswith("E0  dataset done, importing missing, score missing (imported from")
    bench.finish()
    (first, *_) = status_lines(bench.plan, [*bench.plan.experiments.values()])
    assert first == "E0  dataset done, importing done, score done"
    asked = SimpleNamespace(id="E0", file="predictions")
    assert [*path_lines(bench.plan, asked)] == [str(bench.plan.experiments["E0"].predictions)]
    assert any(
        "fingerprint" in line
        for line in path_lines(bench.plan, SimpleNamespace(id="E0", file=None))
    )


def test_an_absent_file_is_named_before_a_run_and_answers_outlive_it(start):
    bench = start({})
    assert "not here yet: there (predictions.source of E0)" in [*plan_lines(bench.plan, [])]
    with pytest.raises(
        UserError, match=r"not here: there \(predictions.source of E0\); put it there"
    ):
        refuse_absent(bench.plan.context, bench.plan.left())
    Path("there").mkdir()
    Path("there/results.txt").touch()
    with pytest.raises(
        UserError, match=r"E0: predictions.source: there: holds no file that is called"
    ):
        bench.plan  # noqa: B018
    Path("there/results.txt").unlink()
    write_published(Path("there"), ITEMS, RIGHT)
    bench.finish()
    Path("there").rename("away")
    assert bench.left() == []


# ----------------------------------------------------------------------------- what is refused


def test_each_item_needs_one_answer_unless_the_study_says_otherwise(start):
    write_published(Path("there"), ITEMS[:-1], RIGHT)
    keys = {"source": "there", "format": "sakura"}
    said = refused(start({}))
    assert "E0: each of the 12 items" in said
    assert "1 have none (gender-multi/gender5)" in said
    bench = start({"predictions": keys | {"missing": "unanswered"}})
    folder = bench.finish()
    last = predictions(bench)[-1]
    assert (last["response"], last["finish_reason"]) == ("", "unanswered")
    said = (folder / "accuracy.md").read_text()
    assert "its scaling is not known (key lora_scaling); 1 of 12 items are unanswered." in said
    outcomes = rows_of((folder / "outcomes.csv").read_text())
    assert {r["category"]: r["none"] for r in outcomes if r["category"] in RIGHT} == {
        "animal-single": "0",
        "gender-multi": "1",
    }


def test_answers_to_other_items_are_left_out_where_the_study_says_so_or_has_a_limit(start):
    write_published(Path("there"), ITEMS, RIGHT)
    keys = {"source": "there", "format": "sakura"}
    assert "1 are of other items (gender-multi/gender5: " in refused(start({}, items=ITEMS[:-1]))
    for bench in (
        start({"predictions": keys | {"others": "leave_out"}}, items=ITEMS[:-1]),
        start({}, items=ITEMS[:-1], limit=6),
    ):
        (job,) = bench.plan.of_stage("importing")
        code, said = bench.run(job)
        assert code == 0
        assert "E0: of the answers to its items, 1 are of other items (" in said


def test_a_changed_file_is_refused(start):
    write_published(Path("there"), ITEMS, RIGHT)
    bench = start({})
    (job,) = bench.plan.of_stage("importing")
    job.told()
    write_published(Path("there"), ITEMS, RIGHT | {"gender-multi": 0})
    code, said = bench.run(job)
    assert (code, "there: changed since this run was planned; run snakemake again" in said) == (
        1,
        True,
    )


# --------------------------------------------------------------------------------- likelihoods


def lines(*records: dict) -> dict:
    Path("there.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return {"source": "there.jsonl", "format": "jsonl", "loglikelihoods": "ll"}


def test_likelihoods_are_chosen_from_and_scored(start):
    sums = {"cat": [-1, -2, -3, -4], "dog": [-1, -2, -3, -4.5]}
    records = [{"item_id": f"animal{n}", "ll": sums["cat"]} for n in range(3)]
    records.append({"item_id": "animal3", "ll": [None, -1, -2, -3]})
    scorer = {"name": "likelihood", "by": ["sum", "character"]}
    bench = start(
        {"predictions": lines(*records), "mode": "choose", "scorer": scorer}, items=ITEMS[:4]
    )
    folder = bench.finish()
    rows = predictions(bench)
    assert [row["response"] for row in rows] == [" (a) cat"] * 3 + [""]
    assert [row["finish_reason"] for row in rows] == ["likelihood"] * 3 + ["nonfinite"]
    made = rows_of((folder / "accuracy.csv").read_text())
    assert [row["correct"] for row in made if row["category"] == "animal-single-acc"] == ["1"]
    scorer["by"].append("token")
    bench.study["experiments"][0]["scorer"] = scorer
    code, said = bench.run(next(bench.plan.of_stage("score")))
    assert (code, "of how many tokens an option is, is not known" in said) == (1, True)


@pytest.mark.parametrize(
    ("record", "mode", "words"),
    [
        ({"ll": [-1, -2, -3]}, "choose", "has 3 log-likelihoods for the 4 continuations of"),
        ({"response": "cat"}, "choose", "has 0 log-likelihoods for the 4 continuations of"),
        ({"ll": [-1, -2, -3, -4]}, "generate", "has log-likelihoods, and mode generate"),
    ],
)
def test_replies_of_another_mode_are_refused(start, record, mode, words):
    keys = lines({"item_id": "animal0", **record})
    bench = start({"predictions": keys, "mode": mode}, items=ITEMS[:1])
    assert f"E0: there.jsonl:1: {words}" in refused(bench)


def test_nothing_stands_for_likelihoods_that_are_missing(start):
    keys = lines({"item_id": "animal0", "ll": [-1, -2, -3, -4]}) | {"missing": "unanswered"}
    bench = start({"predictions": keys, "mode": "choose"}, items=ITEMS[:2])
    assert "animal-single/animal1 has no log-likelihoods" in refused(bench)


# -------------------------------------------------------------------------------------- charts


def test_a_run_without_a_known_scaling_is_in_the_tables_and_in_no_chart_of_scalings(start):
    write_published(Path("there"), ITEMS, RIGHT)
    bench = start(
        *({"lora_scaling": n, "model": "m"} for n in (0, 4)), {"model": "unknown scaling"}
    )
    folder = bench.finish()
    drawn = (folder / "accuracy.svg").read_text()
    assert "unknown scaling" not in drawn
    assert {row["experiment"] for row in csv.DictReader((folder / "accuracy.csv").open())} >= {"E2"}
    assert (
        "E2: imported from there (sakura); its scaling is not known (key lora_scaling)."
        in (folder / "accuracy.md").read_text()
    )


# -------------------------------------------------------------------------------- out and in again


def test_an_export_in_sakura_s_format_reads_back_equal_with_its_verdicts(start):
    write_published(Path("there"), ITEMS, RIGHT)
    bench = start({})
    bench.finish()
    for name in ("sakura", "jsonl", "every_eval_ever"):
        told = SimpleNamespace(id=[], format=name, out=Path(f"out-{name}"), force=False)
        assert [*export_lines(bench.plan, told)]
    source = {"source": "out-sakura", "format": "sakura"}
    bench.study["experiments"].append({"id": "BACK", "dataset": "sakura", "predictions": source})
    folder = bench.finish()
    columns = ["item_id", "response", "finish_reason"]
    here, back = (
        [{key: row[key] for key in columns} for row in predictions(bench, name)]
        for name in ("E0", "BACK")
    )
    assert here == back
    assert verdicts(folder) == [["6", "4", "4", "0"], ["6", "3", "3", "0"]]
    assert "None" not in Path("out-jsonl/E0.jsonl").read_text()
    for path in Path("out-every_eval_ever").rglob("*.json"):
        assert "None" not in path.read_text()

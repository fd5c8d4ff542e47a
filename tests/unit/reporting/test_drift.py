"""What a report says of drift: tables, section and chart."""

import math
import re
from dataclasses import replace
from fractions import Fraction

import matplotlib.image
import pandas as pd
import pytest

from lorascope.reporting import tradeoff as drawing
from lorascope.reporting.baselines import Level
from lorascope.reporting.drift import (
    DRIFT_COLUMNS,
    TRADEOFF_COLUMNS,
    beside_kl,
    drift_section,
    drift_table,
    points_of,
    tradeoff_table,
    without_drift,
)
from lorascope.reporting.outcomes import outcome_table
from lorascope.reporting.tradeoff import tradeoff_chart
from lorascope.reporting.verdicts import retention_table
from lorascope.scoring.item_score import DRIFT
from tests.support.basics import ROOT
from tests.support.runs import TOKENS, measured_run, run

SCALINGS = [0.0, 1.0, 2.0]
RETAIN = [{"of": "OLD-0.0", "metric": "old", "at_least": 0.9, "confidence": 0.95}]


def settings(scaling, mode="generate", **own):
    keys = {"model": "model", "adapter": "mine", "lora_scaling": scaling, "mode": mode}
    return {"id": "x", "dataset": "d", "batch_size": 3, "table": True, **keys, **own}


def drifting(name, scaling, kl, on="prose", tokens=(10, 30)):
    """A run of two items with so many nats of divergence in all."""
    measures = {f"{on}-{metric}": measure for metric, measure in DRIFT.items()}
    sums = {"kl": kl, "reverse_kl": 2 * kl, "loss": 80 + kl, "base_loss": 80, "changed": kl / 2}
    items = {
        f"{on}-{metric}": [(total / 4, tokens[0]), (total * 3 / 4, tokens[1])]
        for metric, total in sums.items()
    }
    found = measured_run(name, measures, items, "texts", scaling)
    return replace(found, adapter="mine", model="model")


@pytest.fixture
def whole():
    """Runs of a sweep on a new task, an old one and a text, with settings and levels."""
    runs, told = [], {}
    for scaling, new, old in zip(SCALINGS, (1, 4, 3), (4, 3, 1), strict=True):
        for task, right in (("new", new), ("old", old)):
            one = run(f"{task.upper()}-{scaling}", {task: [1] * right + [0] * (4 - right)})
            one = replace(one, lora_scaling=scaling, adapter="mine", model="model", dataset=task)
            runs.append(one)
            told[one.experiment] = settings(scaling, dataset=task)
        runs.append(drifting(f"D-{scaling}", scaling, 8 * scaling))
        told[f"D-{scaling}"] = settings(scaling, "drift", dataset="texts")
    levels = {r.experiment: {c: Level("B", "model", Fraction(25)) for c in r.rows} for r in runs}
    return runs, told, levels


def both(whole, retain=RETAIN):
    runs, told, levels = whole
    points = points_of(runs, told)
    drift = drift_table(runs, points)
    return drift, tradeoff_table(runs, points, drift, levels, retain)


def test_drift_is_a_ratio_of_sums_by_token(whole):
    drift, _ = both(whole)
    assert [*drift] == list(DRIFT_COLUMNS)
    rows = drift.set_index("experiment")
    assert rows["tokens"].tolist() == [40] * 3
    assert rows["kl"].tolist() == pytest.approx([0, 0.2, 0.4])
    assert rows["reverse_kl"].tolist() == pytest.approx([0, 0.4, 0.8])
    assert rows["loss"].tolist() == pytest.approx([2, 2.2, 2.4])
    assert rows["base_loss"].tolist() == pytest.approx([2, 2, 2])
    assert rows["changed"].tolist() == pytest.approx([0, 10, 20])
    assert (rows["kl_low"] <= rows["kl"]).all()
    assert (rows["kl"] <= rows["kl_high"]).all()


def test_scores_stand_beside_the_drift_of_the_same_model(whole):
    _, table = both(whole)
    assert [*table] == list(TRADEOFF_COLUMNS)
    found = {(r.category, r.label): (r.kl, r.gain, r.kept) for r in table.itertuples()}
    assert len(found) == len(table) == 6
    assert found["new", "1"][:2] == pytest.approx((0.2, 75))
    assert math.isnan(found["new", "1"][2])
    assert found["old", "2"] == pytest.approx((0.4, 0, 25))
    assert found["old", "0"] == pytest.approx((0, 75, 100))


def test_an_adapters_own_scaling_is_the_number_that_it_is(whole):
    runs, told, levels = whole
    told["D-2.0"] = settings(None, "drift")
    _, table = both((runs, told, levels))
    assert sorted(set(table["label"])) == ["0", "1", "2"]


def test_another_setting_is_another_line_and_a_swept_one_another_point(whole):
    runs, told, levels = whole
    for name in ("NEW-1.0", "D-1.0"):
        told[name] = settings(1.0, second_per_window=0.5)
    told["OLD-1.0"] = settings(1.0, second_per_window=0.25)
    for name in ("NEW-2.0", "D-2.0"):
        told[name] = settings(2.0, strength=0.5)
    _, table = both((runs, told, levels))
    cells = {(r.category, r.line, r.label) for r in table.itertuples()}
    assert ("new", "mine, second_per_window 0.5", "1") in cells
    assert ("new", "mine, second_per_window None", "2, 0.5") in cells
    assert not [cell for cell in cells if cell[0] == "old" and cell[2] == "1"]


def test_a_gain_is_better_where_lower_is_and_nothing_is_kept_of_nothing(whole):
    runs, told, levels = whole
    for scaling, nats in zip(SCALINGS, (2.0, 1.0, 3.0), strict=True):
        name = f"LM-{scaling}"
        one = measured_run(name, {"lm": TOKENS}, {"lm": [(nats, 1.0)]}, "lm", scaling)
        runs.append(replace(one, adapter="mine", model="model"))
        told[name] = settings(scaling, "loss")
        levels[name] = {"lm": Level("LM-0.0", "model", math.exp(2))}
    keep = [{**RETAIN[0], "of": "LM-0.0", "metric": "lm"}]
    _, table = both(whole, keep)
    found = table[table["category"] == "lm"].set_index("label")
    two, one, three = map(math.exp, (2, 1, 3))
    assert found["gain"].tolist() == pytest.approx([0, two - one, two - three])
    assert found["kept"].tolist() == pytest.approx([100, 100 * math.e, 100 / math.e])


def test_a_gate_passes_over_what_the_same_items_are_read_for(whole):
    runs, _, _ = whole
    runs = [replace(r, dataset="old") if r.experiment.startswith("D") else r for r in runs]
    assert retention_table(runs, RETAIN)["experiment"].tolist() == ["OLD-1.0", "OLD-2.0"]


def test_the_chart_of_values_shows_kl_and_replies_leave_drift_out(whole):
    runs, _, _ = whole
    names = {f"prose-{metric}" for metric in DRIFT}
    assert beside_kl(runs) == names - {"prose-kl"}
    text = replace(measured_run("LM", {"lm": TOKENS}, {"lm": [(1.0, 1.0)]}), base="LM")
    outcomes = outcome_table([text, *(r for r in runs if r.experiment.startswith("D"))])
    assert names <= {*outcomes["category"]}
    assert {*without_drift(outcomes, runs)["category"]} == {"lm"}
    odd = outcomes.assign(nonfinite=1.0)
    assert len(without_drift(odd, runs)) == len(odd)


def test_the_section_says_what_the_numbers_are(whole):
    text = drift_section(*both(whole))
    assert "KL(base || adapted)" in text
    assert "(drift.svg)" in text
    assert re.search(r"\| D-1\.0 +\| model +\| mine +\|.*\| prose +\|.*\b0\.2 ", text)
    drift, table = both(whole)
    assert "No other experiment has" in drift_section(drift, table.iloc[:0])
    assert drift_section(drift.iloc[:0], table.iloc[:0]) == ""


def test_panels_are_gains_against_drift_and_what_is_kept(whole):
    _, table = both(whole)
    grid = drawing._grid(table)
    kl, kept = drawing.KL.format("prose"), drawing.KEPT.format("old")
    assert [[(p.x, p.y) for p in row] for row in grid] == [
        [(kl, "gain in new"), (kept, "gain in new")],
        [(kl, kept)],
    ]
    assert grid[0][1].points["x"].tolist() == [100, 75, 25]
    assert grid[0][1].points["y"].tolist() == [0, 75, 50]
    _, free = both(whole, [])
    assert [[p.y for p in row] for row in drawing._grid(free)] == [["gain in new"], ["gain in old"]]


@pytest.mark.parametrize("rows", [slice(None), slice(0)])
def test_equal_data_give_equal_pictures(whole, tmp_path, rows):
    _, table = both(whole)
    files = [tmp_path / name for name in ("a.svg", "a.png", "b.svg", "b.png")]
    tradeoff_chart(table[rows], "T", *files[:2])
    tradeoff_chart(table[rows], "T", *files[2:])
    assert files[0].read_bytes() == files[2].read_bytes()
    assert matplotlib.image.imread(files[1]).shape[2] == 4


def test_a_line_that_does_not_move_is_the_base(whole, tmp_path, monkeypatch):
    _, table = both(whole)
    base = table[table["kl"] == 0].assign(line="no adapter")
    seen = []
    monkeypatch.setattr(drawing, "_draw", lambda axes, panel, lines: seen.append(lines))
    tradeoff_chart(pd.concat([base, table]), "T", tmp_path / "a.svg", tmp_path / "a.png")
    assert {name for lines in seen for name in lines} == {"mine"}


@pytest.mark.parametrize(
    ("file", "columns"), [("drift.csv", DRIFT_COLUMNS), ("tradeoff.csv", TRADEOFF_COLUMNS)]
)
def test_every_column_is_documented_and_no_other(file, columns):
    text = (ROOT / "docs/adapter.md").read_text(encoding="utf-8")
    part = text.partition(f"\n`{file}`, a row")[2].partition("\n\n")[2]
    part = part.partition("\n\n")[0]
    rows = [row.split("|")[1] for row in part.splitlines() if row.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(columns)

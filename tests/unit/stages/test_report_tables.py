"""The tables of a report: the order of its page, and what its CSVs say beside the values."""

import csv
import json
from dataclasses import replace

import pytest

from lorascope.planning.report import LIKELIHOODS
from lorascope.reporting import plots, surroundings, values
from lorascope.reporting.columns import SETTINGS_COLUMNS
from tests.support.basics import ROOT
from tests.support.report_jobs import report_maker, scored, scored_by
from tests.support.reports import rows_of
from tests.support.runs import WORDS

GOLDEN = ROOT / "tests" / "golden" / "sakura_table.csv"
SALMONN_7B = {
    **{"animal-multi": 34.6, "animal-single": 68.2, "emotion-multi": 28.4, "emotion-single": 20.0},
    **{"gender-multi": 48.8, "gender-single": 60.0, "language-multi": 29.8},
    "language-single": 20.6,
}
RETAIN = {"of": "A-10", "metric": "x-em", "at_least": 0.9, "confidence": 0.95}


@pytest.fixture
def make(tmp_path, monkeypatch, capsys):
    for chart in ("accuracy_chart", "accuracy_bars"):
        monkeypatch.setattr(plots, chart, lambda *_, **how: None)
    return report_maker(tmp_path, monkeypatch, capsys)


def credits(right, total=40):
    return [1.0] * right + [0.0] * (total - right)


@pytest.fixture
def sweep():
    """Return the rows of three scalings of one adapter."""
    return [
        scored(f"A-{n:g}", {"x-em": credits(right), "x-f1": credits(right + 1)}, n, adapter="tuned")
        for n, right in ((2.0, 20), (10.0, 35), (0.5, 5))
    ]


def table_of(files, name):
    return rows_of(files[name].decode())


def test_every_number_of_the_published_table_is_in_the_columns_it_was_in(make):
    golden = list(csv.DictReader(GOLDEN.open()))
    right = {}
    for row in golden:
        own = right.setdefault(row["experiment"], {})
        own[row["category"]] = credits(int(row["correct"]), int(row["total"]))
    files = make([scored(name, own, 1.0) for name, own in right.items()], baseline=SALMONN_7B)
    made = table_of(files, "accuracy.csv")
    assert [{name: row[name] for name in golden[0]} for row in made] == golden
    assert list(made[0])[: len(golden[0])] == list(golden[0])
    assert "| SKR-LoRA-SF-0-B5 " in files["accuracy.md"].decode()


def test_all_tables_carry_the_settings_of_their_rows(make, sweep):
    files = make(sweep, baseline="A-10", retain=[RETAIN], files=["retention.csv"])
    for name in ("accuracy.csv", "comparison.csv", "outcomes.csv", "retention.csv"):
        for row in table_of(files, name):
            scaling = float(row["experiment"].removeprefix("A-"))
            first = str(row["experiment"] == "A-10")
            expected = (first, "llama", "tuned", str(scaling), "squad", "40")
            assert tuple(row[column] for column in SETTINGS_COLUMNS) == expected, name
    for name in ("accuracy.csv", "comparison.csv", "outcomes.csv"):
        order = dict.fromkeys(row["experiment"] for row in table_of(files, name))
        assert list(order) == ["A-10", "A-0.5", "A-2"]


def test_likelihoods_carry_them_too_and_count_what_was_judged(make):
    columns = {
        "margin": [1.0, -1.0, None, 2.0],
        "probability": [0.5] * 4,
        "credit": [1.0, 0.0, None, 1.0],
    }
    items = {"x": [(1.0, 1.0)] * 4}
    rows = [scored_by(name, {}, items, 1.0, columns=columns) for name in ("BASE", "A")]
    files = make(rows, files=[LIKELIHOODS])
    for row in table_of(files, "likelihoods.csv"):
        assert (row["items"], row["n"], row["adapter"]) == ("3", "3", "")
    for row in table_of(files, "accuracy.csv"):
        assert (row["n"], row["unjudged"], row["total"]) == ("3", "1", "4")
    assert "could not be judged" in files["accuracy.md"].decode()


def test_the_page_has_warnings_and_the_values_before_all_else(make, sweep):
    options = {"baseline": "A-10", "retain": [RETAIN], "files": ["retention.csv"], "limit": 40}
    page = make(sweep, **options)["accuracy.md"].decode()
    marks = ["# text: smoke run", "**Warning.** A smoke run", "## Accuracy", "points against A-10."]
    marks += ["| experiment ", "| A-10 (baseline)", "| A-0.5 ", "`*` marks a difference"]
    marks += ["<details><summary>6 rows", "## What the replies were", "| A-10 (baseline) ", "]("]
    marks += ["## Retention", "## Generation settings"]
    at = 0
    for mark in marks:
        at = page.index(mark, at) + 1
    assert page.count("**Warning.**") == page[: page.index("## Accuracy")].count("**Warning.**")
    assert "| A-2  " in page
    assert "50.0*" in page


def test_table_tex_has_the_values_by_scaling(make, sweep):
    tex = make(sweep, baseline="A-10")["table.tex"].decode()
    assert r"10 (baseline) & \textbf{87.5} & \textbf{90.0} \\" in tex
    assert r"2 & 50.0\rlap{$^{*}$} & 52.5\rlap{$^{*}$} \\" in tex
    assert r"{tab:text}" in tex


def test_an_experiment_without_a_scaling_has_an_empty_cell(make):
    files = make([scored("BASE", {"x": credits(3)}, None)])
    (row,) = table_of(files, "accuracy.csv")
    assert (row["adapter"], row["lora_scaling"], row["n"]) == ("", "", "40")
    assert "BASE (baseline)" in files["table.tex"].decode()


def test_a_measure_keeps_its_columns_and_says_its_direction_in_the_pivot(make, monkeypatch):
    items = {"wer": [(1.0, 10.0)] * 9, "qa": [(1.0, 1.0)] * 9}
    monkeypatch.setattr(values, "SCREEN", 3)
    rows = [scored_by(f"A{n}", {"wer": WORDS}, items, float(n)) for n in (0, 1)]
    files = make(rows, baseline="A0")
    header = list(table_of(files, "accuracy.csv")[0])
    assert header[9:11] == ["measure", "better"]
    assert tuple(header[11:17]) == SETTINGS_COLUMNS
    page = files["accuracy.md"].decode()
    assert "|   qa ↑ |   wer ↓ |" in page
    assert "4 rows" in page


def test_rows_of_other_commits_are_warned_of_above_the_values(make, monkeypatch):

    monkeypatch.setattr(surroundings, "commits", lambda ran: {"lab/m@main": ["a" * 40, "b" * 40]})
    page = make([scored("BASE", {"x": credits(3)}, 1.0)])["accuracy.md"].decode()
    warning = "**Warning.** Rows were made of different commits of lab/m@main."
    assert page.index(warning) < page.index("## Accuracy")
    assert page.index("Sources: lab/m@main at commit") > page.index("## What the replies were")
    assert json.loads(make([scored("BASE", {"x": credits(3)}, 1.0)])["manifest-d.json"])["sources"]


def test_categories_may_have_the_names_of_columns(make, monkeypatch):
    monkeypatch.setattr(values, "SCREEN", 3)
    names = ["experiment", "all items", "lora_scaling", "total"]
    rows = [scored(f"A-{n}", {name: credits(n) for name in names}, float(n)) for n in (1, 2)]
    files = make(rows, baseline="A-1")
    page = files["accuracy.md"].decode()
    header = next(line for line in page.splitlines() if line.startswith("| experiment "))
    cells = [cell.strip() for cell in header.strip("|").split("|")]
    assert cells == ["experiment", "lora_scaling", *sorted(names)]
    assert {row["category"] for row in table_of(files, "accuracy.csv")} == {*names}


def test_a_study_that_shows_no_experiment_has_tables_without_rows(make):
    row = replace(scored("BASE", {"x": credits(3)}, 1.0), table=False)
    files = make([row])
    assert table_of(files, "accuracy.csv") == []
    assert r"\begin{tabular}" not in files["table.tex"].decode()
    assert "BASE (baseline)" in files["accuracy.md"].decode()


def test_the_runs_of_an_experiment_have_a_row_of_their_mean(make):
    base, first, again = (
        scored(name, {"x": credits(right)}, scaling)
        for name, right, scaling in (("BASE", 4, 0.0), ("A", 30, 1.0), ("A-1", 20, 1.0))
    )
    files = make([base, first, replace(again, base="A", run=1)])
    accuracy, compared = (table_of(files, name) for name in ("accuracy.csv", "comparison.csv"))
    for rows in (accuracy, compared):
        assert [row["experiment"] for row in rows] == ["BASE", "A-1", "A", "A (mean of 2 runs)"]
        assert [row["runs"] for row in rows] == ["1", "1", "1", "2"]
        assert float(rows[-1]["accuracy"]) == 62.5
        assert float(rows[-1]["std"]) == pytest.approx(12.5 * 2**0.5)
    assert accuracy[-1]["accuracy_delta"] == "52.5"
    assert [row["run_num"] for row in accuracy] == ["0", "1", "0", ""]
    assert float(compared[-1]["accuracy_low"]) < 62.5 < float(compared[-1]["accuracy_high"])
    assert compared[-1]["holm_p"] == ""
    page = files["accuracy.md"].decode()
    (line,) = (x for x in page.splitlines() if x.startswith("| A (mean of 2 runs)"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2:] == ["", "x", "", "", "40", "62.5", "52.5", "17.6777", "2", "*"]
    mean = r"1 (2 runs) & \textbf{62.5}\,$\pm$\,17.7\rlap{$^{*}$} \\"
    assert mean in files["table.tex"].decode()

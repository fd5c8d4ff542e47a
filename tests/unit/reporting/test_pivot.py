"""The values of a study by experiment or scaling, and how the page shows them."""

import html
import re
from dataclasses import replace

import pandas as pd
import pytest

from lorascope.reporting.columns import with_settings
from lorascope.reporting.comparison import ALL_ITEMS, comparison_table
from lorascope.reporting.means import accuracies_with_means
from lorascope.reporting.pivot import by_experiment, by_line, merges
from lorascope.reporting.significance import LEVEL, is_marked, marks_of
from lorascope.reporting.tables import accuracy_table, in_cell, markdown
from lorascope.reporting.values import SCREEN, values
from lorascope.study.order import natural
from tests.support.pivots import sources, written
from tests.support.runs import WORDS, flags, measured_run, run, text_run

RIGHT = {"SF-10": (40, 30), "SF-0": (5, 28), "SF-2": (20, 30)}


def sweep():
    """Return three scalings on 40 clips with two questions each."""
    return [
        run(name, {"x-multi": flags(m, 40), "x-single": flags(s, 40)}, scaling=float(name[3:]))
        for name, (m, s) in RIGHT.items()
    ]


def shown(made, **levels):
    table = accuracy_table(made.scored, levels or {"x-multi": 1, "x-single": 1})
    table = accuracies_with_means(with_settings(table, made.scored), made.scored, {})
    return values(table, made)


def lines(part):
    rows = (line for line in part.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_a_pivot_has_the_values_of_the_table_marked_by_its_tests():
    made = sources(sweep(), "SF-10")
    (pivot,) = by_experiment(made)
    assert pivot.labels == ("experiment", "lora_scaling")
    assert [row.labels for row in pivot.rows] == [("SF-10", "10"), ("SF-0", "0"), ("SF-2", "2")]
    assert [row.remark for row in pivot.rows] == [" (baseline)", "", ""]
    assert written(pivot)["SF-2, 2", "x-multi"] == "50.0*"
    tested = comparison_table(made.scored, ["SF-10"]).set_index(["experiment", "category"])
    for row in pivot.rows:
        for category, cell in row.cells.items():
            line = tested.loc[row.labels[0], category]
            assert cell.value == pytest.approx(line.accuracy)
            assert cell.is_marked == (pd.notna(line.holm_p) and line.holm_p < LEVEL)
    assert {column.category for column in pivot.columns} == {"x-multi", "x-single", ALL_ITEMS}
    assert [column.items for column in pivot.columns] == [(40, 40), (40, 40), (80, 80)]


def test_experiments_of_two_datasets_stand_in_one_row_by_scaling():
    runs = [
        replace(
            run(f"{name}-{n}", {name: flags(10 * n, 40)}, scaling=float(n)),
            dataset=name,
        )
        for name in ("old", "new")
        for n in (0, 1, 2)
    ]
    made = sources(runs, "old-0", "new-0")
    pivots = by_line(made)
    assert merges(made, pivots)
    assert written(pivots[0]) == {
        **{("0", "old"): "0.0", ("0", "new"): "0.0", ("1", "old"): "25.0*", ("1", "new"): "25.0*"},
        **{("2", "old"): "50.0*", ("2", "new"): "50.0*"},
    }
    assert not merges(made, by_experiment(made))


def test_two_experiments_of_one_cell_have_rows_of_their_own():
    runs = [run("A", {"x": flags(1, 4)}), run("B", {"x": flags(2, 4)})]
    assert [row.labels for row in by_line(sources(runs))[0].rows] == [("A",), ("B",)]


def test_scalings_are_in_the_order_of_their_values():
    runs = [run(f"N{i}", {"x": [True]}, scaling=s) for i, s in enumerate((1e6, -1, 0.5, 1e-5, 0))]
    series = {one.experiment: "" for one in runs}
    (pivot,) = by_line(sources(runs, "N2", series=series))
    assert [row.labels[0] for row in pivot.rows] == ["0.5", "-1", "0", "1e-05", "1e+06"]


def test_several_runs_are_one_row_marked_where_each_of_them_is():
    base = run("BASE", {"x": flags(0, 40)})
    runs = [
        run(f"A-{n}", {"x": flags(right, 40)}, base="A", run_num=n)
        for n, right in enumerate((20, 30))
    ]
    (pivot,) = by_experiment(sources([base, *runs], "BASE"))
    row = pivot.rows[1]
    assert (row.labels[0], row.remark) == ("A", " (2 runs)")
    assert row.cells["x"].value == 62.5
    assert row.cells["x"].std == pytest.approx(12.5 * 2**0.5)
    assert row.cells["x"].is_marked
    weak = [base, runs[0], run("A-1", {"x": flags(1, 40)}, base="A", run_num=1)]
    assert not by_experiment(sources(weak, "BASE"))[0].rows[1].cells["x"].is_marked
    text = "\n".join(shown(sources([base, *runs], "BASE"), x=0))
    assert "| A (mean of 2 runs)" in text
    assert "17.6777" in text
    assert "over an experiment's runs (n - 1)" in text


def test_a_published_baseline_is_the_first_row_and_marks_nothing_without_counts():
    made = sources(sweep(), published={"x-multi": 12.5, "x-single": 50})
    (pivot,) = by_experiment(made)
    assert (pivot.rows[0].labels, pivot.rows[0].is_baseline) == (("published",), True)
    assert pivot.rows[0].cells["x-multi"].value == 12.5
    assert made.marks is None
    assert shown(made)[1] == ""


def test_marks_are_those_below_the_level_and_none_where_nothing_is_tested():
    table = comparison_table([run("A", {"x": flags(1, 2)})], [])
    assert marks_of(table) is None
    table = table.assign(holm_p=[0.05])
    assert marks_of(table) == frozenset()
    assert marks_of(table.assign(holm_p=[0.0499])) == {("A", "x")}
    assert not is_marked(frozenset({("A", "x")}), [], "x")


def test_a_screen_of_rows_is_a_table_and_more_are_a_pivot_above_it():
    of_screen = {f"c{i:02d}": flags(1, 2) for i in range(SCREEN)}
    alone = shown(sources([run("A", of_screen)]), **dict.fromkeys(of_screen, 1))
    assert len(lines(alone[0])) == SCREEN + 1
    more = of_screen | {"c-more": flags(1, 2)}
    parts = shown(sources([run("A", more)]), **dict.fromkeys(more, 1))
    folded = parts.index(next(part for part in parts if part.startswith("<details>")))
    assert f"{SCREEN + 1} rows" in parts[folded]
    assert len(lines(parts[folded + 1])) == SCREEN + 2
    categories = [name for part in parts[:folded] for name in (lines(part) or [[]])[0][1:]]
    assert categories == [*of_screen, "c-more", "all items"]
    assert all(len(line) <= 220 for part in parts[:folded] for line in part.splitlines())


def test_several_metrics_of_several_experiments_are_a_pivot_in_a_small_study_too():
    runs = [text_run(name, [0.5, 1, 0], [0, 1, 0]) for name in ("A", "B")]
    made = sources(runs, "A")
    parts = shown(made, **{"squad-em": 1, "squad-f1": 1})
    assert lines(parts[0]) == [
        ["experiment", "squad-em", "squad-f1"],
        ["A (baseline)", "33.3", "50.0"],
        ["B", "33.3", "50.0"],
    ]
    alone = shown(sources(runs[:1], "A"), **{"squad-em": 1, "squad-f1": 1})
    assert lines(alone[0])[1][:4] == ["A (baseline)", "A", "0", "squad-em"]


def test_wide_pivots_are_split_between_tracks():
    (pivot,) = by_experiment(sources(sweep()))
    assert [[c.category for c in part.columns] for part in pivot.split(20, lambda _: 10)] == [
        ["x-multi", "x-single"],
        [ALL_ITEMS],
    ]
    assert [len(part.columns) for part in pivot.split(5, lambda _: 10)] == [1, 1, 1]


def test_the_best_of_a_column_is_the_lowest_where_lower_is_better():
    runs = [
        measured_run(name, {"s-wer": WORDS}, {"s-wer": [(errors, 10)] * 9, "qa": [(right, 1)] * 9})
        for name, errors, right in (("A", 1, 0.0), ("B", 3, 1.0))
    ]
    (pivot,) = by_experiment(sources(runs))
    assert {column.category: column.best(pivot.rows) for column in pivot.columns} == {
        "s-wer": "10.0",
        "qa": "100.0",
    }
    assert pivot.columns[0].best(pivot.rows[:1]) == ""


def test_the_page_counts_unjudged_items_where_there_are_some():
    made = sources([run("A", {"x": [True, None, False, None]})])
    header, row, *_ = lines(shown(made, x=1)[0])
    assert dict(zip(header, row, strict=True))["unjudged"] == "2"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a|b", r"a\|b"),
        ("<b>", r"\<b>"),
        ("*x* y*", r"\*x\* y*"),
        ("__init__", r"\_\_init\_\_"),
        ("a_b", "a_b"),
        ("`x`", r"\`x\`"),
        ("[x](y)", r"\[x](y)"),
        ("two\nlines", "two lines"),
    ],
)
def test_no_text_breaks_a_table_of_markdown(text, cell):
    assert in_cell(text) == cell
    table = accuracy_table([run("A", {text: [True]})], {text: 1})
    rows = markdown(table).splitlines()
    assert len(rows) == 3
    unescaped = {row.replace(r"\|", "").count("|") for row in rows}
    assert unescaped == {len(table.columns) + 1}


def test_a_page_of_odd_names_renders_as_its_tables():
    renderer = pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")
    names = ["a|b", "<script>", "*x*", "~~y~~", "`z", "[l](m)", "\\|", "_i_", "漢字"]
    runs = [run(name, dict.fromkeys(names, flags(n, 9))) for n, name in enumerate(("S-0", "S-1"))]
    made = sources(runs, "S-0")
    text = "\n\n".join(shown(made, **dict.fromkeys(names, 1)))
    parser = renderer.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page = parser.render(text)
    cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)]
    assert page.count("<table>") == 1
    assert [cells[i] for i in range(3, len(cells), len(cells) // 18)] == sorted(
        names, key=natural
    ) * 2

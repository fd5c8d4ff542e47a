from dataclasses import replace

import pytest

from lorascope.errors import UserError
from lorascope.reporting.tables import write_csv
from lorascope.reporting.verdicts import RETENTION_COLUMNS, retention_table
from tests.support.runs import flags, run, text_run

ENTRY = {"of": "BASE", "metric": "squad-em", "at_least": 0.9, "confidence": 0.95}


def base():
    return text_run("BASE", [0.5] * 100, flags(60, 100))


def test_every_other_experiment_on_the_dataset_has_a_row():
    kept = text_run("KEPT", [0.5] * 100, flags(60, 100))
    half = text_run("HALF", [0.25] * 100, flags(30, 100))
    elsewhere = text_run("ELSEWHERE", [1], [1], dataset="other")
    table = retention_table([half, base(), elsewhere, kept], [ENTRY])
    assert tuple(table.columns) == RETENTION_COLUMNS
    assert table["experiment"].tolist() == ["HALF", "KEPT"]
    row = table.iloc[0]
    assert (row.of, row.metric, row.at_least, row.confidence) == tuple(ENTRY.values())
    assert (row.base, row.score, row.retention) == (60, 30, 0.5)
    assert row.lower < 0.5 < row.upper < 0.9
    assert (row.verdict, row.verdict_alone, row.point_verdict) == ("fail",) * 3
    assert table[["chance", "chance_corrected", "chance_corrected_lower"]].isna().all(axis=None)
    assert (table.iloc[1].retention, table.iloc[1].verdict) == (1, "pass")


def test_entries_follow_each_other():
    entries = [ENTRY, {**ENTRY, "metric": "squad-f1", "at_least": 0.5}]
    table = retention_table([base(), text_run("A", [0.3] * 100, flags(60, 100))], entries)
    assert table["metric"].tolist() == ["squad-em", "squad-f1"]
    assert table["retention"].tolist() == [1, 0.6]
    assert table["verdict"].tolist() == ["pass", "pass"]


def test_a_gate_that_passes_alone_may_not_count_among_many():
    """A lower bound just above what is asked for is no news among ten of them."""
    kept = [text_run(f"A{n}", [0.5] * 100, flags(59, 100)) for n in range(10)]
    alone = retention_table([base(), kept[0]], [ENTRY]).iloc[0]
    assert (alone.verdict, alone.verdict_alone) == ("pass", "pass")
    assert alone.lower >= 0.9
    table = retention_table([base(), *kept], [ENTRY])
    assert table["lower"].unique().tolist() == [alone.lower]
    assert set(table["verdict_alone"]) == {"pass"}
    assert set(table["verdict"]) == {"undecided"}
    hidden = [base(), kept[0], *(replace(one, in_table=False) for one in kept[1:])]
    assert retention_table(hidden, [ENTRY])["verdict"].tolist() == table["verdict"].tolist()


def test_options_give_the_task_a_chance_level():
    runs = [run("BASE", {"x": flags(75, 100)}), run("A", {"x": flags(50, 100)})]
    row = retention_table(runs, [{**ENTRY, "metric": "x", "at_least": 0.6}]).iloc[0]
    assert (row.chance, row.chance_corrected, row.retention) == (25, 0.5, 0.6667)
    assert row.chance_corrected_lower < row.chance_corrected
    assert row.point_verdict == "pass"


def test_a_base_of_zero_leaves_the_cells_empty(tmp_path):
    runs = [text_run("BASE", [0, 0], [0, 0]), text_run("A", [1, 0], [1, 0])]
    write_csv(retention_table(runs, [ENTRY]), tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text().splitlines()[1] == (
        "A,BASE,squad-em,0.9,0.95,0.0,50.0,,,,,,,undecided,undecided,undecided"
    )


def test_without_an_entry_there_is_only_the_header(tmp_path):
    write_csv(retention_table([base()], []), tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == ",".join(RETENTION_COLUMNS) + "\n"


def test_an_unknown_metric_is_refused():
    with pytest.raises(UserError, match=r"'retain': experiment BASE has no metric 'squad-x'.*-em"):
        retention_table([base()], [{**ENTRY, "metric": "squad-x"}])


def test_an_unknown_experiment_is_refused():
    with pytest.raises(UserError, match=r"'retain'.*'Z'"):
        retention_table([base()], [{**ENTRY, "of": "Z"}])


def test_other_items_are_refused():
    other = base()
    other = replace(other, experiment="A", base="A", scores=other.scores.iloc[1:])
    with pytest.raises(UserError, match="same items"):
        retention_table([base(), other], [ENTRY])

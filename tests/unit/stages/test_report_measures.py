"""The report stage on made-up scores of other measures than accuracy."""

import math
from types import SimpleNamespace

import pytest

from lorascope.planning.report import LIKELIHOODS, ReportRow, may_choose
from lorascope.reporting import plots
from lorascope.scoring.item_score import Measure
from tests.support.report_jobs import report_maker, scored_by
from tests.support.reports import rows_of
from tests.support.runs import TOKENS, WORDS

SPEECH, TEXT, QA = "speech-wer", "text-ppl", "qa"
MEASURES = {SPEECH: WORDS, TEXT: TOKENS}
GATE = {"of": "BASE", "metric": SPEECH, "at_least": 0.8, "confidence": 0.95}


def told(name: str, errors: float, nats: float, right: int, scaling: float, **own) -> ReportRow:
    """Write 40 transcripts of 10 words, texts of 5 tokens, and questions, so many of them right."""
    items = {
        SPEECH: [(errors + i % 2, 10) for i in range(40)],
        TEXT: [(nats * 5, 5) for _ in range(40)],
        QA: [(float(i < right), 1) for i in range(40)],
    }
    return scored_by(name, MEASURES, items, scaling, **own)


def cells(text: bytes, column: str) -> dict[tuple[str, str], str]:
    rows = rows_of(text.decode())
    return {(row["experiment"], row["category"]): row[column] for row in rows}


@pytest.fixture
def make(tmp_path, monkeypatch, capsys):
    return report_maker(tmp_path, monkeypatch, capsys)


@pytest.fixture
def several():
    return [told("BASE", 2, 2.0, 20, 0.0), told("A", 1, 2.5, 30, 1.0, adapter="a")]


def test_several_measures_of_one_study_have_their_units_signs_and_directions(make, several):
    files = make(several, retain=[GATE], files=["retention.csv"])
    accuracy, delta = (
        cells(files["accuracy.csv"], name) for name in ("accuracy", "accuracy_delta")
    )
    assert (accuracy["BASE", SPEECH], accuracy["A", SPEECH], delta["A", SPEECH]) == (
        *("25.0", "15.0"),
        "-10.0",
    )
    assert float(accuracy["A", TEXT]) == pytest.approx(math.exp(2.5))
    assert float(delta["A", TEXT]) == pytest.approx(math.exp(2.5) - math.exp(2), abs=5e-5)
    assert delta["A", QA] == "25.0"
    assert cells(files["accuracy.csv"], "better")["A", SPEECH] == "lower"
    assert cells(files["accuracy.csv"], "correct")["A", SPEECH] == ""
    assert cells(files["accuracy.csv"], "correct")["A", QA] == "30"
    gained, holm = (cells(files["comparison.csv"], name) for name in ("gained", "holm_p"))
    assert (gained["A", SPEECH], gained["A", TEXT]) == ("40", "0")
    assert all(holm["A", category] for category in (SPEECH, TEXT, QA))
    assert not any("all items" in category for _, category in holm)
    (row,) = rows_of(files["retention.csv"].decode())
    assert (row["retention"], row["verdict"], row["better"]) == ("1.6667", "pass", "lower")


def test_the_page_names_measures_and_directions(make, several):
    page = make(several)["accuracy.md"].decode()
    assert "- speech-wer: word error rate, in percent, without an upper bound; **lower is" in page
    assert "- qa: accuracy, in percent; **higher is better**." in page
    assert "accuracy_delta that value less that of BASE: where lower is better, a delta" in page
    assert "Accuracy in percent of all items" not in page
    assert "| word error rate " in page


def test_charts_have_an_axis_for_each_measure(make, several, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "accuracy_bars", lambda *a, **how: drawn.append((a, how)))
    make(several)
    ((_, levels, chance, *_), how) = drawn[0]
    assert how["measures"] == {**MEASURES, QA: Measure()}
    assert chance == {QA: 25}
    assert levels[""][SPEECH] == 25


def test_a_partial_report_leaves_deltas_empty_where_the_baseline_is_missing(make, several):
    files = make(several[1:], missing={"BASE": "its job failed"}, retain=[GATE])
    assert cells(files["accuracy.csv"], "accuracy_delta")["A", SPEECH] == ""
    assert cells(files["accuracy.csv"], "better")["A", TEXT] == "lower"
    assert "delta" not in rows_of(files["comparison.csv"].decode())[0]


def test_modes_without_generation_are_named_with_their_settings(make):
    ways = [
        ("choose", {"mode": "choose"}),
        ("loss", {"mode": "loss", "loss": {"window": None, "context": 1}}),
        ("task", {"mode": None}),
    ]
    rows = [
        scored_by(name, {}, {QA: [(1, 1)]}, float(i), generation="{}", **way)
        for i, (name, way) in enumerate(ways)
    ]
    page = make(rows, baseline="choose")["accuracy.md"].decode()
    assert "Mode choose: nothing is generated, the option of the highest likelihood" in page
    assert "Mode loss: nothing is generated, the likelihood of each text is read.\nWith " in page
    assert "With context: 1, window: null.\n" in page
    assert "The mode is each item's" in page
    assert "Generation Config is: {\n\n}" not in page


def test_margins_of_chosen_options_have_a_section_and_a_file(make):
    items = {QA: [(1, 1), (0, 1), (1, 1), (1, 1)]}
    more = {"margin": [0.05, -2.0, 1.0, 3.0], "probability": [0.5, 0.9, 0.7, 0.9]}
    row = scored_by("BASE", {}, items, 0.0, columns=more, generation="{}", mode="choose")
    files = make([row], files=[LIKELIHOODS])
    (found,) = rows_of(files[LIKELIHOODS].decode())
    assert (found["items"], found["mean_margin"], found["near_ties"]) == ("4", "0.5125", "25.0")
    # bins: .5 with 1 right, .7 with 1, .9 with 1 of 2: (.5 + .3 + .8) / 4
    assert (found["accuracy"], found["calibration_error"]) == ("75.0", "40.0")
    assert "## Likelihoods of options" in files["accuracy.md"].decode()


@pytest.mark.parametrize(("mode", "planned"), [("choose", True), (None, True), ("loss", False)])
def test_the_file_of_margins_is_planned_where_options_may_be_chosen_by_likelihood(mode, planned):
    assert may_choose(SimpleNamespace(mode=mode)) == planned


def test_a_category_that_the_baseline_lacks_ends_in_one_readable_message(make, tmp_path):
    """As where categories are known only once the data is here."""
    rows = [
        scored_by("BASE", {}, {QA: [(1, 1)]}, 0.0),
        scored_by("A", MEASURES, {QA: [(1, 1)], TEXT: [(4, 2)]}, 1.0),
    ]
    with pytest.raises(AssertionError, match="no accuracy for category 'text-ppl', which") as said:
        make(rows)
    assert "Traceback" not in str(said.value)
    assert not (tmp_path / "made" / "accuracy.csv").exists()


def test_two_measures_of_one_category_end_in_one_readable_message(make):
    rows = [
        scored_by("BASE", {QA: WORDS}, {QA: [(1, 4)]}, 0.0),
        scored_by("A", {QA: TOKENS}, {QA: [(1, 4)]}, 1.0),
    ]
    with pytest.raises(AssertionError, match="'qa' is word error rate in experiment BASE and perp"):
        make(rows)


def test_published_values_beside_measures(make, several):
    files = make(several, baseline={SPEECH: 130, TEXT: 9.5, QA: {"correct": 10, "total": 40}})
    delta = cells(files["accuracy.csv"], "accuracy_delta")
    assert (delta["A", SPEECH], delta["A", QA]) == ("-115.0", "50.0")
    tested = cells(files["comparison.csv"], "p_value")
    assert tested["A", SPEECH] == ""
    assert float(tested["A", QA]) < 0.05

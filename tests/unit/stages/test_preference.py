"""Which of two responses a judge prefers, down to the win rates of the report."""

from lorascope.judging.asking import NEITHER, ONLY, ORDER, SAME
from tests.support.judged import Judged, study
from tests.support.reports import rows_of
from tests.support.verdict_models import write_saying


def test_a_judge_that_always_prefers_the_first_makes_ties_and_the_report_win_rates(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    model = write_saying(tmp_path / "first", "Verdict|:|Ġfirst")
    made = study({"name": "preference", "judge": "big"})
    made["judges"] = {"big": {"model": "own", "max_tokens": 10}}
    made["models"]["own"] = {"family": "hf_text", "model": str(model), "chat_template": True}
    bench = Judged(made, capsys)
    bench.answer(list("1234"), A=["a", "b", "same", ""], B=["x", "y", "same", "only"])
    bench.judge("judge", "score", "report")
    assert bench.verdicts("B") == ["tie", "tie", "tie", "better"]
    assert bench.verdicts("B", "reason") == [ORDER, ORDER, SAME, ONLY]
    assert bench.verdicts("B", "calls") == [2, 2, 0, 0]
    assert bench.verdicts("A", "reason") == [SAME, SAME, SAME, NEITHER]
    report = bench.bench.plan.report.folder
    rows = {row["experiment"]: row for row in rows_of((report / "accuracy.csv").read_text())}
    assert [(r["category"], r["measure"], r["accuracy"]) for r in rows.values()] == [
        ("zoo-win", "win rate", "50.0"),
        ("zoo-win", "win rate", "62.5"),
    ]
    assert rows["B"]["accuracy_delta"] == "12.5"
    assert "win rate" in (report / "accuracy.md").read_text()

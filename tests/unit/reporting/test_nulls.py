"""Adapters among their nulls: p-values and how often they err, tables, section and chart."""

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from scipy.stats import monte_carlo_test

from lorascope.planning.report import NULLS, ReportJob
from lorascope.reporting.null_chart import null_chart
from lorascope.reporting.nulls import null_notes, null_section, p_values
from lorascope.scoring.item_score import ACCURACY, Measure
from tests.support.report_jobs import report_maker, scored, scored_by

WORDS = Measure("word error rate", higher_is_better=False, bounded=False)


@pytest.mark.parametrize(
    ("real", "nulls", "rank", "better", "two_sided"),
    [
        (9, [1, 2, 3, 4], 1, 1 / 5, 2 / 5),
        (0, [1, 2, 3, 4], 5, 5 / 5, 2 / 5),
        (3, [1, 2, 3, 4], 3, 3 / 5, 1),
        (Fraction(1, 3), [Fraction(1, 3)], 2, 1, 1),
        (9, [*range(9)] * 11, 1, 1 / 100, 2 / 100),
    ],
)
def test_p_values_by_hand(
    real: Any, nulls: list[Any], rank: int, better: float, two_sided: float
) -> None:
    found = p_values(real, nulls)
    assert (found.rank, found.better, found.two_sided) == (rank, better, two_sided)
    other = p_values(-real, [-null for null in nulls], higher_is_better=False)
    assert (other.rank, other.better) == (rank, better)


def test_they_are_those_of_scipys_test_against_drawn_values() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        real, *nulls = rng.integers(0, 8, 12).tolist()
        found = p_values(real, nulls)
        for alternative, p in (("greater", found.better), ("two-sided", found.two_sided)):
            told = monte_carlo_test(
                [real],
                lambda size: np.reshape(nulls, size),  # noqa: B023 - called at once
                lambda x, axis: np.take(x, 0, axis),
                n_resamples=len(nulls),
                alternative=alternative,
                vectorized=True,
            )
            assert told.pvalue == pytest.approx(p)


@pytest.mark.parametrize("kind", ["continuous", "tied"])
def test_how_often_they_err_where_the_adapter_is_one_of_its_nulls(kind: str) -> None:
    """At most as often as they say; exactly so often where no two values are equal."""
    rng, draws, studies = np.random.default_rng(1), 19, 4000
    values = rng.normal(50, 5, (studies, 1 + draws))
    if kind == "tied":
        values = np.round(values / 5)
    found = [p_values(row[0], row[1:].tolist()) for row in values]
    for name in ("better", "two_sided"):
        got = np.array([getattr(one, name) for one in found])
        for level in (0.05, 0.1, 0.2, 0.5):
            share, error = (got <= level + 1e-9).mean(), 3.5 * np.sqrt(level / studies)
            assert share <= level + error
            if kind == "continuous" and (name, level) != ("two_sided", 0.05):
                assert share >= level - error


def test_an_effect_is_found_as_often_as_so_few_draws_allow() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, (500, 20))
    found = [p_values(row[0] + 6, row[1:].tolist()) for row in values]
    assert {one.better for one in found if one.rank == 1} == {0.05}
    assert np.mean([one.rank == 1 for one in found]) > 0.99


# ------------------------------------------------------------------------------ the report


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    return report_maker(tmp_path, monkeypatch, capsys)


ITEMS = 40


def row(name: str, right: int, adapter: str | None, table: bool = True) -> Any:
    credits = {"new": [1.0] * right + [0.0] * (ITEMS - right)}
    found = scored(name, credits, 1.0, adapter=adapter)
    return found if table else type(found)(**{**vars(found), "table": False})


def nulls_of(rights: list[int]) -> list[Any]:
    return [row(f"N-{i}", right, f"n-{i}", table=False) for i, right in enumerate(rights)]


def planned(real: str, count: int, kind: str = "random") -> dict[str, Any]:
    names = [f"N-{i}" for i in range(count)]
    compared = [{"real": [real], "kind": kind, "draws": [[name] for name in names]}]
    return {"experiments": names, "compared": compared, "unmatched": []}


def csv_of(files: dict[str, bytes], name: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(files[name]))


def test_a_report_sets_the_effect_among_those_of_nulls(made: Any) -> None:
    rights = [18, 20, 21, 19, 22, 20, 17, 20, 20]
    rows = [row("BASE", 20, None), row("MINE", 36, "mine"), *nulls_of(rights)]
    files = made(rows, files=NULLS, nulls=planned("MINE", 9))
    (found,) = csv_of(files, "nulls.csv").to_dict("records")
    assert (found["experiment"], found["adapter"], found["nulls"]) == ("MINE", "mine", "random")
    assert (found["draws"], found["value"], found["delta"]) == (9, 90.0, 40.0)
    deltas = [2.5 * (right - 20) for right in rights]
    assert found["null_mean"] == pytest.approx(np.mean(deltas), abs=0.01)
    assert (found["null_low"], found["null_high"]) == (min(deltas), max(deltas))
    assert (found["rank"], found["p_better"], found["p_two_sided"]) == (1, 0.1, 0.2)
    assert (found["holm_p"], found["smallest_p"]) == (0.2, 0.1)
    draws = csv_of(files, "null_draws.csv")
    assert draws["delta"].tolist() == [40.0, *deltas]
    page = files["accuracy.md"].decode()
    assert "## Against null adapters" in page
    assert (
        "With 9 draws and 1 row, p_better is at least 0.1, p_two_sided 0.2 and holm_p 0.2" in page
    )
    assert "doi:10.2202/1544-6115.1585" in page
    assert "(nulls.svg)" in page


def test_nulls_are_no_rows_lines_or_comparisons_of_the_study(made: Any) -> None:
    """Each would make the p-values of all others larger, and a chart of 20 lines."""
    own = [row("BASE", 20, None), row("MINE", 33, "mine")]
    alone = made(own)
    among = made([*own, *nulls_of([20] * 9)], files=NULLS, nulls=planned("MINE", 9))
    for name in ("accuracy.csv", "comparison.csv", "outcomes.csv", "table.tex", "accuracy.svg"):
        assert among[name] == alone[name]
    shown = made([*own, row("N-0", 20, "n-0")], files=NULLS, nulls=planned("MINE", 1))
    assert "N-0" in csv_of(shown, "accuracy.csv")["experiment"].tolist()


def test_several_comparisons_are_adjusted_for_each_other(made: Any) -> None:
    rows = [row("BASE", 20, None), row("MINE", 36, "mine"), row("OTHER", 21, "mine")]
    told = planned("MINE", 19)
    told["compared"] += planned("OTHER", 19)["compared"]
    rights = [18, 20, 21, 19, 22, 20, 17, 20, 20, 20, 21, 21, 19, 19, 20, 20, 20, 22, 18]
    files = made([*rows, *nulls_of(rights)], files=NULLS, nulls=told)
    found = csv_of(files, "nulls.csv").set_index("experiment")
    assert found["p_two_sided"].to_dict() == {"MINE": 0.1, "OTHER": 0.6}
    assert found["holm_p"].to_dict() == {"MINE": 0.2, "OTHER": 0.6}


def test_the_other_sign_is_no_distribution(made: Any) -> None:
    rows = [row("BASE", 20, None), row("MINE", 36, "mine"), *nulls_of([4])]
    files = made(rows, files=NULLS, nulls=planned("MINE", 1, "sign"))
    (found,) = csv_of(files, "nulls.csv").to_dict("records")
    assert (found["delta"], found["null_mean"]) == (40.0, -40.0)
    assert np.isnan([found[name] for name in ("rank", "p_better", "holm_p")]).all()
    page = files["accuracy.md"].decode()
    assert "*sign* has B negated" in page
    assert "p_better" not in page


def test_a_null_that_keeps_less_fails_no_gate_and_a_missing_one_is_left_out(made: Any) -> None:
    rows = [row("BASE", 20, None), row("MINE", 36, "mine"), *nulls_of([2, 3])]
    gate = {"of": "BASE", "metric": "new", "at_least": 0.9, "confidence": 0.95}
    told = planned("MINE", 3)  # of the third there are no scores
    files = made(
        rows,
        files=[*NULLS, "retention.csv"],
        nulls=told,
        retain=[gate],
        missing={"N-2": "not there"},
    )
    assert csv_of(files, "retention.csv")["experiment"].tolist() == ["MINE"]
    assert csv_of(files, "nulls.csv")["draws"].tolist() == [2]


def test_where_lower_is_better_the_lowest_is_the_best(made: Any) -> None:
    def wer(name: str, errors: float, adapter: str | None, table: bool = True) -> Any:
        items = {"asr": [(errors, 10.0)] * 8}
        found = scored_by(name, {"asr": WORDS}, items, 1.0, adapter=adapter)
        return type(found)(**{**vars(found), "table": table})

    rows = [wer("BASE", 5, None), wer("MINE", 1, "mine")]
    rows += [wer(f"N-{i}", 4 + i, f"n-{i}", table=False) for i in range(4)]
    files = made(rows, files=NULLS, nulls=planned("MINE", 4))
    (found,) = csv_of(files, "nulls.csv").to_dict("records")
    assert (found["rank"], found["p_better"]) == (1, 0.2)
    assert "Lower is better in asr." in files["accuracy.md"].decode()


def test_nulls_without_a_counterpart_are_told(made: Any) -> None:
    rows = [row("BASE", 20, None), *nulls_of([20])]
    told = {"experiments": ["N-0"], "compared": [], "unmatched": ["N-0"]}
    page = made(rows, nulls=told)["accuracy.md"].decode()
    assert "**Warning.** 1 experiments with null adapters (N-0) have none with" in page
    assert "Against null" not in page
    assert [*null_notes([])] == []
    assert null_section(pd.DataFrame(), {}) == ""


def test_a_job_is_read_back_as_it_was_told() -> None:
    told = ReportJob({}, "d", [], [], [], {}, [], {"experiments": ["N"]})
    assert ReportJob.from_json(json.loads(told.json)) == told


def drawn(folder: Path, draws: pd.DataFrame) -> np.ndarray:
    svg, png = folder / "nulls.svg", folder / "nulls.png"
    null_chart(draws, {"new": ACCURACY, "old": ACCURACY}, "Title", svg, png)
    return matplotlib.image.imread(png)


def strips(real: float | None, **own: Any) -> pd.DataFrame:
    rows = [{"draw": "", "delta": real}, *({"draw": f"N-{i}", "delta": 0.0} for i in range(5))]
    fixed = {"experiment": "MINE", "nulls": "random", "category": "new", "value": 50.0}
    return pd.DataFrame([{**fixed, **row, **own} for row in rows])


def test_the_chart_shows_the_real_one_in_its_own_colour(tmp_path: Path) -> None:
    first = drawn(tmp_path, strips(40.0))
    svg = (tmp_path / "nulls.svg").read_bytes()
    assert (drawn(tmp_path, strips(40.0)) == first).all()
    assert (tmp_path / "nulls.svg").read_bytes() == svg
    orange = np.abs(first[..., :3] - np.array([0xD5, 0x5E, 0x00]) / 255).max(axis=-1) < 0.02
    places = np.flatnonzero(orange.any(axis=0))
    assert places.max() > 0.9 * first.shape[1]  # at the right end of the axis
    # Without a baseline there are values alone; experiments of other categories are apart.
    two = pd.concat([strips(None), strips(None, nulls="shuffled")])
    assert drawn(tmp_path, two).shape == first.shape
    assert (drawn(tmp_path, two) != drawn(tmp_path, strips(None))).any()
    apart = pd.concat([strips(40.0), strips(1.0, experiment="OTHER", category="old")])
    assert drawn(tmp_path, apart).shape[0] > first.shape[0]
    drawn(tmp_path, strips(None, value=float("inf")))

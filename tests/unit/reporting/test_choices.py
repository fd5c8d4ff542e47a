"""Choices of a report: numbers against plain computations, notes, table, section and chart."""

import numpy as np
import pandas as pd
import pytest

from lorascope.reporting.choice_chart import choice_chart
from lorascope.reporting.choices import Chosen, choices_of, choices_section, choices_table
from lorascope.reporting.statistics import Mean
from tests.support.runs import TOKENS, WORDS, flags, measured_run, run

SCALINGS = (0.0, 1.0, 2.0, 4.0)


def planned(by="mean", names=SCALINGS, keep=(), parts=5, of=lambda scaling: [f"SF-{scaling:g}"]):
    found = [{"name": f"lora_scaling {s:g}", "experiments": of(s)} for s in names]
    return {"by": by, "keep": list(keep), "parts": parts, "candidates": found}


def sweep(*right, clips=40, category="animal-single"):
    """Return runs of SCALINGS of which so many answers are right, the first ones."""
    return [
        run(f"SF-{scaling:g}", {category: flags(count, clips)}, scaling=scaling)
        for scaling, count in zip(SCALINGS, right, strict=True)
    ]


def chosen(runs, **how) -> Chosen:
    (found,) = choices_of(runs, [planned(**how)])
    assert isinstance(found, Chosen), found
    return found


def why(runs, **how) -> str:
    (found,) = choices_of(runs, [planned(**how)])
    assert not isinstance(found, Chosen)
    return found.why


def test_a_clear_best_is_chosen_always_and_has_its_own_score():
    found = chosen(sweep(10, 20, 38, 30))
    assert found.data.names[found.found.chosen] == "lora_scaling 2"
    assert found.found.shares.max() == 1
    assert found.held_out == pytest.approx(95)
    assert found.optimism == pytest.approx(0)
    low, high = Mean([1.0] * 38 + [0.0] * 2, np.arange(40), 0).interval()
    assert found.held_out_ends[0] <= low + 1e-6
    assert found.held_out_ends[1] >= high - 1e-6
    assert found.intervals[found.found.chosen] == pytest.approx((low, high), abs=1e-4)


def test_the_smallest_scaling_within_one_standard_error_of_the_paired_difference():
    """Of 40 clips, 39 and 40 differ in one: 2.5 points with an error of 2.5."""
    found = chosen(sweep(10, 39, 40, 30))
    best = found.found.chosen
    differences = np.repeat([1.0, 0.0], [1, 39])
    error = differences.std(ddof=1) / 40**0.5
    assert found.behind[1] == pytest.approx(1 / 40)
    assert found.behind_error[1] == pytest.approx(error)
    assert found.data.scalings[best] == 2
    assert found.smallest == 1
    assert chosen(sweep(10, 37, 40, 30)).smallest == best


def test_negative_scalings_are_as_far_from_zero():
    runs = [run(f"SF-{s:g}", {"a": flags(9, 10)}, scaling=s) for s in (-2.0, -1.0, 4.0)]
    found = chosen(runs, names=(-2.0, -1.0, 4.0))
    assert found.data.scalings[found.found.chosen] == -1
    assert choices_table([found])["lora_scaling"].tolist() == [-2, -1, 4]


def test_the_mean_counts_each_category_once():
    credits = {"animal-single": flags(8, 10), "animal-multi": flags(1, 2) * 1}
    runs = [run(f"SF-{s:g}", credits, scaling=s) for s in SCALINGS]
    found = chosen(runs)
    assert found.values == pytest.approx([65] * 4)
    assert found.parts == 2
    assert found.data.clips == 10
    assert found.held_out == pytest.approx(65)
    assert 0 <= found.held_out_ends[0] < 65 < found.held_out_ends[1] <= 100


def test_questions_about_a_clip_are_in_one_part():
    credits = {"animal-single": flags(8, 12), "animal-multi": flags(3, 12)}
    runs = [run(f"SF-{s:g}", credits, scaling=s) for s in SCALINGS]
    found = chosen(runs)
    assert found.data.clips == 12
    assert found.found.parts.shape == (20, 12)


def test_lower_is_better_where_it_is():
    rng = np.random.default_rng(0)
    words = rng.integers(3, 9, 50).astype(float)
    errors = {s: rng.binomial(words.astype(int), p) for s, p in zip(SCALINGS, (0.5, 0.2, 0.1, 0.6))}  # noqa: B905
    runs = [
        measured_run(
            f"SF-{s:g}", {"wer": WORDS}, {"wer": list(zip(e, words, strict=True))}, scaling=s
        )
        for s, e in errors.items()
    ]
    found = chosen(runs, by="wer")
    best = found.found.chosen
    assert found.data.scalings[best] == 2
    assert found.values[best] == pytest.approx(100 * errors[2.0].sum() / words.sum())
    assert found.found.shares[best] > 0.9
    assert (found.behind >= 0).all()


def test_a_perplexity_is_the_exponential_of_its_mean():
    rng = np.random.default_rng(1)
    tokens = rng.integers(5, 50, 40).astype(float)
    runs, nats = [], {}
    for scaling, level in zip(SCALINGS, (3.0, 2.0, 2.02, 4.0), strict=True):
        nats[scaling] = tokens * (level + rng.normal(0, 0.2, 40))
        items = {"ppl": list(zip(nats[scaling], tokens, strict=True))}
        runs.append(measured_run(f"SF-{scaling:g}", {"ppl": TOKENS}, items, scaling=scaling))
    found = chosen(runs, by="ppl")
    value = {s: np.exp(n.sum() / tokens.sum()) for s, n in nats.items()}
    assert found.values == pytest.approx([value[s] for s in found.data.scalings])
    assert found.held_out_ends[0] < found.held_out < found.held_out_ends[1]
    table = choices_table([found]).set_index("lora_scaling")
    best = min(value, key=value.get)
    assert table.loc[4.0, "behind"] == pytest.approx(value[4.0] - value[best], abs=1e-3)


def test_repeated_runs_are_one_candidate_by_their_mean():
    halves = [run("SF-0", {"a": flags(20, 20)}, scaling=0.0)]
    for number, right in enumerate((10, 20)):
        halves.append(run(f"SF-1-{number}", {"a": flags(right, 20)}, "SF-1", number, scaling=1.0))
    found = chosen(halves, names=(0.0, 1.0))
    assert found.values == pytest.approx([100, 75])
    assert found.data.items == 20


def test_unjudged_items_are_left_out_of_a_candidate():
    runs = sweep(10, 20, 30, 20)
    runs[2] = run("SF-2", {"animal-single": [*flags(30, 38), None, None]}, scaling=2.0)
    found = chosen(runs)
    assert found.values[2] == pytest.approx(100 * 30 / 38)


def test_a_candidate_without_a_value_is_left_out_by_name():
    items = {"ppl": [(2.0, 1.0)] * 10}
    broken = {"ppl": [(2.0, 1.0)] * 9 + [(float("nan"), 1.0)]}
    runs = [
        measured_run(f"SF-{s:g}", {"ppl": TOKENS}, broken if s == 4 else items, scaling=s)
        for s in SCALINGS
    ]
    found = chosen(runs, by="ppl")
    assert found.data.left_out == ["lora_scaling 4"]
    assert "Left out" in choices_section([found], choices_table([found]))


def test_what_has_to_be_kept_decides_who_is_left():
    new = sweep(10, 20, 30, 40, category="new")
    old = [run(f"OLD-{o.experiment}", {"old": flags(n, 40)}, scaling=o.lora_scaling)
           for o, n in zip(new, (40, 39, 36, 10), strict=True)]  # fmt: skip
    base = run("BASE", {"old": flags(40, 40)})
    keep = [{"of": "BASE", "metric": "old", "at_least": 0.8}]
    names = {"of": lambda s: [f"SF-{s:g}", f"OLD-SF-{s:g}"]}
    found = chosen([*new, *old, base], by="new", keep=keep, **names)
    assert found.data.scalings[found.found.chosen] == 2
    assert found.data.kept["old"] == pytest.approx([1, 39 / 40, 36 / 40, 10 / 40])
    assert found.found.kept[0] == pytest.approx(0.9)
    table = choices_table([found])
    assert table["note"].tolist() == ["", "", "", "keeps too little"]
    assert "Of BASE's old it keeps 0.900" in choices_section([found], table)
    keep[0]["at_least"] = 2
    assert why([*new, *old, base], by="new", keep=keep, **names) == (
        "no candidate keeps what it has to, or has a value"
    )


def test_why_nothing_can_be_chosen():
    runs = sweep(1, 2, 3, 4)
    assert why(runs[:1]) == "fewer than two candidates are scored"
    assert "no category x" in why(runs, by="x")
    assert "single clip" in why([run(f"SF-{s:g}", {"a": [True]}, scaling=s) for s in SCALINGS])
    other = run("SF-4", {"animal-single": flags(3, 41)}, scaling=4.0)
    assert "the same items" in why([*runs[:3], other])
    keep = [{"of": "GONE", "metric": "old", "at_least": 0.8}]
    assert why(runs, keep=keep) == "GONE, of which old is to be kept, is not scored"


def test_table_and_section_say_what_may_be_quoted():
    made = choices_of(sweep(10, 30, 33, 20), [planned(), planned(by="nope")])
    table = choices_table(made)
    assert list(table["choice"].unique()) == ["1: mean", "2: nope"]
    row = table[table["is_chosen"] == True].iloc[0]  # noqa: E712
    assert row["candidate"] == "lora_scaling 2"
    assert row["optimism"] == pytest.approx(row["score"] - row["held_out"], abs=1e-3)
    assert table["chosen_share"].sum() == pytest.approx(100)
    text = choices_section(made, table)
    assert f"has {row['held_out']:.1f} % (95 % interval {row['held_out_low']:.1f} to" in text
    assert "**By nope:** nothing is chosen: lora_scaling 0 has no category nope" in text
    assert choices_section([], pd.DataFrame()) == ""


def test_the_chart_has_equal_bytes_for_equal_choices(tmp_path):
    made = choices_of(sweep(10, 30, 33, 20), [planned(), planned(by="nope")])
    pictures = []
    for name in ("a", "b"):
        svg, png = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
        choice_chart(made, "choices", svg, png)
        pictures.append((svg.read_bytes(), png.read_bytes()))
    assert pictures[0] == pictures[1]
    choice_chart(made[1:], "choices", svg, png)
    assert svg.read_bytes() != pictures[0][0]

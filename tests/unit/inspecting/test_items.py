"""The command that prints the items behind a number."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lorascope.__main__ import main
from lorascope.planning.plan import Plan
from tests.support.answered import (
    PERPLEXITY,
    answer,
    answered,
    choice_item,
    lay,
    score,
    text_item,
)
from tests.support.basics import printed
from tests.support.studies import STUDY, run, write

ITEMS = ("items", "--configfile", "study.yaml")
NAMES = ("cat0", "cat1", "dog2", "dog3")


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return write(STUDY)


def credits_of(plan: Plan, found: dict[str, list[float | None]], **own: dict) -> None:
    """Write answers of experiments with these credits, the responses being a or b."""
    items = [choice_item(name) for name in NAMES]
    for identifier, credits in found.items():
        answers = [
            answer(item, "It is a cat." if credit else "I hear a dog.", score(item, credit, **own))
            for item, credit in zip(items, credits, strict=True)
        ]
        lay(plan, identifier, answered(answers, id=identifier))


@pytest.fixture
def done(plan: Plan) -> Plan:
    """Return a plan of two experiments that are done: one item gained, two lost against SF-1."""
    credits_of(plan, {"SF-0": [1.0, 0.0, 1.0, None], "SF-1": [1.0, 1.0, 0.0, 1.0]})
    return plan


def ids(lines: list[str]) -> list[str]:
    """Return the items that lines are about."""
    return [line.split()[0] for line in lines if line.startswith("animal-")]


def test_an_item_is_shown_with_question_gold_response_and_verdict(done, capsys):
    lines = run(capsys, *ITEMS, "SF-1", "--limit", "1")
    assert lines == [
        "SF-1: 4 of 4 items",
        "",
        "animal-single/cat0  animal-single",
        "  clip        nowhere/data/Animal/audio/cat0.wav (1.5 s)",
        "  question    What is heard of cat0? (a) cat (b) dog",
        "  options     * (a) cat",
        "                (b) dog",
        "  SF-1  right (made up)",
        "              It is a cat.",
        "",
        "3 more",
    ]


def test_flipped_items_are_those_that_differ_from_the_baseline(done, capsys):
    lines = run(capsys, *ITEMS, "SF-0", "--flipped")
    assert lines[0] == "SF-0 against SF-1: 2 of 4 items flipped (1 gained, 1 lost)"
    assert ids(lines) == [f"animal-single/{name}" for name in ("cat1", "dog2")]


def test_an_unjudged_item_is_shown_beside_the_other_and_has_not_flipped(done, capsys):
    lines = run(capsys, *ITEMS, "SF-0", "--unjudged", "--against", "SF-1")
    assert ids(lines) == ["animal-single/dog3"]
    assert lines[-9:] == [
        "  clip        nowhere/data/Animal/audio/dog3.wav (1.5 s)",
        "  question    What is heard of dog3? (a) cat (b) dog",
        "  options     * (a) cat",
        "                (b) dog",
        "  SF-1  right (made up)",
        "              [-It is-] a [-cat-].",
        "  SF-0  unjudged (made up)",
        "              {+I hear+} a {+dog+}.",
        "",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--right",), ["cat0", "dog2"]),
        (("--wrong",), ["cat1"]),
        (("--unjudged",), ["dog3"]),
        (("--wrong", "--flipped"), ["cat1"]),
        (("--right", "--against", "SF-1", "--flipped"), ["dog2"]),
        (("--against", "SF-1"), [*NAMES]),
        (("--category", "animal-single", "--limit", "2"), ["cat0", "cat1"]),
    ],
)
def test_items_are_chosen_by_verdict_and_change(done, capsys, options, expected):
    lines = run(capsys, *ITEMS, "SF-0", *options)
    assert ids(lines) == [f"animal-single/{name}" for name in expected]


def test_they_are_written_as_jsonl(done, capsys):
    lines = run(capsys, *ITEMS, "SF-0", "--flipped", "--out", "made/items.jsonl")
    assert lines[-1] == "made/items.jsonl: 2 items"
    read = [json.loads(line) for line in Path("made/items.jsonl").read_text("utf-8").splitlines()]
    assert [one["change"] for one in read] == ["lost", "gained"]
    assert read[0]["item"]["question"] == "What is heard of cat1? (a) cat (b) dog"
    assert [*read[0]["answers"]] == ["SF-1", "SF-0"]
    assert [path.name for path in Path("made").iterdir()] == ["items.jsonl"]
    alone = run(capsys, *ITEMS, "SF-0", "--flipped", "--out", "-")
    assert [json.loads(line) for line in alone] == read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("SF-10",), "study.yaml: no experiment has the ID 'SF-10'; did you mean SF-1 or SF-0?"),
        (("SF-0", "--against", "S"), "no experiment has the ID 'S'; did you mean SF-0 or SF-1?"),
        (("SF-0", "--category", "animal-singel"), "no category 'animal-singel'; did you mean ani"),
        (("SF-0", "--category", "x"), "no category 'x'; there are animal-single"),
        (("SF-0", "--metric", "f1"), "SF-0: its scorer 'choice' has no metrics"),
        (("SF-1", "--flipped"), "SF-1: it is the baseline itself, so there are no items to"),
        (("SF-1", "--against", "SF-1"), "SF-1 is compared with itself; name another one"),
        (("SF-1", "--out", "."), "--out .: is a folder; name a file"),
    ],
)
def test_bad_input_is_one_message_before_anything_is_printed(done, capsys, arguments, message):
    assert main([*ITEMS, *arguments]) == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert message in said.err


def test_a_limit_that_is_none_is_refused(done, capsys):
    with pytest.raises(SystemExit):
        main([*ITEMS, "SF-0", "--limit", "0"])
    assert "'0' is no number of items; give 1 or more" in capsys.readouterr().err


def test_what_is_not_done_names_the_command(plan, capsys):
    credits_of(plan, {"SF-0": [1.0, 0.0, 1.0, None]})
    assert main([*ITEMS, "SF-0", "--flipped"]) == 1
    assert capsys.readouterr().err == (
        "study.yaml: not done: SF-1 (new); run snakemake SF-1 --configfile study.yaml\n"
    )
    items = plan.experiments["SF-0"].dataset.items
    items.unlink()
    assert main([*ITEMS, "SF-0"]) == 1
    assert capsys.readouterr().err == (
        f"{items}: not there any more; run snakemake {items} --configfile study.yaml\n"
    )


def test_a_published_baseline_has_no_items(plan, capsys):
    study = {**STUDY, "baseline": {"animal-single": 50.0}}
    study["datasets"] = {"sakura": {**STUDY["datasets"]["sakura"], "tracks": ["animal"]}}
    credits_of(
        write(study | {"baseline": {"animal-single": 50, "animal-multi": 50}}),
        {"SF-0": [1.0, 0.0, 1.0, None]},
    )
    assert main([*ITEMS, "SF-0", "--flipped"]) == 1
    assert "its baseline is a published table, so there are no items" in capsys.readouterr().err


def test_runs_are_experiments_of_their_own(plan, capsys):
    experiment = {**STUDY["experiments"][0], "runs": 2, "generation": {"do_sample": True}}
    repeated = write({**STUDY, "experiments": [experiment]})
    credits_of(repeated, {"SF-0-1": [1.0, 1.0, 0.0, 0.0], "SF-1": [1.0, 0.0, 0.0, 0.0]})
    lines = run(capsys, *ITEMS, "SF-0-1", "--flipped")
    assert lines[0] == "SF-0-1 against SF-1: 1 of 4 items flipped (1 gained, 0 lost)"


def two_metrics(plan: Plan) -> None:
    for identifier, f1 in (("SF-0", 0.5), ("SF-1", 1.0)):
        items = [text_item("x"), text_item("y", turns=(("what?", "this"),), system="be short")]
        answers = [
            answer(item, "it", score(item, f1, "f1"), score(item, 0.0, "em")) for item in items
        ]
        lay(plan, identifier, answered(answers, id=identifier))


def test_of_several_metrics_one_is_looked_at(plan, capsys):
    two_metrics(plan)
    assert main([*ITEMS, "SF-0", "--flipped"]) == 1
    assert "its items are scored by f1, em; choose one by METRIC=f1" in capsys.readouterr().err
    assert main([*ITEMS, "SF-0", "--metric", "f2"]) == 1
    assert "SF-0: no metric 'f2'; there are f1, em" in capsys.readouterr().err
    for own in (("--metric", "f1"), ("--category", "q-f1")):
        lines = run(capsys, *ITEMS, "SF-0", "--flipped", *own)
        assert lines[0] == "SF-0 against SF-1: 2 of 2 items flipped (0 gained, 2 lost)"
    lines = run(capsys, *ITEMS, "SF-0", "--flipped", "--metric", "em")
    assert lines[0].endswith("0 of 2 items flipped (0 gained, 0 lost)")
    assert main([*ITEMS, "SF-0", "--category", "q-f1", "--metric", "em"]) == 1
    assert "category q-f1 has no metric 'em'; there are f1" in capsys.readouterr().err
    both = run(capsys, *ITEMS, "SF-0")
    assert "  SF-0  f1 partly right, 0.5 (made up); em wrong (made up)" in both
    assert "  gold        it | that" in both


def test_a_category_with_one_metric_needs_no_choice(plan, capsys):
    for identifier, credit in (("SF-0", 0.0), ("SF-1", 1.0)):
        item, other = text_item("x"), replace(text_item("y"), item_id="p/y", category="p")
        found = [
            answer(item, "it", score(item, credit, "f1"), score(item, credit, "em")),
            answer(other, "it", score(other, credit, "acc")),
        ]
        lay(plan, identifier, answered(found, id=identifier))
    lines = run(capsys, *ITEMS, "SF-0", "--flipped", "--category", "p")
    assert lines[0] == "SF-0 against SF-1: 1 of 2 items flipped (0 gained, 1 lost)"


def test_a_dialogue_is_shown_with_what_came_before(plan, capsys):
    two_metrics(plan)
    lines = run(capsys, *ITEMS, "SF-0")
    start = lines.index("q/y  q")
    assert lines[start + 1 : start + 5] == [
        "  system      be short",
        "  example     what?",
        "    answer    this",
        "  question    What is y?",
    ]


def test_likelihoods_stand_behind_the_options(plan, capsys):
    item = choice_item("cat0")
    for identifier, sums in (("SF-0", (-4.0, -2.5)), ("SF-1", (-1.0, -3.0))):
        given = {"loglikelihoods": sums, "continuation_tokens": (2, 2), "greedy": (True, False)}
        own = score(item, float(sums[0] > sums[1]), choice="a", margin=sums[0] - sums[1])
        lay(plan, identifier, answered([answer(item, "(a) cat", own, **given)], id=identifier))
    lines = run(capsys, *ITEMS, "SF-0", "--flipped")
    assert "  options     * (a) cat  [-1.000, -4.000]" in lines
    assert "  SF-0  wrong (choice a, made up, margin -1.5)" in lines
    assert "              likeliest: (a) cat" in lines


def test_a_text_that_was_read_is_neither_right_nor_wrong(plan, capsys):
    own = {"question": "", "answer": "", "answers": ("",), "continuations": ("the text",)}
    item = text_item("x", **own)
    for identifier, loss in (("SF-0", 6.0), ("SF-1", 5.0)):
        told = score(item, loss, weight=3.0, correct=False, status="read")
        given = {"loglikelihoods": (-loss,), "continuation_tokens": (3,), "greedy": (False,)}
        found = [answer(item, "", told, **given)]
        lay(plan, identifier, answered(found, {"q": PERPLEXITY}, id=identifier))
    lines = run(capsys, *ITEMS, "SF-0", "--flipped")
    assert lines[0] == "SF-0 against SF-1: 1 of 1 items flipped (0 gained, 1 lost)"
    assert "  text        the text" in lines
    assert "  SF-0  perplexity: 6 of 3 (made up)" in lines
    assert "              log-likelihood -6.000 of 3 tokens" in lines
    assert main([*ITEMS, "SF-0", "--wrong"]) == 1
    assert "a perplexity is neither right nor wrong" in capsys.readouterr().err


def test_what_cannot_be_compared_is_said(plan, capsys):
    item = text_item("x")
    for identifier, weight in (("SF-0", 3.0), ("SF-1", 4.0)):
        told = score(item, 6.0, weight=weight, correct=False)
        lay(plan, identifier, answered([answer(item, "", told)], {"q": PERPLEXITY}, id=identifier))
    lines = run(capsys, *ITEMS, "SF-0", "--flipped")
    assert lines[0].startswith("SF-0 against SF-1: 0 of 1 items flipped")
    assert lines[1].startswith("q: not compared: the items weigh otherwise")


def test_scores_of_an_earlier_layout_are_read(plan, capsys):
    item = choice_item("cat0")
    found = answered([answer(item, "a", score(item, 1.0))], id="SF-1")
    lay(plan, "SF-1", found, without=("judge", "margin", "probability", "weight"))
    assert "  SF-1  right (made up)" in run(capsys, *ITEMS, "SF-1")


def test_answers_to_other_items_are_refused(plan, capsys):
    items = [choice_item("cat0"), choice_item("cat1")]
    found = answered([answer(item, "a", score(item, 1.0)) for item in items], id="SF-1")
    lay(plan, "SF-1", found)
    other = answered(found.answers[:1], id="SF-0")
    lay(plan, "SF-0", other)
    assert main([*ITEMS, "SF-1"]) == 1
    assert "its answers are not those of the items" in capsys.readouterr().err


def test_a_damaged_file_is_moved_aside(done, capsys):
    path = done.scores["SF-1"].path
    path.write_bytes(path.read_bytes()[:-50])
    assert main([*ITEMS, "SF-1"]) == 1
    said = capsys.readouterr().err
    assert "not a readable table" in said
    assert len(said.splitlines()) == 1
    assert not path.exists()


def test_it_imports_nothing_heavy(done):
    code = (
        "import sys; from lorascope.__main__ import main; "
        f"main({[*ITEMS, 'SF-0', '--flipped', '--out', 'x']}); "
        "print([m for m in ('torch', 'pandas', 'scipy', 'numpy.testing') if m in sys.modules])"
    )
    assert printed(code).splitlines()[-1] == "[]"


def test_a_reader_that_has_seen_enough_ends_it_without_a_word(plan):
    item = choice_item("cat0")
    items = [replace(item, item_id=f"animal-single/{n}") for n in range(400)]
    lay(plan, "SF-1", answered([answer(i, "x" * 200, score(i, 1.0)) for i in items], id="SF-1"))
    command = f"{sys.executable} -m lorascope {' '.join(ITEMS)} SF-1 | head -n 1"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("SF-1: 400 of 400 items\n", "")


def test_an_encoding_without_a_character_gets_it_as_an_escape(plan, monkeypatch):
    item = choice_item("cat0")
    lay(plan, "SF-1", answered([answer(item, "猫", score(item, 1.0))], id="SF-1"))
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main([*ITEMS, "SF-1"]) == 0
    assert rb"              \u732b" in written.getvalue().splitlines()

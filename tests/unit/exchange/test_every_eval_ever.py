"""What is written for Every Eval Ever fits its schemas, and its own validator where it is here."""

import json
import math
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from lorascope.errors import UserError
from lorascope.exchange.answers import Answered
from lorascope.exchange.every_eval_ever import files, notes
from lorascope.exchange.every_eval_ever.values import model_id
from tests.support.answered import (
    PERPLEXITY,
    WER,
    answer,
    answered,
    choice_item,
    score,
    text_item,
)
from tests.support.basics import ROOT

SCHEMAS = ROOT / "tests/golden/every_eval_ever"
UP = ROOT / "tests/validators/up.sh"
NOT_ALLOWED = 77
PACKAGE = "every-eval-ever==0.3.0"


@cache
def schema(name: str) -> Draft7Validator:
    return Draft7Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8")))


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def written(found: Answered) -> tuple[dict, list[dict]]:
    """Return the aggregate and the lines of the samples, both of which fit their schemas."""
    texts = {name: [*lines] for name, lines in files(found)}
    (aggregate,) = (json.loads("\n".join(t)) for n, t in texts.items() if n.endswith(".json"))
    (samples,) = (
        [json.loads(line, parse_constant=refuse) for line in t]
        for n, t in texts.items()
        if n.endswith("_samples.jsonl")
    )
    schema("eval").validate(aggregate)
    for row in samples:
        schema("instance_level_eval").validate(row)
    return aggregate, samples


def of_every_kind() -> list[Answered]:
    """Return answers of every kind: said, chosen, in a dialogue, read, made elsewhere."""
    item, text = choice_item("cat0"), text_item("x", turns=(("q", "a"),), system="be short")
    loss = text_item("y", question="", continuations=("all of it",), answers=("",), answer="")
    chosen = {"loglikelihoods": (-1.0, -math.inf), "continuation_tokens": (3, 3)}
    likely = {"loglikelihoods": (-6.0,), "continuation_tokens": (3,)}
    return [
        answered([answer(item, "(a)", score(item, 1.0, choice="a"))], id="SAID"),
        answered([answer(item, "(a) cat", score(item, 1.0, choice="a"), **chosen)], id="CHOSEN"),
        answered(
            [answer(text, "it", score(text, 1.0, "em"), score(text, 0.5, "f1"))], id="DIALOGUE"
        ),
        answered(
            [answer(loss, "", score(loss, 6.0, weight=3.0, correct=False), **likely)],
            {"q": PERPLEXITY},
            id="READ",
        ),
        answered(
            [answer(item, "", score(item, 0.0), finish_reason="unanswered", prompt_tokens=0)],
            id="ELSEWHERE",
            **{"lora_scaling": None, "model": {}, "sources": (), "finished": None},
        ),
    ]


@pytest.mark.parametrize("found", of_every_kind(), ids=lambda found: found.id)
def test_answers_of_every_kind_fit_the_schemas(found):
    aggregate, samples = written(found)
    assert len(samples) == sum(len(one.scores) for one in found.answers)
    assert aggregate["detailed_evaluation_results"]["total_rows"] == len(samples)
    assert {row["evaluation_id"] for row in samples} == {aggregate["evaluation_id"]}
    assert {row["model_id"] for row in samples} == {aggregate["model_info"]["id"]}


def test_a_category_has_the_value_of_the_table_as_a_part_of_one():
    items = [choice_item(f"cat{n}") for n in range(4)]
    credits = [1.0, 0.0, 1.0, None]
    found = answered([answer(i, "a", score(i, c)) for i, c in zip(items, credits, strict=True)])
    aggregate, samples = written(found)
    (result,) = aggregate["evaluation_results"]
    assert result["score_details"]["score"] == 2 / 3
    assert result["score_details"]["details"] == {"total": "4", "correct": "2", "unjudged": "1"}
    assert result["metric_config"]["metric_id"] == "accuracy"
    assert (result["metric_config"]["min_score"], result["metric_config"]["max_score"]) == (0, 1)
    # What has no verdict has no line: a line has to be right or wrong.
    assert [row["evaluation"]["score"] for row in samples] == [1.0, 0.0, 1.0]
    assert "animal-single: 1 of 4 scores are no numbers: no lines" in notes(found)


def test_measures_keep_unit_and_direction():
    item = text_item("x")
    words = answered([answer(item, "x", score(item, 3.0, weight=4.0))], {"q": WER})
    aggregate, (row,) = written(words)
    metric = aggregate["evaluation_results"][0]["metric_config"]
    assert metric["lower_is_better"] is True
    assert (metric["min_score"], metric["max_score"]) == (0, "Infinity")
    assert aggregate["evaluation_results"][0]["score_details"]["score"] == 0.75
    assert row["evaluation"]["score"] == 0.75
    assert row["metadata"]["weight"] == "4.0"
    read = of_every_kind()[3]
    aggregate, (row,) = written(read)
    assert row["evaluation"]["score"] == pytest.approx(math.exp(2))
    assert aggregate["evaluation_results"][0]["score_details"]["score"] == pytest.approx(
        math.exp(2)
    )


def test_a_dialogue_is_told_turn_by_turn():
    _, samples = written(of_every_kind()[2])
    assert [row["evaluation_name"] for row in samples] == ["q-em", "q-f1"]
    told = [(one["role"], one["content"]) for one in samples[0]["messages"]]
    assert told == [
        ("system", "be short"),
        ("user", "q"),
        ("assistant", "a"),
        ("user", "What is x?"),
        ("assistant", "it"),
    ]
    assert samples[0]["output"] is None
    assert samples[0]["answer_attribution"][0]["source"] == "messages[4].content"


def test_a_category_without_a_value_is_left_out_and_named():
    item, other = text_item("x"), choice_item("cat0")
    found = answered(
        [
            answer(item, "", score(item, math.inf)),
            answer(text_item("y"), "", score(text_item("y"), 1.0)),
            answer(other, "a", score(other, 1.0)),
        ],
        {"q": PERPLEXITY},
    )
    aggregate, samples = written(found)
    assert [one["evaluation_name"] for one in aggregate["evaluation_results"]] == ["animal-single"]
    assert [row["sample_id"] for row in samples] == ["animal-single/cat0"]
    assert "q has no value, and is left out" in notes(found)


def test_nothing_but_unjudged_answers_is_refused():
    item = choice_item("cat0")
    with pytest.raises(UserError, match="no answer has a score that is a number"):
        written(answered([answer(item, "a", score(item, None))]))


HUB = {"hub": "org/model", "revision": "main"}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"model": {"llm": HUB}}, "org/model"),
        ({"model": {"llm": "here"}}, "local/tiny"),
        ({"model": {"llm": HUB, "whisper": "w"}, "sources": ("llm", "whisper")}, "local/tiny"),
        ({"model": {"llm": HUB}, "adapter": {"source": {"hub": "me/lora"}}}, "me/lora"),
        ({"model": {"llm": HUB}, "adapter": {"source": "here"}}, "local/tiny"),
        ({"model": {}, "sources": ()}, "local/tiny"),
    ],
)
def test_a_model_is_called_what_the_hub_calls_it_where_it_is_its_own_work(own, expected):
    item = choice_item("cat0")
    found = answered([answer(item, "a", score(item, 1.0))], **own)
    assert model_id(found) == expected
    written(found)


def test_names_of_files_are_the_same_whenever_they_are_written():
    first, second = ([name for name, _ in files(of_every_kind()[0])] for _ in range(2))
    assert first == second
    (other, _) = (name for name, _ in files(of_every_kind()[1]))
    assert other not in first


@pytest.mark.parametrize("dataset", ["data", "con.x", "nul", "ends."])
def test_names_that_some_systems_forbid_are_changed(dataset):
    item = choice_item("cat0")
    found = answered([answer(item, "a", score(item, 1.0))])
    found.settings["dataset"] = dataset
    (name, _), _ = files(found)
    assert name.split("/")[1] == f"{dataset}_"


def test_its_own_validator_finds_nothing(tmp_path):
    """Everything above, and what relates the files: paths, names, hashes, numbers of lines."""
    command = validator()
    names = []
    for found in of_every_kind():
        for name, lines in files(found):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            names.append(name)
    done = subprocess.run(
        [command, "validate", "--format", "json", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reports = json.loads(done.stdout)
    assert len(reports) == len(names)
    assert all(one["valid"] and not one["warnings"] for one in reports), reports


def validator() -> Path:
    """Return the validator's command; skip where no folder is named for it, or it cannot be."""
    folder = os.environ.get("LORASCOPE_VALIDATORS")
    if not folder:
        pytest.skip("LORASCOPE_VALIDATORS names no folder for tests/validators/up.sh")
    up = subprocess.run(
        [UP, folder, PACKAGE, "3.12"], stdout=subprocess.PIPE, text=True, check=False
    )
    if up.returncode == NOT_ALLOWED:
        pytest.skip("tests/validators/up.sh: not possible here")
    assert up.returncode == 0
    return Path(up.stdout.strip()) / "every_eval_ever"

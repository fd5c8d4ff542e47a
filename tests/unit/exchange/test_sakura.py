"""SAKURA's own scripts read what is written: its files look as they are published."""

import json
from dataclasses import replace

import pytest

from lorascope.errors import UserError
from lorascope.exchange.answers import Answered
from lorascope.exchange.sakura import files, notes
from tests.support.answered import answer, answered, choice_item, score, text_item


def written(found: Answered) -> dict[str, dict]:
    """Return name -> content of the files."""
    return {name: json.loads("\n".join(lines)) for name, lines in files(found)}


def accuracy(judgements: dict) -> tuple[int, int, list[str]]:
    """Return right and all, and what needs a look, as the published calculate_acc.py counts."""
    verdicts = {clip: one["Judgement"] for clip, one in judgements["results"].items()}
    odd = [clip for clip, verdict in verdicts.items() if verdict not in ("correct", "incorrect")]
    return [*verdicts.values()].count("correct"), len(verdicts), odd


@pytest.fixture
def two_hops() -> Answered:
    items = [choice_item("cat0"), choice_item("dog1", gold="b"), choice_item("cat0", hop="multi")]
    said = ["a cat", "猫 (b)", "neither"]
    credits = [1.0, 0.0, 1.0]
    return answered(
        [answer(i, text, score(i, c)) for i, text, c in zip(items, said, credits, strict=True)]
    )


def test_a_file_of_answers_looks_as_the_benchmark_has_it(two_hops):
    found = written(two_hops)
    assert found["Animal_SF-1_single.json"] == {
        "attribute": "Animal",
        "type": "single",
        "results": {
            "cat0.wav": {
                "instruction": "What is heard of cat0? (a) cat (b) dog",
                "response": "a cat",
                "label": " (a) cat",
            },
            "dog1.wav": {
                "instruction": "What is heard of dog1? (a) cat (b) dog",
                "response": "猫 (b)",
                "label": " (b) dog",
            },
        },
    }
    assert [*found["Animal_SF-1_multi.json"]["results"]] == ["cat0.wav"]


def test_its_script_counts_what_the_table_does(two_hops):
    found = written(two_hops)
    assert accuracy(found["judgements/Animal_SF-1_single_judgements.json"]) == (1, 2, [])
    assert accuracy(found["judgements/Animal_SF-1_multi_judgements.json"]) == (1, 1, [])
    judged = found["judgements/Animal_SF-1_single_judgements.json"]
    assert judged["judge_model"] == "lorascope choice"
    assert judged["results"]["cat0.wav"]["model_response"] == "a cat"


def test_an_unjudged_answer_is_neither_correct_nor_incorrect():
    item = choice_item("cat0")
    found = answered([answer(item, "a", score(item, None, reason="the judge said nothing"))])
    judged = written(found)["judgements/Animal_SF-1_single_judgements.json"]
    assert accuracy(judged) == (0, 1, ["cat0.wav"])
    assert judged["results"]["cat0.wav"]["Judgement"] == "No extracted judgement"
    assert any("1 unjudged answers" in note for note in notes(found))


def test_parts_of_a_credit_are_no_judgements():
    item = choice_item("cat0")
    found = answered([answer(item, "a", score(item, 0.5))])
    assert [*written(found)] == ["Animal_SF-1_single.json"]
    assert any("no judgements are written" in note for note in notes(found))


def test_a_clip_is_named_by_its_question_not_by_what_was_heard():
    item = replace(choice_item("cat0"), clip="data/Animal/audio/dog7.wav")
    found = written(answered([answer(item, "a", score(item, 1.0))]))
    assert [*found["Animal_SF-1_single.json"]["results"]] == ["cat0.wav"]


@pytest.mark.parametrize(
    ("item", "own", "message"),
    [
        (text_item("x"), {}, "'zoo' is not SAKURA: item q/x has no track and hop"),
        (
            choice_item("cat0"),
            {"loglikelihoods": (-1.0,)},
            "has a likelihood and no response, which SAKURA's files cannot hold",
        ),
    ],
)
def test_what_its_files_cannot_hold_is_refused(item, own, message):
    with pytest.raises(UserError) as error:
        written(answered([answer(item, "", score(item, 1.0), **own)]))
    assert message in str(error.value)


def test_two_items_about_one_clip_are_refused():
    one = choice_item("cat0")
    other = replace(one, question="another")
    with pytest.raises(UserError, match=r"two items of animal-single are about cat0\.wav"):
        written(answered([answer(i, "a", score(i, 1.0)) for i in (one, other)]))

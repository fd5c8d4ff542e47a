"""Predictions made elsewhere are read from the formats in which other tools write them."""

import json
import math
from pathlib import Path

import pytest

from lorascope.benchmarks.items import Item
from lorascope.errors import UserError
from lorascope.exchange import jsonl, lm_eval, sakura
from lorascope.exchange.replies import matched
from lorascope.study.registry import PREDICTIONS
from tests.support.basics import printed
from tests.support.published import items_of, write_published

ITEMS = items_of(["animal-single", "animal-multi", "gender-single"], 4)
KEYS = {"item": "item_id", "response": "response", "verdict": None}
KEYS |= {"loglikelihoods": "answer.loglikelihoods"}


def refused(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


def write_lines(path: Path, *records: object) -> Path:
    lines = (one if isinstance(one, str) else json.dumps(one) for one in records)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_what_planning_imports_is_light():
    code = "import sys, lorascope.exchange.sakura, lorascope.exchange.jsonl, "
    heavy = "{'pandas', 'pyarrow', 'torch', 'numpy'}"
    assert printed(f"{code}lorascope.exchange.lm_eval; print({heavy} & sys.modules.keys())") == (
        "set()\n"
    )
    assert all(PREDICTIONS[name].read for name in PREDICTIONS.own)


# ------------------------------------------------------------------------------------- sakura


@pytest.mark.parametrize("judged", [False, True])
def test_published_results_are_told_apart_by_clip_and_question(tmp_path, judged):
    right = {"animal-single": 1, "animal-multi": 3, "gender-single": 2}
    write_published(tmp_path, ITEMS, right, judged)
    replies = sakura.read(sorted(tmp_path.iterdir()), ITEMS, {})
    assert {r.item for r in replies} == {item.item_id for item in ITEMS}
    by_item = {reply.item: reply for reply in replies}
    assert by_item["animal-multi/animal2"].response == "cow"
    assert by_item["animal-multi/animal3"].response == "cat"
    assert by_item["gender-single/gender1"].prompt == ITEMS[9].question
    published = [reply.published for reply in replies]
    assert published == [{}] * 12 if not judged else sum(p[""] for p in published) == 6


def test_verdicts_in_the_same_folder_join_the_answers_they_are_of(tmp_path):
    write_published(tmp_path, ITEMS[:4], {"animal-single": 3})
    write_published(tmp_path / "judgements", ITEMS[:4], {"animal-single": 3}, judged=True)
    replies = sakura.read(sorted(tmp_path.rglob("*.json")), ITEMS, {})
    assert [reply.published[""] for reply in replies] == [1, 1, 1, 0]
    # A verdict of other words is of another answer.
    other = json.loads((tmp_path / "judgements/animal_model_single_judgements.json").read_text())
    other["results"]["animal0.wav"]["model_response"] = "a cat, surely"
    (tmp_path / "judgements/animal_model_single_judgements.json").write_text(json.dumps(other))
    replies = sakura.read(sorted(tmp_path.rglob("*.json")), ITEMS, {})
    said = refused(matched, replies, ITEMS[:4], False, False)
    assert "1 have several (animal-single/animal0 (" in said


@pytest.mark.parametrize(
    ("said", "credit"),
    [
        ("correct", 1),
        ("Incorrect.", 0),
        ('"correct"', 1),
        ("**incorrect**", 0),
        ("_Correct_", 1),
        ("No extracted judgement", None),
        ("not correct", None),
        (None, None),
        (1, None),
    ],
)
def test_a_published_verdict_is_read_or_none(tmp_path, said, credit):
    write_published(tmp_path, ITEMS[:1], {"animal-single": 1}, judged=True)
    (file,) = tmp_path.iterdir()
    whole = json.loads(file.read_text())
    whole["results"]["animal0.wav"]["Judgement"] = said
    file.write_text(json.dumps(whole))
    (reply,) = sakura.read([file], ITEMS, {})
    assert reply.published == ({} if credit is None else {"": credit})


def test_another_question_or_track_is_another_item(tmp_path):
    write_published(tmp_path, ITEMS[:4], {"animal-single": 3})
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    file.write_text(text.replace("What is heard?", "  What is \\n heard?"))
    assert sakura.read([file], ITEMS, {})[0].item == "animal-single/animal0"
    file.write_text(text.replace("heard?", "seen?"))
    (first, *_) = sakura.read([file], ITEMS, {})
    assert first.item == "animal-single/animal0: 'What is seen? (a) cat (b) dog (c) cow (d) pig'"
    file.write_text(text.replace('"Animal"', '"Gender"'))
    assert sakura.read([file], ITEMS, {})[0].item.startswith("gender-single/animal0: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "holds no results of SAKURA, by clip under the key results"),
        ('{"results": []}', "holds no results of SAKURA"),
        ("{", "x.json: not JSON"),
        ("\x00\xff", "x.json: not"),
        ('{"results": {"a.wav": 3}}', "x.json: a.wav: 3 is no result; expected its keys"),
        ('{"results": {"a.wav": {"response": ""}}}', "a.wav: instruction: None is no text"),
        ('{"results": {"a.wav": {"instruction": "q"}}}', "a.wav: response: None is no text"),
    ],
)
def test_what_holds_no_results_is_refused(tmp_path, content, words):
    (tmp_path / "x.json").write_bytes(content.encode("latin-1"))
    assert words in refused(sakura.read, [tmp_path / "x.json"], ITEMS, {})


# -------------------------------------------------------------------------------------- jsonl


def test_lines_name_items_by_their_id_or_what_follows_the_category(tmp_path):
    file = write_lines(
        tmp_path / "a.jsonl",
        {"item_id": "gender-single/gender0", "response": "male\u2028 and more"},
        "",
        {"item_id": "gender1", "response": "", "answer": {"finish_reason": "length"}},
        {"item_id": "animal0", "response": "of two items"},
        {"item_id": 7, "response": "x"},
    )
    replies = jsonl.read([file], ITEMS, KEYS)
    names = ["gender-single/gender0", "gender-single/gender1", "animal0", "7"]
    assert [reply.item for reply in replies] == names
    assert [reply.finish_reason for reply in replies[:2]] == ["unknown", "length"]
    assert replies[0].response == "male\u2028 and more"


def test_keys_may_have_other_names_and_lie_deeper(tmp_path):
    record = {"doc": {"id": "gender0"}, "out.text": "male", "ok": 0, "ll": [-1, "-Infinity", None]}
    file = write_lines(tmp_path / "a.jsonl", record)
    own = {"item": "doc.id", "response": "out.text", "verdict": "ok", "loglikelihoods": "ll"}
    (reply,) = jsonl.read([file], ITEMS, own)
    assert (reply.item, reply.response) == ("gender-single/gender0", "male")
    assert reply.published == {"": 0}
    assert reply.loglikelihoods[:2] == (-1, -math.inf)
    assert math.isnan(reply.loglikelihoods[2])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("{", ":1: not JSON"),
        ("3", ":1: 3 is no record; expected keys with values"),
        ({"id": 1, "response": ""}, "has no item_id; it has the keys id, response. Name the key"),
        ({"item_id": [1], "response": ""}, "item_id: [1] is no name of an item"),
        ({"item_id": True, "response": ""}, "item_id: True is no name of an item"),
        ({"item_id": 1, "text": ""}, "has neither response nor answer.loglikelihoods; it has"),
        ({"item_id": 1, "response": 3}, "response: 3 is no text"),
        ({"item_id": 1, "answer": {"loglikelihoods": ["x"]}}, "'x' is no number; expected a list"),
        ({"item_id": 1, "answer": {"loglikelihoods": "x"}}, "'x' is no number; expected a list"),
        ({"item_id": 1, "response": "", "ok": "yes"}, "ok: 'yes' is no verdict; expected true"),
    ],
)
def test_a_line_without_an_answer_is_refused(tmp_path, record, words):
    file = write_lines(tmp_path / "a.jsonl", record)
    assert words in refused(jsonl.read, [file], ITEMS, {**KEYS, "verdict": "ok"})


# ------------------------------------------------------------------------------------- lm_eval


def sample(number: int, said: object = "4", way: str = "none", **own: object) -> dict:
    arguments = {"gen_args_0": {"arg_0": "2 + 2 =", "arg_1": {"until": ["\n"]}}}
    given = {"doc_id": number, "doc": {"q": number}, "arguments": arguments, "resps": [[said]]}
    return given | {"filter": way, "metrics": ["exact_match"], "exact_match": 1.0} | own


def question(number: int, mode: str = "generate", **own) -> Item:
    record = json.dumps({"row": {"q": number}, "number": number})
    keys = {"category": "sums", "question": "2 + 2 =", "answer": "4", "answers": ("4",)}
    return Item(item_id=f"sums/{number}", mode=mode, record=record, **(keys | own))


def choice(number: int, *sums: object) -> dict:
    arguments = {f"gen_args_{i}": {"arg_0": "q", "arg_1": f" {t}"} for i, t in enumerate("xyz")}
    return sample(number, arguments=arguments, resps=[[one] for one in sums])


def test_lines_of_other_filters_are_the_same_answer(tmp_path):
    file = write_lines(
        tmp_path / "samples_sums_2026-01-02T03-04-05.678901.jsonl",
        *(
            sample(n, way=way, exact_match=m)
            for n in (0, 1)
            for way, m in (("strict", 0), ("flex", 1))
        ),
    )
    replies = lm_eval.read([file], [question(0), question(1)], {})
    assert [(r.item, r.response, r.prompt) for r in replies] == [
        ("sums/0", "4", "2 + 2 ="),
        ("sums/1", "4", "2 + 2 ="),
    ]
    assert replies[0].published == {"exact_match-strict": 0, "exact_match-flex": 1}
    write_lines(file, sample(0), sample(0, "5"))
    assert len(lm_eval.read([file], [question(0)], {})) == 2


def test_likelihoods_are_those_of_the_item_s_continuations(tmp_path):
    item = question(0, "choose", continuations=(" x", " y", " z"))
    told = [["-1.5", "False"], ["-inf", "False"], ["-0.25", "True"]]
    file = write_lines(tmp_path / "samples_sums.jsonl", choice(0, *told))
    (reply,) = lm_eval.read([file], [item], {})
    assert reply.loglikelihoods == (-1.5, -math.inf, -0.25)
    assert reply.greedy == (False, False, True)
    other = question(0, "choose", continuations=(" x", " z", " y"))
    assert "is it the same version of the task?" in refused(lm_eval.read, [file], [other], {})
    rolling = sample(0, arguments={"gen_args_0": {"arg_0": "a text"}}, resps=[["-9.5"]])
    write_lines(file, rolling)
    (reply,) = lm_eval.read([file], [question(0, "loss", continuations=("a text",))], {})
    assert (reply.loglikelihoods, reply.greedy) == ((-9.5,), None)
    # As versions before 0.4.4 wrote it.
    write_lines(file, sample(0, arguments=[["a text"]], resps=[[-9.5]]))
    assert lm_eval.read([file], [], {})[0].loglikelihoods == (-9.5,)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"resps": [["4"]]}, "is no sample of lm-eval; it has no doc_id"),
        ({"doc_id": 0}, "expected arguments and resps of each"),
        (sample(0, arguments={"gen_args_0": {}}), "expected arguments and resps of each"),
        (sample(0, resps=[["4", "5"]]), "2 replies to one request; run it with repeats: 1"),
        (sample(0, 4), "resps: 4 is no text"),
        (sample(0, doc={"q": 5}), "another row than the dataset's: q is 5 there and 0 here"),
        (choice(0, "x", "y", "z"), "['x', 'y', 'z'] are no log-likelihoods"),
    ],
)
def test_what_is_no_sample_is_refused(tmp_path, record, words):
    file = write_lines(tmp_path / "samples_sums.jsonl", record)
    assert words in refused(lm_eval.read, [file], [question(0)], {})


def test_two_files_of_one_task_are_refused(tmp_path):
    names = ("samples_sums_2026-01-02T03-04-05.6.jsonl", "samples_sums_2026-02-02T03-04-05.6.jsonl")
    files = [write_lines(tmp_path / name, sample(0)) for name in names]
    said = refused(lm_eval.read, files, [question(0)], {})
    assert f"{names[0]} has the samples of sums, too; name one of them as source" in said
    other = write_lines(tmp_path / "sums.jsonl", sample(0))
    assert "is not called samples_<task>_<date>.jsonl" in refused(lm_eval.read, [other], [], {})


# ------------------------------------------------------------------------ one answer to each item


def replies(tmp_path, *names: str):
    records = ({"item_id": name, "response": "x"} for name in names)
    return jsonl.read([write_lines(tmp_path / "a.jsonl", *records)], ITEMS, KEYS)


def test_missing_double_and_unknown_items_are_one_error_with_counts_and_examples(tmp_path):
    several = replies(tmp_path, *(f"gender{n}" for n in (0, 1, 1, 2)), "zebra", "zebra2")
    said = refused(matched, several, ITEMS, False, False)
    assert said.startswith("each of the 12 items of the dataset has to have exactly one answer; ")
    assert f"1 have several (gender-single/gender1 ({tmp_path}/a.jsonl:2 and " in said
    assert (
        "9 have none (animal-single/animal0, animal-single/animal1, animal-single/animal2, ..."
        in said
    )
    assert "missing: unanswered allows that" in said
    assert f"2 are of other items (zebra ({tmp_path}/a.jsonl:5), zebra2 (" in said
    assert "others: leave_out allows that" in said


def test_missing_and_other_items_may_be_allowed_and_are_noted(tmp_path):
    found, notes = matched(replies(tmp_path, "gender0", "zebra"), ITEMS, True, True)
    assert [*found] == ["gender-single/gender0"]
    assert [note.partition(" (")[0] for note in notes] == ["11 have none", "1 are of other items"]
    assert [note.rpartition(": ")[2] for note in notes] == ["taken for unanswered", "left out"]


def test_answers_to_another_dataset_are_refused_whatever_is_allowed(tmp_path):
    said = refused(matched, replies(tmp_path, "zebra"), ITEMS, True, True)
    assert said.startswith("none of the 1 answers is to an item of the dataset: they are to zebra")
    assert said.endswith("Name the dataset that was asked")

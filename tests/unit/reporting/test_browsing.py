"""Parts of the page's data: columns, labels, tables, and texts of items of every kind."""

from pathlib import Path

import pyarrow as pa
import pytest

from lorascope.benchmarks.items import Item
from lorascope.models.hf_audio import FAMILY as AUDIO
from lorascope.models.hf_speech import FAMILY as SPEECH
from lorascope.reporting.browsing.index import label, number
from lorascope.reporting.browsing.scripts import Script, column, column_if_any, write_script
from lorascope.reporting.browsing.summary import read_csv
from lorascope.reporting.browsing.texts import Texts, chunk_of
from lorascope.storage.records import write_json
from tests.support.browsed import value_of

OWN = {"item_id": "c/1", "category": "c", "answer": "gold", "answers": ("gold",)}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Item(question=" What\n is\tit? ", **OWN), "What is it?"),
        (
            Item(question="", contexts=("A ladle is", "A"), continuations=(" x",), **OWN),
            "A ladle is",
        ),
        (Item(question="", continuations=(" a text that is read",), **OWN), "a text that is read"),
        (Item(question=" ", **OWN), "gold"),
        (Item(question="", **OWN | {"answer": "", "answers": ()}), "c/1"),
        (Item(question="é" * 80, **OWN), "é" * 80),
        (Item(question="word " * 30, **OWN), "word " * 15 + "word…"),
        (Item(question=("\n" * 5000) + "late", **OWN), "late"),
    ],
)
def test_a_label_is_the_beginning_of_what_there_is(item, words):
    assert label(item) == words


def test_a_column_names_each_value_once():
    assert column(["b", None, "a", "b"]) == {"names": ["b", "a"], "codes": [0, -1, 1, 0]}
    assert column_if_any([None, None]) is None


def test_numbers_that_are_none_are_null():
    values = [None, float("nan"), float("inf"), 1.0, 0.123456789, -0.00001]
    assert [number(one) for one in values] == [None, None, None, 1, 0.123456789, -0.00001]
    assert [number(one, 4) for one in values[3:]] == [1, 0.1235, 0]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_script(Path(), "x", float("nan"))


def test_a_table_keeps_names_and_reads_numbers():
    text = "experiment,category,total,accuracy,delta,note,perplexity\n007,1e3,12,3.50,-1e-05,,inf\n"
    table = read_csv(f'{text}"A, ""b""\n\u00e9",x,0,,nan,5,2\n')
    assert table["columns"][:2] == ["experiment", "category"]
    assert table["rows"] == [
        ["007", "1e3", 12, 3.5, -1e-05, None, "inf"],
        ['A, "b"\n\u00e9', "x", 0, None, "nan", "5", 2],
    ]


def test_a_script_grows_and_is_not_there_before_it_is_closed(tmp_path):
    script = Script(tmp_path / "data", "items-0-0")
    script.add("a", ["'", "\\n", "\\'"])
    script.open("b")
    script.add("__proto__", {"x": "\u2028"})
    script.add("'\\", 1)
    script.shut()
    script.add("c", None)
    assert not script.path.exists()
    assert value_of(script.close()) == {
        "a": ["'", "\\n", "\\'"],
        "b": {"__proto__": {"x": "\u2028"}, "'\\": 1},
        "c": None,
    }
    assert [path.name for path in script.path.parent.iterdir()] == ["items-0-0.js"]


def test_an_item_is_shown_with_all_that_it_has_and_null_for_the_rest(tmp_path):
    bare = Item(question="", **OWN)
    whole = Item(
        question="?",
        system="be brief",
        turns=(("One?", "1"),),
        options=(("a", "x"), ("b", "y")),
        gold="b",
        continuations=(" x", " y"),
        contexts=("p", "q"),
        passage="17",
        record='{"k": 1}',
        **OWN,
    )
    (file,) = Texts(tmp_path, "d", 0, [bare, whole], {}, 9).close()
    first, second = value_of(file)["items"]
    nothing = (
        "question",
        "system",
        "turns",
        "continuations",
        "contexts",
        "passage",
        "record",
        "clip",
    )
    assert {name: first[name] for name in nothing} == dict.fromkeys(nothing)
    assert (first["options"], first["gold"]) == ([], {"letter": None, "texts": ["gold"]})
    assert second == {
        **{"id": "c/1", "category": "c", "question": "?", "system": "be brief"},
        **{"turns": [["One?", "1"]], "options": [["a", "x"], ["b", "y"]]},
        **{"gold": {"letter": "b", "texts": ["gold"]}, "continuations": [" x", " y"]},
        **{"contexts": ["p", "q"], "passage": "17", "record": '{"k": 1}', "clip": None},
    }


@pytest.mark.parametrize("family", [AUDIO, SPEECH])
def test_the_rate_at_which_clips_are_heard_is_that_of_the_extractor(tmp_path, family):
    rate = family.encoding.sampling_rate
    assert rate({}) == rate({"model": tmp_path}) == 16000
    write_json(tmp_path / "preprocessor_config.json", {"sampling_rate": 24000})
    assert rate({"model": tmp_path}) == 24000
    extractor = {"feature_extractor": {"sampling_rate": 48000}}
    write_json(tmp_path / "processor_config.json", extractor)
    assert rate({"model": tmp_path}) == 48000
    write_json(tmp_path / "processor_config.json", {"feature_extractor": {"sampling_rate": "x"}})
    assert rate({"model": tmp_path}) == 16000


def test_a_file_holds_fewer_items_where_experiments_are_many():
    assert [chunk_of(count) for count in (0, 1, 6, 12, 60, 100, 5000)] == [
        *(200, 200, 200, 200, 40, 24, 1)
    ]


def test_a_reply_stands_with_what_a_judge_said_of_it(tmp_path):
    asked = [Item(question="?", **OWN | {"item_id": name}) for name in "abc"]
    usual = {"finish_reason": "eos", "prompt_tokens": 1, "response_tokens": 2}
    usual |= {"loglikelihoods": None, "continuation_tokens": None}
    replies = pa.Table.from_pylist([{"item_id": n, "response": f"{n}!", **usual} for n in "ca"])
    said = {"verdict": None, "reason": "two verdicts", "text": "Yes. No.", "calls": 3}
    texts = Texts(tmp_path, "d", 0, asked, {}, 2)
    texts.add("X", replies, pa.Table.from_pylist([{"item_id": "c", **said}]))
    texts.add("Y", replies)
    first, second = (value_of(path)["responses"] for path in texts.close())
    assert [first["X"][0]["text"], first["X"][1]] == ["a!", None]  # b was not answered
    assert (first["X"][0]["judge"], second["X"][0]["judge"]) == (None, said)
    assert second["Y"] == [second["X"][0] | {"judge": None}]

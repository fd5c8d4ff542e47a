"""Items of a table: questions, answers, samples, categories, ids, missing columns."""

import json
from collections import Counter

import pytest

from lorascope.benchmarks.items import from_table, to_table
from lorascope.benchmarks.table.items import build_items
from lorascope.benchmarks.table.sources import categories, count_items, source_files
from tests.support.tables import built, dataset, refused, write_rows

ASKED = {"question": "q", "answer": "a"}
ROWS = [
    {"q": f"Question {n}?", "a": f"answer {n}", "id": f"id{n}", "kind": ["even", "odd"][n % 2]}
    for n in range(40)
]


@pytest.fixture
def path(tmp_path):
    return write_rows(tmp_path / "rows.jsonl", ROWS)


def test_an_item_is_a_row_in_every_part(tmp_path):
    row = {"q": "Größe?", "a": ["42", "zweiundvierzig"], "id": 7, "extra": {"n": [1, None]}}
    keys = {"question": "{q}\nA:", "answer": "a", "id": "id", "category": "own", "system": "Brief."}
    [item] = items = built(tmp_path / "a.jsonl", [row], **keys)
    assert (item.item_id, item.category, item.passage) == ("own/7", "own", "7")
    assert (item.question, item.system, item.turns) == ("Größe?\nA:", "Brief.", ())
    assert (item.answer, item.answers) == ("42", ("42", "zweiundvierzig"))
    assert item.continuations == (" 42",)
    assert (item.options, item.gold, item.clip, item.mode) == ((), "", "", "")
    assert json.loads(item.record) == row
    assert from_table(to_table(items)) == items


@pytest.mark.parametrize(
    ("answer", "answers"),
    [(18, ("18",)), (-0.5, ("-0.5",)), (True, ("true",)), ([1, "one"], ("1", "one"))],
)
def test_answers_are_texts_whatever_they_were(tmp_path, answer, answers):
    [item] = built(tmp_path / "a.jsonl", [{"q": "?", "a": answer}], **ASKED)
    assert item.answers == answers


def test_a_text_is_asked_by_itself_or_after_a_question(tmp_path):
    rows = [{"t": "It rains.", "q": "What?"}]
    path = write_rows(tmp_path / "a.csv", rows)
    [item] = built(path, text="t")
    assert (item.question, item.continuations, item.answers) == ("", ("It rains.",), ())
    [item] = built(path, text="{t} {t}", question="Q: {q}", delimiter="\n")
    assert (item.question, item.continuations) == ("Q: What?", ("\nIt rains. It rains.",))
    assert "line 2: column t: is empty; fill it in" in refused(
        tmp_path / "b.csv", [{"t": "", "q": "x"}], text="t"
    )


def test_the_delimiter_is_between_question_and_what_follows(tmp_path):
    rows = [{"q": "?", "o": ["x", "y"], "a": 0}]
    [item] = built(tmp_path / "a.jsonl", rows, **ASKED, options="o", delimiter="")
    assert item.continuations == ("x", "y")


def test_a_column_whose_name_has_a_dot_comes_before_a_nested_one(tmp_path):
    rows = [{"a.b": "flat", "a": {"b": "nested", "c.d": {"e": "deep"}}}]
    keys = {"question": "{a.b} {a.c.d.e}", "answer": "a.b"}
    assert built(tmp_path / "a.jsonl", rows, **keys)[0].question == "flat deep"


# -------------------------------------------------------------------------------- samples


def test_a_smaller_sample_is_part_of_a_larger_one_in_the_order_of_the_rows(path):
    def asked(**keys):
        return [item.passage for item in built(path, **ASKED, id="id", **keys)]

    ten, whole = asked(items=10), asked()
    assert whole == [row["id"] for row in ROWS]
    assert len(ten) == 10
    assert set(asked(items=4)) <= set(ten)
    assert ten == [name for name in whole if name in ten] != whole[:10]
    assert asked(items=100) == whole
    # The name in the tables is no part of the sample: conditions ask the same.
    assert asked(items=10, category="other") == ten


def test_a_limit_counts_for_each_category(path):
    keys = {**ASKED, "category": {"column": "kind"}}
    items = built(path, limit=3, **keys)
    assert Counter(item.category for item in items) == {"even": 3, "odd": 3}
    assert [item.item_id for item in built(path, limit=1, **keys)] == [
        item.item_id for item in items if item in built(path, limit=1, **keys)
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("few_shot", [None, {"count": 3}])
@pytest.mark.parametrize("limit", [None, 4])
def test_items_are_counted_as_they_will_be(tmp_path, suffix, few_shot, limit):
    path = write_rows(tmp_path / f"a{suffix}", ROWS)
    for own in ({}, {"items": 7}, {"category": {"column": "kind"}}):
        keys = dataset(path, **ASKED, **own, few_shot=few_shot)
        items, _ = build_items(path, keys, limit)
        found = Counter(item.category for item in items)
        assert count_items(path, keys, limit) == found
        assert {*categories(keys)} == {*found}
        assert source_files(path, keys, limit) == [path]


def test_what_is_not_here_is_not_counted(tmp_path):
    absent = tmp_path / "absent.csv"
    keys = dataset(absent, **ASKED, category={"column": "kind"})
    assert count_items(absent, keys, None) is categories(keys) is None
    assert source_files(absent, keys, None) == []
    hub = dataset({"hub": "lab/own"}, **ASKED, category={"column": "kind"})
    assert categories(hub) is None
    assert categories(dataset({"hub": "lab/own"}, **ASKED)) == ["table"]


# ------------------------------------------------------------------------------ bad tables


def test_a_column_that_no_row_has_is_refused_while_planning(path):
    def both(**keys):
        message = refused(path, **ASKED | keys)
        with pytest.raises(Exception, match="no column") as planned:
            source_files(path, dataset(path, **ASKED | keys), None)
        assert str(planned.value) == message
        return message.removeprefix(f"{path}: ")

    known = "it has: q, a, id, kind"
    assert both(question="{stem}?") == f"no column 'stem', which question names; {known}"
    assert both(answer="A") == f"no column 'A', which answer names; {known}"
    assert both(id="ids") == f"no column 'ids', which id names; did you mean 'id'? {known}"
    assert both(category={"column": "subject"}).startswith("no column 'subject', which category n")
    assert both(options="o").startswith("no column 'o', which options names")
    assert both(options=["q", "B"]).startswith("no column 'B', which options names")
    assert both(options=["q", "a"], letters="l").startswith("no column 'l', which letters names")
    assert both(question="{options}").startswith("no column 'options', which question names")
    assert both(question="q.x").startswith("no column 'q.x', which question names")
    assert both(question="Which of them is it?").startswith("no column 'Which of them is it?'")


def test_no_rows_are_refused_while_planning(tmp_path):
    for suffix in (".jsonl", ".parquet"):
        path = write_rows(tmp_path / f"a{suffix}", [])
        for function in (source_files, count_items, build_items):
            with pytest.raises(Exception, match=f"{path}: holds no rows"):
                function(path, dataset(path, **ASKED), None)


BAD = [
    ({"q": ""}, "line 41: column q: is empty; fill it in"),
    ({"q": "  "}, "line 41: column q: is empty; fill it in"),
    ({"q": None}, "line 41: column q: is empty where a text is expected; correct the row"),
    ({"q": ["x"]}, "line 41: column q: holds a list where a text is expected"),
    ({"q": {"x": 1}}, "line 41: column q: holds a mapping where a text is expected"),
    ({"a": ""}, "line 41: column a: no answer; fill it in"),
    ({"a": []}, "line 41: column a: no answer; fill it in"),
    ({"a": ["x", " "]}, "line 41: column a: an answer is empty; fill it in"),
    ({"a": {"x": 1}}, "line 41: column a: holds a mapping where an answer is expected"),
    ({"a": [["x"]]}, "line 41: column a: holds a list where an answer is expected"),
    ({"a": 3}, "line 41: column a: holds a number, and a text at"),
    ({"id": "id3"}, "line 41: column id: the id 'id3' comes twice, first at"),
    ({"id": None}, "line 41: column id: is empty; fill it in"),
    ({"kind": " "}, "line 41: column kind: is empty; fill it in"),
    ({"kind": "x\ny"}, "line 41: column kind: 'x\\ny' is no name; give one line of at most 100"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_a_bad_row_is_named_and_others_are_counted(tmp_path, change, words):
    path, bad = tmp_path / "a.jsonl", {"q": "?", "a": "x", "id": "new", "kind": "odd"} | change
    keys = {**ASKED, "id": "id", "category": {"column": "kind"}}
    message = refused(path, [*ROWS, bad], **keys)
    assert message.startswith(f"{path}: {words}")
    # Rows that a sample leaves out are looked at, too.
    assert refused(path, [*ROWS, bad], **keys, items=1) == message
    again = refused(path, [*ROWS, bad, bad | {"id": "newer"}], **keys)
    if "id" not in change:
        assert "(and 1 more " in again


def test_an_id_may_come_again_in_another_category(tmp_path):
    rows = [ROWS[0] | {"kind": kind, "id": 1} for kind in ("x", "y")]
    keys = {**ASKED, "id": "id", "category": {"column": "kind"}}
    assert [i.item_id for i in built(tmp_path / "a.jsonl", rows, **keys)] == ["x/1", "y/1"]
    message = refused(tmp_path / "a.jsonl", **ASKED, id="id")
    first = tmp_path / "a.jsonl: line 1"
    assert f"line 2: column id: the id '1' comes twice, first at {first}; change one" in message


def test_rows_that_lack_a_column_others_have_are_named(tmp_path):
    message = refused(tmp_path / "a.jsonl", [{"q": "?", "a": "x"}, {"a": "y"}], **ASKED)
    assert "line 2: column q: is empty where a text is expected" in message

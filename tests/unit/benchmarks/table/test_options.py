"""Options of a table, and the right one of them: by letter, number, text, or a list of 0 and 1."""

import json

import pytest

from tests.support.tables import built, refused

QUESTION = {"question": "question"}
OPTIONS = QUESTION | {"options": "options", "answer": "answer"}


def rows(*answers, options=("a cat", "a dog", "a cow")):
    return [{"question": "Who?", "options": list(options), "answer": answer} for answer in answers]


def golds(path, table, **keys) -> list[str]:
    return [item.gold for item in built(path, table, **OPTIONS | keys)]


@pytest.mark.parametrize(
    "answers",
    [
        ("b", "a", "c"),
        ("B", "A", "C"),
        ("(b)", "(a)", "(c)"),
        ("B.", "A)", "c:"),
        ("(b) a dog", "(A) A cat", "c. a cow"),
        (1, 0, 2),
        (1.0, 0.0, 2.0),
        ("1", "0", "2"),
        ("a dog", "a cat", "a cow"),
        (" A DOG ", "A cat", "a  cow"),
        ([0, 1, 0], [1, 0, 0], [0, 0, 1]),
        ([False, True, False], [True, False, False], [False, False, True]),
    ],
)
def test_the_right_option_is_told_in_every_way(tmp_path, answers):
    table = rows(*answers)
    items = built(tmp_path / "a.jsonl", table, **OPTIONS)
    assert [item.gold for item in items] == ["b", "a", "c"]
    assert [item.answer for item in items] == ["a dog", "a cat", "a cow"]
    assert items[0].options == (("a", "a cat"), ("b", "a dog"), ("c", "a cow"))
    assert items[0].continuations == (" a cat", " a dog", " a cow")
    assert items[0].answers == ("a dog",)
    assert golds(tmp_path / "a.parquet", table) == ["b", "a", "c"]


def test_digits_are_letters_where_letters_are_digits_and_numbers_count_from_0(tmp_path):
    table = [row | {"labels": ["1", "2", "3"]} for row in rows("2", "3", "1")]
    found = built(tmp_path / "a.jsonl", table, **OPTIONS, letters="labels")
    assert [(item.gold, item.answer) for item in found] == [
        ("2", "a dog"),
        ("3", "a cow"),
        ("1", "a cat"),
    ]
    numbers = [row | {"answer": int(row["answer"]) - 1} for row in table]
    assert golds(tmp_path / "a.jsonl", numbers, letters="labels") == ["2", "3", "1"]
    # Whose numbers count from 1 says so by letters.
    ones = [row | {"answer": int(row["answer"])} for row in table]
    keys = {"letters": ["1", "2", "3"], "answer_by": "letter"}
    assert golds(tmp_path / "a.jsonl", ones, **keys) == ["2", "3", "1"]
    message = refused(tmp_path / "a.jsonl", ones, **OPTIONS)
    assert "line 2: column answer: 3 is not among the options '(a) a cat (b) a dog (c) a cow'" in (
        message
    )
    assert "its number from 0" in message


def test_letters_and_numbers_of_rows_differ_as_those_of_arc_do(tmp_path):
    table = [
        {"question": "1?", "options": ["x", "y"], "labels": ["A", "B"], "answer": "B"},
        {"question": "2?", "options": ["x", "y", "z"], "labels": ["1", "2", "3"], "answer": "3"},
    ]
    items = built(tmp_path / "a.jsonl", table, **OPTIONS, letters="labels", continuation="letter")
    assert [(item.gold, item.answer) for item in items] == [("B", "B"), ("3", "3")]
    assert items[1].continuations == (" 1", " 2", " 3")


def test_a_table_whose_answers_mean_two_options_asks_which_is_meant(tmp_path):
    table = rows("1", "2", options=["2", "1", "3"])
    message = refused(tmp_path / "a.jsonl", table, **OPTIONS)
    assert "line 2: column answer: '2' means as a number (c) '3' and as a text (a) '2'" in message
    assert message.endswith("nothing in the table tells which; set answer_by to number or text")
    assert golds(tmp_path / "a.jsonl", answer_by="number", table=None) == ["b", "c"]
    assert golds(tmp_path / "a.jsonl", answer_by="text", table=None) == ["b", "a"]
    # Ways that agree on every row need no key, and one row may tell.
    assert golds(tmp_path / "a.jsonl", rows("a", options=["a", "b"])) == ["a"]
    told = rows("1", "2", "0", options=["2", "1", "3"])
    assert golds(tmp_path / "a.jsonl", told) == ["b", "c", "a"]


def test_numbers_are_options_only_where_these_are_numbers(tmp_path):
    assert golds(tmp_path / "a.jsonl", rows(5, 7, options=[7, 5])) == ["b", "a"]
    assert golds(tmp_path / "a.jsonl", rows(1, 0, options=["1", "0"])) == ["b", "a"]
    message = refused(tmp_path / "a.jsonl", rows(1, options=[1, 0]), **OPTIONS)
    assert "set answer_by to number or text" in message


def test_options_are_a_list_a_mapping_or_columns_in_the_order_of_the_study(tmp_path):
    table = [{"question": "?", "D": "four", "A": "one", "answer": "D"}]
    [item] = built(
        tmp_path / "a.csv",
        table,
        **QUESTION,
        options=["D", "A"],
        letters=["D", "A"],
        answer="answer",
    )
    assert item.options == (("D", "four"), ("A", "one"))
    assert item.gold == "D"
    mapping = [{"question": "?", "o": {"A": "x", "B": "y"}, "answer": "B"}]
    mapping += [{"question": "?", "o": {"A": "x", "B": "y", "C": "z"}, "answer": "z"}]
    for name in ("a.jsonl", "a.parquet"):
        [first, _] = built(
            tmp_path / name,
            [mapping[0], mapping[1] | {"answer": "C"}],
            **QUESTION,
            options="o",
            answer="answer",
        )
        assert (first.options, first.gold) == ((("A", "x"), ("B", "y")), "B")
    nested = [{"question": "?", "o": [{"t": "x", "l": "A"}, {"t": "y", "l": "B"}], "answer": "B"}]
    [item] = built(
        tmp_path / "a.jsonl", nested, **QUESTION, options="o.t", letters="o.l", answer="answer"
    )
    assert item.options == (("A", "x"), ("B", "y"))


def test_options_are_listed_where_the_question_says(tmp_path):
    keys = OPTIONS | {"question": "{{{question}}}\n{options}\nAnswer:"}
    [item] = built(tmp_path / "a.jsonl", rows("b"), **keys)
    assert item.question == "{Who?}\n(a) a cat (b) a dog (c) a cow\nAnswer:"
    form = {"option_format": "{letter}. {text}", "option_separator": "\n", "letters": list("ABC")}
    [item] = built(tmp_path / "a.jsonl", **keys, **form)
    assert item.question == "{Who?}\nA. a cat\nB. a dog\nC. a cow\nAnswer:"
    # Without options, it is a column as any other one.
    table = [{"options": "(a) x (b) y", "answer": "x"}]
    [item] = built(tmp_path / "a.jsonl", table, question="Which? {options}", answer="answer")
    assert (item.question, item.options) == ("Which? (a) x (b) y", ())


BAD = [
    (rows("b", options=[]), "line 1: column options: no option; give two or more"),
    (rows("a", options=["x"]), "line 1: column options: 1 option; give two or more"),
    (rows("a", options=["x", " "]), "line 1: column options: option 2 is empty; fill it in"),
    (rows("a", options=["x", None]), "an option is nothing; give a text or a number"),
    (rows("a", options=["x", ["y"]]), "an option is a list; give a text or a number"),
    ([*rows("a"), {"question": "?", "answer": "a"}], "line 2: column options: holds nothing"),
    ([{"question": "?", "options": "x, y", "answer": "a"}], "column options: holds a text where o"),
    (rows("b", "d", "e"), "line 2: column answer: 'd' is not among the options '(a) a cat (b) a"),
    (rows("b", "d", "e"), "(and 1 more rows)"),
    (rows("a", "b) a cat"), "line 2: column answer: 'b) a cat' is not among"),
    (rows("a", 1), "line 2: column answer: holds a number, and a text at"),
    (rows("a", True, 2), "give all rows one kind (and 1 more rows)"),
    (rows("a", [0, 1, 0]), "line 2: column answer: holds a list, and a text at"),
    (rows("a", "", None), "line 2: column answer: no answer; fill it in (and 1 more rows)"),
    (rows("cat", options=["cat", "cat"]), "'cat' is the text of several of the options"),
    (rows([0, 0, 0]), "give a list as long as the options, of 0 and a single 1"),
    (rows([0, 1, 1]), "is not among the options"),
    (rows([0, 1]), "is not among the options"),
    (rows(-1), "-1 is not among the options"),
    (rows(0.5), "0.5 is not among the options"),
    (rows(True), "True is not among the options"),
]


@pytest.mark.parametrize(("table", "words"), BAD)
def test_rows_that_have_no_right_option_end_in_one_message(tmp_path, table, words):
    path = tmp_path / "a.jsonl"
    message = refused(path, table, **OPTIONS)
    assert message.startswith(f"{path}: line ")
    assert words in message


def test_infinite_numbers_are_no_options(tmp_path):
    row = json.dumps(rows(0)[0]).replace('"answer": 0', '"answer": 1e999')
    (tmp_path / "a.jsonl").write_text(row)
    assert "inf is not among the options" in refused(tmp_path / "a.jsonl", **OPTIONS)


def test_letters_tell_the_options_apart(tmp_path):
    path, table = tmp_path / "a.jsonl", [row | {"l": ["A", "a", "B"]} for row in rows("A")]
    message = refused(path, table, **OPTIONS, letters="l")
    assert "line 1: column l: the letters 'A', 'a', 'B' do not tell the options apart" in message
    short = [row | {"l": ["A", "B"]} for row in rows("A")]
    message = refused(path, short, **OPTIONS, letters="l")
    assert "line 1: column l: holds 2 letters for 3 options; give each option one" in message
    assert "letters: 2 letters for 3 options" in refused(path, **OPTIONS, letters=["x", "y"])
    many = rows("1", options=[f"option {n}" for n in range(30)])
    assert "26 letters for 30 options; give more letters" in refused(path, many, **OPTIONS)


def test_a_column_without_options_in_some_rows_of_a_csv_is_named(tmp_path):
    table = [{"q": "?", "A": "x", "B": "y", "C": "z", "k": "A"}, {"q": "?", "A": "x", "B": "y"}]
    table[1] |= {"C": "", "k": "B"}
    message = refused(tmp_path / "a.csv", table, question="q", options=["A", "B", "C"], answer="k")
    assert message.endswith("line 3: column C: option 3 is empty; fill it in")

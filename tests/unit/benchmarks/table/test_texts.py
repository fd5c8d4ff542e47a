"""Plain texts as tables: a row for each paragraph, or line."""

import pytest

from lorascope.benchmarks.table.files import count_rows, find_files, known_columns, read_rows
from lorascope.benchmarks.table.texts import paragraphs
from lorascope.errors import UserError
from tests.support.tables import built, dataset, refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\n", [(1, "one"), (2, "two")]),
        ("one\ngoes on\n\ntwo", [(1, "one\ngoes on"), (3 + 1, "two")]),
        ("\n\n  one\n \t \n\n\ntwo \r\nmore\n\n", [(3, "one"), (7, "two \nmore")]),
        ("alone", [(1, "alone")]),
        (" \n\n", []),
    ],
)
def test_paragraphs_and_lines_with_their_places(text, expected):
    assert [*paragraphs(text)] == expected


def test_a_text_is_a_table_of_one_column(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_bytes("\ufeffGrüße.\n\nA second one,\nof two lines.\n".encode())
    items = built(path, text="text", category="prose")
    texts = [text for item in items for text in item.continuations]
    assert texts == ["Grüße.", "A second one,\nof two lines."]
    assert {(item.question, item.category) for item in items} == {("", "prose")}
    assert [row.where for row in read_rows([path])] == [f"{path}: line 1", f"{path}: line 3"]
    assert (known_columns([path]), count_rows([path])) == (["text"], 2)


def test_a_text_without_text_and_a_column_that_it_has_not_are_refused(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("\n \n")
    assert "holds no rows" in refused(path, text="text")
    path.write_text("one\n")
    assert "no column 'words', which text names; it has: text" in refused(path, text="words")
    path.write_bytes(b"\xff")
    assert "not UTF-8 text" in refused(path, text="text")


def test_texts_beside_tables_in_a_folder_are_no_tables(tmp_path):
    (tmp_path / "README.txt").write_text("about")
    assert find_files(tmp_path, None) == [tmp_path / "README.txt"]
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n')
    assert find_files(tmp_path, None) == [tmp_path / "rows.jsonl"]
    assert find_files(tmp_path, "*.txt") == [tmp_path / "README.txt"]
    with pytest.raises(UserError, match="of no form that is read"):
        find_files(tmp_path / "x.doc", None)
    assert dataset(tmp_path, text="text")["text"] == "text"

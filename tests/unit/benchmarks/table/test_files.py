"""Files of rows: five forms that hold the same, folders of them, and files that are none."""

import json
import os
from pathlib import Path

import pytest

from lorascope.benchmarks.table import files
from lorascope.benchmarks.table.files import count_rows, find_files, known_columns, read_rows
from lorascope.errors import UserError
from tests.support.basics import printed
from tests.support.tables import built, refused, write_rows

ROWS = [
    {"question": 'Größe, "laut"?\nWirklich?', "answer": "ja"},
    {"question": "Why\tnot?", "answer": "18"},
]
PLAIN = {"question": "question", "answer": "answer"}


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_every_form_of_file_gives_the_same_items(tmp_path, suffix):
    items = built(tmp_path / f"rows{suffix}", ROWS, **PLAIN)
    assert [item.question for item in items] == [row["question"] for row in ROWS]
    assert [item.answers for item in items] == [("ja",), ("18",)]
    assert [item.item_id for item in items] == ["table/1", "table/2"]
    assert json.loads(items[0].record) == ROWS[0]


def test_what_editors_and_pandas_write_is_read(tmp_path):
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbfquestion,answer\r\nWho?,me\r\n\r\n")
    assert [item.question for item in built(tmp_path / "bom.csv", **PLAIN)] == ["Who?"]
    (tmp_path / "ROWS.JSONL").write_text('{"question": "Who?", "answer": "me"}\n\n')
    assert built(tmp_path / "ROWS.JSONL", **PLAIN)[0].answer == "me"
    long = [{"question": "x" * 200_000, "answer": "me"}]
    assert len(built(tmp_path / "long.csv", long, **PLAIN)[0].question) == 200_000


def test_parquet_is_read_with_its_nested_and_missing_values(tmp_path):
    rows = [
        {"q": {"stem": "Who?", "n": 1.5}, "answer": ["a", "b"], "clip": {"bytes": b"abc"}},
        {"q": {"stem": "Why?", "n": float("nan")}, "answer": ["c"], "clip": {"bytes": b""}},
    ]
    path = write_rows(tmp_path / "a.parquet", rows)
    first, second = built(path, question="q.stem", answer="answer")
    assert (first.question, first.answers, second.answers) == ("Who?", ("a", "b"), ("c",))
    assert json.loads(first.record)["clip"] == {"bytes": {"bytes": 3}}
    message = refused(path, question="{q.n}", answer="answer")
    assert (
        message == f"{path}: row 2: column q.n: is empty where a text is expected; correct the row"
    )


def test_columns_and_rows_of_parquet_are_known_without_reading_a_row(tmp_path, monkeypatch):
    rows = [{"id": 1, "choices": {"text": ["a"], "label": ["A"]}, "turns": [{"role": "x"}]}] * 3
    path = write_rows(tmp_path / "a.parquet", rows)
    names = ["id", "choices", "choices.text", "choices.label", "turns", "turns.role"]
    other = write_rows(tmp_path / "a.jsonl", rows)
    assert known_columns([path]) == known_columns([other]) == names
    monkeypatch.setattr(files, "_rows_of", None)
    assert (count_rows([path]), known_columns([path])) == (3, names)


def test_a_file_is_read_once_as_long_as_it_stays(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "a.jsonl", ROWS)
    first = read_rows([path])[0]
    assert read_rows([path])[0] is first
    write_rows(path, [*ROWS, {"question": "New?", "answer": "yes"}])
    assert [row.where for row in read_rows([path])] == [f"{path}: line {n}" for n in (1, 2, 3)]


def test_the_declaration_is_imported_and_counts_without_anything_heavy(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", ROWS)
    code = f"""
import sys
from pathlib import Path
from lorascope.study.registry import BENCHMARKS
table = BENCHMARKS["table"]
keys = table.settings(benchmark="table", source={str(path)!r}, question="question", answer="answer")
assert table.count_items(Path({str(path)!r}), keys.model_dump(), None) == {{"table": 2}}
print(sorted({{"pyarrow", "pandas", "soundfile", "scipy", "numpy"}} & sys.modules.keys()))
"""
    assert printed(code).strip() == "[]"


# ------------------------------------------------------------------------------- folders


def test_a_folder_gives_the_files_that_patterns_choose_in_their_order(tmp_path):
    for name in ("b/test-1.jsonl", "b/test-0.jsonl", "a.csv", ".hidden.csv", "source.json"):
        write_rows(tmp_path / name, [{"question": name, "answer": "x"}])
    (tmp_path / "README.md").write_text("#")
    questions = [item.question for item in built(tmp_path, files="b/test-*.jsonl", **PLAIN)]
    assert questions == ["b/test-0.jsonl", "b/test-1.jsonl"]
    both = built(tmp_path, files=["*-1.jsonl", "a.csv"], **PLAIN)
    assert [item.question for item in both] == ["a.csv", "b/test-1.jsonl"]
    message = refused(tmp_path, **PLAIN)
    assert message.startswith(f"{tmp_path}: holds 3 files of rows (a.csv, b/test-0.jsonl, ")
    assert "say which by files" in message
    message = refused(tmp_path, files=["a.csv", "train*"], **PLAIN)
    assert "files: no file matches 'train*'; it has a.csv, b/test-0.jsonl" in message
    message = refused(tmp_path / "a.csv", files="*.csv", **PLAIN)
    assert message.endswith("is no folder, in which files could be; leave files out")


def test_a_folder_of_one_file_needs_no_pattern_and_one_of_none_is_not_here(tmp_path):
    write_rows(tmp_path / "one/deep/a.tsv", [{"question": "Who?", "answer": "x"}])
    assert built(tmp_path / "one", **PLAIN)[0].question == "Who?"
    (tmp_path / "none").mkdir()
    assert find_files(tmp_path / "none", None) == []
    assert "no file of rows is there" in refused(tmp_path / "none", **PLAIN)
    assert "no file of rows is there" in refused(tmp_path / "absent.csv", **PLAIN)


def test_a_folder_of_too_much_is_not_searched(tmp_path, monkeypatch):
    for folder in (Path("/proc"), Path("/sys")):
        assert "lies in a folder of the system; correct `source`" in refused(folder, **PLAIN)
    write_rows(tmp_path / "a.csv", ROWS)
    for number in range(5):
        (tmp_path / f"{number}.wav").touch()
    assert len(built(tmp_path, **PLAIN)) == 2
    monkeypatch.setattr(files, "MOST_FILES", 5)
    assert f"{tmp_path}: holds more than 5 files; name the folder" in refused(tmp_path, **PLAIN)


# ----------------------------------------------------------------------------- bad files

BAD = {
    "a.jsonl": [
        (b'{"question": "a", "answer": "b"}\n{"quest', "line 2: not JSON (Unterminated string"),
        (b'{"question": "a", "answer": "b"}\n\n["a"]\n', "line 3: is no object; write it as"),
        (b'{"question": "a"}\n{"question": "\xff"}', "line 2: not UTF-8 text; save the file as"),
        (b"", "holds no rows; give a file with one row an item"),
        (b"\n \n", "holds no rows"),
    ],
    "a.json": [
        (b'{"question": "a"}', "holds no list; give a list of objects, or JSON lines as .jsonl"),
        (b'[{"question": "a", "answer": "b"}, 3]', "row 2: is no object"),
        (b'[{"question": "a",', "not JSON (Expecting property name"),
        (b"[]", "holds no rows"),
    ],
    "a.csv": [
        (b"question,answer\na,b\n\nc,d,e\n", "line 4: has 3 fields, and the header names 2 col"),
        (b'question,answer\n"a\nb",c\nd\n', "line 4: has 1 fields, and the header names 2"),
        (b'question,answer\na,b\nc,"d\n', "line 3: unexpected end of data; correct the file"),
        (b"question,answer,answer\na,b,c\n", "line 1: the header has two columns 'answer'"),
        (b"question,,answer\na,b,c\n", "line 1: the header has a column without a name"),
        (b"question,answer\n\xe4,b\n", "line 2: not UTF-8 text"),
        (b"question,answer\n", "holds no rows"),
    ],
    "a.tsv": [(b"question\tanswer\na\tb\tc\n", "line 2: has 3 fields")],
    "a.parquet": [
        (b"PAR1 is not enough", "not a readable Parquet file ("),
        (b"", "not a readable Parquet file ("),
    ],
    "a.doc": [(b"a", "of no form that is read; give one of .jsonl, .json, .csv, .tsv, .parquet")],
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_ends_in_one_message(tmp_path, name):
    path = tmp_path / name
    for content, words in BAD[name]:
        path.write_bytes(content)
        message = refused(path, **PLAIN)
        assert message.startswith(f"{path}: "), message
        assert words in message


def test_a_pipe_or_a_folder_for_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    message = refused(tmp_path / "a.csv", **PLAIN)
    assert "is a pipe, where a file is expected" in message
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        read_rows([Path("absent.csv")])

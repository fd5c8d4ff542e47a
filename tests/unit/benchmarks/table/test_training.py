"""Tables as training data: question and right answer, a text alone, a clip and its transcript."""

import hashlib

import pytest

from lorascope.benchmarks.examples import Pair
from lorascope.benchmarks.table.items import read_examples, training_files
from lorascope.benchmarks.table.settings import TableData
from lorascope.errors import UserError
from tests.support.lab import write_clip
from tests.support.tables import write_rows

ROWS = [
    {"q": f"Q{n}?", "a": ["x", "y"][n % 2], "o": ["x", "y"], "t": f"Text {n}."} for n in range(9)
]
ASKED = {"question": "{q} {options}\nA:", "options": "o", "answer": "a"}


def keys(path, limit=None, **own):
    part = {"format": "table", "source": str(path), "limit": limit, **own}
    found = TableData(**part).model_dump()
    return {key: value for key, value in found.items() if key != "source"}


def read(path, **own):
    return read_examples(keys(path, **own), path)


@pytest.fixture
def path(tmp_path):
    return write_rows(tmp_path / "rows.jsonl", ROWS)


def test_an_example_is_question_and_right_answer(path):
    examples = read(path, **ASKED)
    assert len(examples) == 9
    assert examples[1] == Pair("Q1? (a) x (b) y\nA:", "y", f"{path}: line 2")
    letters = read(path, **ASKED, continuation="letter", delimiter=" ")
    assert letters[1].response == " b"
    first = read(path, question="q", answer="o")
    assert (first[0].prompt, first[0].response) == ("Q0?", "x")


def test_a_text_alone_is_learnt_without_a_prompt(path):
    assert read(path, text="t")[3] == Pair("", "Text 3.", f"{path}: line 4")
    asked = read(path, text="t", question="q", delimiter=" ")[3]
    assert (asked.prompt, asked.response) == ("Q3?", " Text 3.")


def test_a_limit_keeps_a_sample(path):
    five, three = (read(path, **ASKED, limit=limit) for limit in (5, 3))
    assert [len(five), len(three)] == [5, 3]
    assert {e.where for e in three} < {e.where for e in five}
    assert training_files(path, keys(path, **ASKED)) == [path]


def test_clips_are_learnt_with_their_transcripts(tmp_path):
    rows = [{"wav": f"c{n}.wav", "said": f"words {n}"} for n in range(3)]
    for row in rows:
        write_clip(tmp_path / "audio" / row["wav"])
    path = write_rows(tmp_path / "rows.tsv", rows)
    heard = {"clip": "wav", "clips": str(tmp_path / "audio"), "answer": "said"}
    examples = read(path, **heard)
    sha256 = hashlib.sha256((tmp_path / "audio/c1.wav").read_bytes()).hexdigest()
    assert examples[1] == Pair("", "words 1", f"{path}: line 3", "c1.wav", sha256)
    listed = training_files(path, keys(path, **heard))
    assert listed == [path, *(tmp_path / f"audio/c{n}.wav" for n in range(3))]


def test_rows_are_checked_as_those_of_a_dataset(path, tmp_path):
    with pytest.raises(UserError, match="no column 'b', which answer names"):
        read(path, question="q", answer="b")
    write_rows(path, [*ROWS, {"q": "?", "a": "z", "o": ["x", "y"]}])
    with pytest.raises(UserError, match="line 10: column a: 'z' is not among the options"):
        read(path, **ASKED, limit=1)
    with pytest.raises(UserError, match="no file of rows is there"):
        read(tmp_path / "absent.csv", **ASKED)
